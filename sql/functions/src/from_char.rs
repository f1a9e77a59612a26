//! `to_timestamp` and `to_date` of a text by a pattern: PostgreSQL's rules.
//!
//! Fields take numbers or names from the text; blanks and separators in the pattern stand for one such in the text, or none;
//! any other character of the pattern for any character of the text. What is skipped beyond the pattern counts for what
//! comes after it, unless `FX` says that all is of fixed width.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::datetime::{DAY, SECOND, civil_from_days, month_days};

use super::to_char::{DAYS, FIELDS, JULIAN_EPOCH, MONTHS, ROMAN, julian_day};

/// Which calendar a field is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calendar {
    Gregorian,
    Weeks,
}

/// A piece of a pattern.
enum Node {
    Field { name: &'static str, shown: String, fill: bool, ordinal: bool },
    Fixed,
    Blank,
    Literal(char),
}

/// Hours, and so on, of a text: zero is what has not been said.
#[derive(Default)]
struct Fields {
    hour: i32,
    is_afternoon: i32,
    minute: i32,
    second: i32,
    second_of_day: i32,
    weekday: i32,
    day: i32,
    day_of_year: i32,
    month: i32,
    milli: i32,
    year: i32,
    is_before_christ: i32,
    week: i32,
    week_of_month: i32,
    century: i32,
    julian: i32,
    micro: i32,
    micro_digits: Option<u8>,
    year_digits: usize,
    twelve_hours: bool,
    zone_sign: i32,
    zone_hour: i32,
    zone_minute: i32,
    calendar: Option<Calendar>,
}

/// What a text says: days since 2000, microseconds of the day, and seconds east of UTC and the digits of a second to be
/// rounded to, if there are any.
pub(super) struct Moment {
    pub(super) days: i64,
    pub(super) micros: i64,
    pub(super) east: Option<i32>,
    pub(super) digits: Option<u8>,
}

fn invalid(text: String) -> SqlError {
    SqlError::new(SqlState::INVALID_DATETIME_FORMAT, text)
}

fn nodes(pattern: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = pattern;
    let mut fill = false;
    while let Some(first) = rest.chars().next() {
        let is =
            |words: [&'static str; 2]| words.into_iter().find_map(|word| rest.strip_prefix(word));
        if let Some(tail) = is(["FM", "fm"]).or_else(|| is(["TM", "tm"])) {
            (fill, rest) = (true, tail);
            continue;
        }
        if let Some(tail) = is(["FX", "fx"]) {
            nodes.push(Node::Fixed);
            rest = tail;
            continue;
        }
        let found = FIELDS.iter().find_map(|name| {
            let upper = rest.strip_prefix(name);
            upper
                .or_else(|| rest.strip_prefix(&name.to_ascii_lowercase()))
                .map(|tail| (*name, tail))
        });
        if let Some((name, tail)) = found {
            let shown = rest[..rest.len() - tail.len()].to_owned();
            let suffix = ["TH", "th", "SP", "sp"].into_iter().find(|word| tail.starts_with(word));
            rest = &tail[suffix.map_or(0, str::len)..];
            let ordinal = matches!(suffix, Some("TH" | "th"));
            nodes.push(Node::Field { name, shown, fill, ordinal });
            fill = false;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut chars = quoted.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' if !chars.as_str().is_empty() => {
                        nodes.extend(chars.next().map(Node::Literal))
                    }
                    c => nodes.push(Node::Literal(c)),
                }
            }
            rest = chars.as_str();
            continue;
        }
        if rest.starts_with("\\\"") {
            rest = &rest[1..];
        }
        let c = rest.chars().next().unwrap_or(first);
        rest = &rest[c.len_utf8()..];
        let blank = c.is_ascii_whitespace() || is_separator(c);
        nodes.push(if blank { Node::Blank } else { Node::Literal(c) });
    }
    nodes
}

fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// Fields that are digits, which a number before them must not take.
fn is_digits(name: &str) -> bool {
    const WORDS: [&str; 20] = [
        "A.D.", "A.M.", "B.C.", "P.M.", "AD", "AM", "BC", "PM", "DAY", "Day", "DY", "Dy", "MONTH",
        "Month", "MON", "Mon", "OF", "RM", "TZH", "TZ",
    ];
    !WORDS.contains(&name) && !name.starts_with("FF")
}

