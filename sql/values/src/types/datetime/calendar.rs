//! The proleptic Gregorian calendar, with a year 0 (1 BC) and negative years.

/// A day and a time of it, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year; 0 is 1 BC.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, from 1.
    pub day: i64,
    /// Microseconds since midnight.
    pub micros: i64,
}

/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;

/// Days from 0000-03-01 to 2000-01-01.
const EPOCH_FROM_MARCH: i64 = 730_425;

/// Days from 2000-01-01 to a day. The day may lie outside of its month.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is their last.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_FROM_MARCH
}

/// Year, month and day of a day.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH;
    let era = days.div_euclid(ERA_DAYS);
    let of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// True iff the year has 366 days.
pub fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// Days of a month from 1 to 12.
pub fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Civil {
    /// Takes microseconds since 2000-01-01 apart.
    pub fn from_micros(micros: i64) -> Civil {
        let (year, month, day) = civil_from_days(micros.div_euclid(super::DAY));
        Civil { year, month, day, micros: micros.rem_euclid(super::DAY) }
    }

    /// Microseconds since 2000-01-01.
    pub fn to_micros(self) -> i128 {
        let days = days_from_civil(self.year, self.month, self.day);
        i128::from(days) * i128::from(super::DAY) + i128::from(self.micros)
    }
}
