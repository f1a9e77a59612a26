//! What a session chooses of how values are written and read as text.

/// Where the parts of a date are, and how a point in time looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    /// `1997-12-17 07:37:16+01`
    #[default]
    Iso,
    /// `Wed Dec 17 07:37:16 1997 CET`
    Postgres,
    /// `12/17/1997 07:37:16 CET`
    Sql,
    /// `17.12.1997 07:37:16 CET`
    German,
}

/// The order of year, month and day where a date does not show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// How an interval looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    /// `1 year 2 mons -3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons -3 days 4 hours 5 mins 6 secs`
    Verbose,
    /// `+1-2 -3 +4:05:06`
    Sql,
    /// `P1Y2M-3DT4H5M6S`
    Iso,
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// `DateStyle`, its first part.
    pub dates: DateStyle,
    /// `DateStyle`, its second part.
    pub order: DateOrder,
    /// `IntervalStyle`.
    pub intervals: IntervalStyle,
    /// `bytea_output` is `escape`.
    pub escape_bytea: bool,
    /// `extra_float_digits`: above zero, as many as make a float read back the same.
    pub float_digits: i8,
}

impl TextStyle {
    /// Of a session that has set nothing.
    pub const DEFAULT: TextStyle = TextStyle {
        dates: DateStyle::Iso,
        order: DateOrder::Mdy,
        intervals: IntervalStyle::Postgres,
        escape_bytea: false,
        float_digits: 1,
    };

    /// A setting has this value, as SHOW gives it. Others than those above change nothing.
    pub fn set(&mut self, setting: &str, value: &str) {
        match setting.to_ascii_lowercase().as_str() {
            "datestyle" => {
                let (dates, order) = value.split_once(", ").unwrap_or((value, ""));
                self.dates = match dates {
                    "Postgres" => DateStyle::Postgres,
                    "SQL" => DateStyle::Sql,
                    "German" => DateStyle::German,
                    _ => DateStyle::Iso,
                };
                self.order = match order {
                    "DMY" => DateOrder::Dmy,
                    "YMD" => DateOrder::Ymd,
                    _ => DateOrder::Mdy,
                };
            }
            "intervalstyle" => {
                self.intervals = match value {
                    "postgres_verbose" => IntervalStyle::Verbose,
                    "sql_standard" => IntervalStyle::Sql,
                    "iso_8601" => IntervalStyle::Iso,
                    _ => IntervalStyle::Postgres,
                };
            }
            "bytea_output" => self.escape_bytea = value == "escape",
            "extra_float_digits" => self.float_digits = value.parse().unwrap_or(1),
            _ => {}
        }
    }
}

impl Default for TextStyle {
    fn default() -> Self {
        TextStyle::DEFAULT
    }
}