fn calendar_of(name: &str) -> Option<Calendar> {
    match name {
        "IYYY" | "IYY" | "IY" | "I" | "IW" | "ID" | "IDDD" => Some(Calendar::Weeks),
        "DDD" | "DD" | "D" | "MM" | "MONTH" | "Month" | "MON" | "Mon" | "RM" | "WW" | "W"
        | "Y,YYY" | "YYYY" | "YYY" | "YY" | "Y" => Some(Calendar::Gregorian),
        _ => None,
    }
}

/// A text under way.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Skipped beyond what the pattern has.
    skipped: i64,
    fixed: bool,
    fields: Fields,
}

/// The node that a field is read for.
struct Field<'n> {
    name: &'static str,
    shown: &'n str,
    /// Takes as many digits as there are.
    greedy: bool,
}

/// What a text says by a pattern.
pub(super) fn from_char(text: &str, pattern: &str) -> SqlResult<Moment> {
    let nodes = nodes(pattern);
    let mut reader = Reader { text, at: 0, skipped: 0, fixed: false, fields: Fields::default() };
    for (index, node) in nodes.iter().enumerate() {
        if reader.rest().is_empty() {
            break;
        }
        let is_field = matches!(node, Node::Field { .. });
        if !reader.fixed && !matches!(node, Node::Fixed) && (is_field || index == 0) {
            reader.skipped += reader.skip_blanks();
        }
        match node {
            Node::Fixed => reader.fixed = true,
            Node::Blank | Node::Literal(_) => reader.pass(node),
            Node::Field { name, shown, fill, ordinal } => {
                let greedy = *fill
                    || *ordinal
                    || match nodes.get(index + 1) {
                        None | Some(Node::Fixed | Node::Blank) => true,
                        Some(Node::Field { name, .. }) => !is_digits(name),
                        Some(Node::Literal(c)) => !c.is_ascii_digit(),
                    };
                reader.field(&Field { name, shown, greedy })?;
                if *ordinal && is_digits(name) {
                    reader.skip_character();
                    reader.skip_character();
                }
            }
        }
        if !reader.fixed && matches!(node, Node::Fixed | Node::Field { .. }) {
            reader.skipped = reader.skip_blanks();
        }
    }
    reader.fields.moment(text)
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_character(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn skip_blanks(&mut self) -> i64 {
        let rest = self.rest();
        let blanks = rest.len()
            - rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b').len();
        self.at += blanks;
        blanks as i64
    }

    /// What the text has for a character of the pattern.
    fn pass(&mut self, node: &Node) {
        let next = self.rest().chars().next().unwrap_or(' ');
        match node {
            _ if self.fixed => self.skip_character(),
            Node::Blank => {
                self.skipped -= 1;
                if next.is_ascii_whitespace() || is_separator(next) {
                    self.skip_character();
                    self.skipped += 1;
                }
            }
            _ if self.skipped > 0 => self.skipped -= 1,
            _ => self.skip_character(),
        }
    }

    fn set(field: &mut i32, value: i32, name: &str) -> SqlResult<()> {
        if *field != 0 && *field != value {
            let text = format!("conflicting values for \"{name}\" field in formatting string");
            return Err(invalid(text)
                .detail("This value contradicts a previous setting for the same field type."));
        }
        *field = value;
        Ok(())
    }

    /// A number of so many characters, and how many it has.
    fn number(&mut self, node: &Field<'_>, length: usize) -> SqlResult<(i32, usize)> {
        let begin = self.at;
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(length);
        let copy = &rest[..end.unwrap_or(rest.len())];
        let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        if !node.greedy && copy.len() < length {
            let text = format!("source string too short for \"{}\" formatting field", node.shown);
            let (count, is) = (copy.len(), "Field requires");
            return Err(invalid(text)
                .detail(format!("{is} {length} characters, but only {count} remain."))
                .hint(hint));
        }
        let source = if node.greedy { rest } else { copy };
        let sign = usize::from(source.starts_with(['-', '+']));
        let digits = source[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { sign + digits };
        let wrong = || invalid(format!("invalid value \"{copy}\" for \"{}\"", node.shown));
        if !node.greedy && used > 0 && used < length {
            let detail =
                format!("Field requires {length} characters, but only {used} could be parsed.");
            return Err(wrong().detail(detail).hint(hint));
        }
        if used == 0 {
            return Err(wrong().detail("Value must be an integer."));
        }
        self.at += used;
        let value = source[..used].parse::<i32>().map_err(|_| {
            let text = format!("value for \"{}\" in source string is out of range", node.shown);
            let (least, most) = (i32::MIN, i32::MAX);
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, text)
                .detail(format!("Value must be in the range {least} to {most}."))
        })?;
        Ok((value, self.at - begin))
    }

    /// Which of some names comes next.
    fn name(&mut self, node: &Field<'_>, names: &[&str]) -> SqlResult<i32> {
        let rest = self.rest();
        let begins =
            |name: &str| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        if let Some(at) = names.iter().position(|name| begins(name)) {
            self.at += names[at].len();
            return Ok(at as i32);
        }
        let word = rest.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or(rest);
        Err(invalid(format!("invalid value \"{word}\" for \"{}\"", node.shown))
            .detail("The given value did not match any of the allowed values for this field."))
    }

    fn field(&mut self, node: &Field<'_>) -> SqlResult<()> {
        if let Some(calendar) = calendar_of(node.name) {
            if self.fields.calendar.is_some_and(|known| known != calendar) {
                let hint =
                    "Do not mix Gregorian and ISO week date conventions in a formatting template.";
                let text = "invalid combination of date conventions";
                return Err(invalid(text.to_owned()).hint(hint));
            }
            self.fields.calendar = Some(calendar);
        }
        let own = node.name.len();
        let shown = node.shown;
        let short = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().map(|name| &name[..3]).collect()
        };
        match node.name {
            "A.M." | "P.M." | "AM" | "PM" => {
                let names = if own == 2 { ["am", "pm"] } else { ["a.m.", "p.m."] };
                let value = self.name(node, &names)?;
                Self::set(&mut self.fields.is_afternoon, value, shown)?;
                self.fields.twelve_hours = true;
            }
            "A.D." | "B.C." | "AD" | "BC" => {
                let names = if own == 2 { ["ad", "bc"] } else { ["a.d.", "b.c."] };
                let value = self.name(node, &names)?;
                Self::set(&mut self.fields.is_before_christ, value, shown)?;
            }
            "HH" | "HH12" | "HH24" => {
                let (value, _) = self.number(node, 2)?;
                Self::set(&mut self.fields.hour, value, shown)?;
                self.fields.twelve_hours |= node.name != "HH24";
            }
            "MS" => {
                let (value, length) = self.number(node, 3)?;
                Self::set(&mut self.fields.milli, value, shown)?;
                self.fields.milli = value.wrapping_mul(10i32.pow(3 - length.min(3) as u32));
            }
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let most = if own == 2 { 6 } else { usize::from(node.name.as_bytes()[2] - b'0') };
                let (value, length) = self.number(node, most)?;
                Self::set(&mut self.fields.micro, value, shown)?;
                if own == 3 {
                    self.fields.micro_digits = u8::try_from(most).ok();
                }
                self.fields.micro = value.wrapping_mul(10i32.pow(6 - length.min(6) as u32));
            }
            "TZ" | "OF" => {
                let text = format!("formatting field \"{shown}\" is only supported in to_char");
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
            }
            "TZH" => {
                let before = self.text[..self.at].chars().next_back();
                self.fields.zone_sign = match self.rest().chars().next() {
                    Some(sign @ ('+' | '-' | ' ')) => {
                        self.at += 1;
                        if sign == '-' { -1 } else { 1 }
                    }
                    // What was taken for a separator was a sign.
                    _ if self.skipped > 0 && before == Some('-') => -1,
                    _ => 1,
                };
                let (value, _) = self.number(node, 2)?;
                Self::set(&mut self.fields.zone_hour, value, shown)?;
            }
            "TZM" => {
                if self.fields.zone_sign == 0 {
                    self.fields.zone_sign = 1;
                }
                let (value, _) = self.number(node, 2)?;
                Self::set(&mut self.fields.zone_minute, value, shown)?;
            }
            "MONTH" | "Month" => {
                let value = self.name(node, &MONTHS)?;
                Self::set(&mut self.fields.month, value + 1, shown)?;
            }
            "MON" | "Mon" => {
                let value = self.name(node, &short(&MONTHS))?;
                Self::set(&mut self.fields.month, value + 1, shown)?;
            }
            "RM" => {
                let reversed: Vec<&str> = ROMAN.iter().rev().copied().collect();
                let value = self.name(node, &reversed)?;
                Self::set(&mut self.fields.month, 12 - value, shown)?;
            }
            "DAY" | "Day" => {
                let value = self.name(node, &DAYS)?;
                Self::set(&mut self.fields.weekday, value, shown)?;
                self.fields.weekday += 1;
            }
            "DY" | "Dy" => {
                let value = self.name(node, &short(&DAYS))?;
                Self::set(&mut self.fields.weekday, value, shown)?;
                self.fields.weekday += 1;
            }
            "ID" => {
                let (value, _) = self.number(node, 1)?;
                Self::set(&mut self.fields.weekday, value, shown)?;
                self.fields.weekday = if value >= 7 { 1 } else { value + 1 };
            }
            "Q" => {
                self.number(node, 1)?;
            }
            "Y,YYY" => self.grouped_year(shown)?,
            "YYYY" | "IYYY" | "YYY" | "IYY" | "YY" | "IY" | "Y" | "I" => {
                let (value, length) = self.number(node, own)?;
                Self::set(&mut self.fields.year, value, shown)?;
                if own < 4 && length < 4 {
                    self.fields.year = near_2020(value);
                }
                self.fields.year_digits = own;
            }
            name => {
                let (value, _) = self.number(node, own)?;
                let fields = &mut self.fields;
                let field = match name {
                    "MI" => &mut fields.minute,
                    "SS" => &mut fields.second,
                    "SSSS" | "SSSSS" => &mut fields.second_of_day,
                    "MM" => &mut fields.month,
                    "DDD" | "IDDD" => &mut fields.day_of_year,
                    "DD" => &mut fields.day,
                    "D" => &mut fields.weekday,
                    "WW" | "IW" => &mut fields.week,
                    "W" => &mut fields.week_of_month,
                    "CC" => &mut fields.century,
                    _ => &mut fields.julian,
                };
                Self::set(field, value, shown)?;
            }
        }
        Ok(())
    }

    /// `2,024`.
    fn grouped_year(&mut self, shown: &str) -> SqlResult<()> {
        let rest = self.rest().trim_start();
        let wrong = || invalid(format!("invalid input string for \"{shown}\""));
        let (thousands, years) = rest.split_once(',').ok_or_else(wrong)?;
        let digits = years.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let thousands = thousands.parse::<i32>().map_err(|_| wrong())?;
        let years = years[..digits].parse::<i32>().map_err(|_| wrong())?;
        let year = thousands.checked_mul(1_000).and_then(|year| year.checked_add(years));
        let year = year.ok_or_else(|| {
            let text = format!("value for \"{shown}\" in source string is out of range");
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, text)
        })?;
        Self::set(&mut self.fields.year, year, shown)?;
        let comma = rest.find(',').unwrap_or(0);
        self.at = self.text.len() - rest.len() + comma + 1 + digits;
        self.fields.year_digits = 4;
        Ok(())
    }
}

/// The year that fewer than four digits mean: the nearest to 2020.
fn near_2020(year: i32) -> i32 {
    match year {
        ..70 | 100..520 => year + 2_000,
        70..100 => year + 1_900,
        520..1_000 => year + 1_000,
        1_000.. => year,
    }
}

/// The Julian day before the first of a year of weeks.
fn before_weeks_of(year: i64) -> i64 {
    let fourth = julian_day(year, 1, 4);
    fourth - fourth.rem_euclid(7) - 1
}

impl Fields {
    /// What they say together.
    #[expect(clippy::too_many_lines, reason = "one field decides what the next one means")]
    fn moment(mut self, text: &str) -> SqlResult<Moment> {
        let overflow = || {
            let text = format!("date/time field value out of range: \"{text}\"");
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, text)
        };
        let (mut hour, mut minute, mut second) =
            (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        for (part, said) in
            [(&mut hour, self.hour), (&mut minute, self.minute), (&mut second, self.second)]
        {
            if said != 0 {
                *part = said;
            }
        }
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                let text = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(
                    invalid(text).hint("Use the 24-hour clock, or give an hour between 1 and 12.")
                );
            }
            match (self.is_afternoon != 0, hour) {
                (true, 12) | (false, ..12) => {}
                (true, _) => hour += 12,
                (false, _) => hour = 0,
            }
        }
        let said_year = self.year != 0 || self.century != 0;
        let mut year = self.year_of();
        let (mut month, mut day) = (1i64, 1i64);
        // Year, month and day have been said, or are the outcome of others.
        let (mut has_month, mut has_day) = (false, false);
        let mut has_year = said_year;
        let mut date_of = |julian: i64, year: &mut i64, month: &mut i64, day: &mut i64| {
            (*year, *month, *day) = civil_from_days(julian - JULIAN_EPOCH);
            (has_year, has_month, has_day) = (true, true, true);
        };
        if self.julian != 0 {
            date_of(self.julian.into(), &mut year, &mut month, &mut day);
        }
        if self.week != 0 {
            let week = i64::from(self.week);
            if self.calendar == Some(Calendar::Weeks) {
                // Sunday is the first weekday in the field, and the last of a week.
                let weekday = i64::from(self.weekday);
                let within = match weekday {
                    0 => 1,
                    1 => 7,
                    weekday => weekday - 1,
                };
                let julian = before_weeks_of(year) + (week - 1) * 7 + within;
                date_of(julian, &mut year, &mut month, &mut day);
            } else {
                self.day_of_year = self.week.saturating_sub(1).saturating_mul(7).saturating_add(1);
            }
        }
        if self.week_of_month != 0 {
            self.day = self.week_of_month.saturating_sub(1).saturating_mul(7).saturating_add(1);
        }
        let by_day = self.day_of_year != 0;
        if self.calendar == Some(Calendar::Weeks) && by_day && (self.month == 0 || self.day == 0) {
            if year == 0 && self.is_before_christ == 0 {
                return Err(invalid(
                    "cannot calculate day of year without year information".to_owned(),
                ));
            }
            let julian = before_weeks_of(year) + i64::from(self.day_of_year);
            date_of(julian, &mut year, &mut month, &mut day);
        }
        if self.day != 0 {
            (day, has_day) = (self.day.into(), true);
        }
        if self.month != 0 {
            (month, has_month) = (self.month.into(), true);
        }
        if self.calendar != Some(Calendar::Weeks) && by_day && (month <= 1 || day <= 1) {
            if year == 0 && self.is_before_christ == 0 {
                return Err(invalid(
                    "cannot calculate day of year without year information".to_owned(),
                ));
            }
            let wanted = i64::from(self.day_of_year);
            let (mut at, mut before) = (1, 0);
            while at <= 12 && wanted > before + month_days(year, at) {
                before += month_days(year, at);
                at += 1;
            }
            if month <= 1 {
                month = at;
            }
            if day <= 1 {
                day = wanted - before;
            }
            (has_month, has_day) = (true, true);
        }
        if (has_month && !(1..=12).contains(&month)) || (has_day && !(1..=31).contains(&day)) {
            return Err(overflow());
        }
        if has_year && has_month && has_day && day > month_days(year, month) {
            return Err(overflow());
        }
        let fraction = i64::from(self.milli) * 1_000 + i64::from(self.micro);
        let in_clock =
            (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        if !in_clock || !(0..SECOND).contains(&fraction) {
            return Err(overflow());
        }
        let east = match self.zone_sign {
            0 => None,
            sign => {
                let (hours, minutes) = (self.zone_hour, self.zone_minute);
                if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
                    let text = format!("time zone displacement out of range: \"{text}\"");
                    return Err(SqlError::new(
                        SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                        text,
                    ));
                }
                Some(sign * (hours * 3600 + minutes * 60))
            }
        };
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let micros = seconds * SECOND + fraction;
        debug_assert!(micros < DAY);
        let days = julian_day(year, month, day) - JULIAN_EPOCH;
        Ok(Moment { days, micros, east, digits: self.micro_digits })
    }

    /// The year, of which 0 is 1 BC.
    fn year_of(&self) -> i64 {
        let before = self.is_before_christ != 0;
        let century = i64::from(self.century) * if before { -1 } else { 1 };
        let year = i64::from(self.year);
        if year != 0 && century != 0 && self.year_digits <= 2 {
            return match (year % 100, century >= 0) {
                (0, true) => century * 100,
                (0, false) => century * 100 + 1,
                (year, true) => year + (century - 1) * 100,
                (year, false) => (century + 1) * 100 - year + 1,
            };
        }
        if year != 0 {
            let year = if before { -year } else { year };
            return if year < 0 { year + 1 } else { year };
        }
        match century {
            0 => 0,
            1.. => (century - 1) * 100 + 1,
            _ => century * 100 + 1,
        }
    }
}
