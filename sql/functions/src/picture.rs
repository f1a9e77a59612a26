//! `to_char` of numbers and `to_number`: PostgreSQL's number pictures.
//!
//! A picture is read once into what it demands as a whole ([`Picture`]) and a list of what stands in it. Then a number's
//! digits run along it ([`write()`]), or a text does ([`read`]). The rules are those of PostgreSQL's own formatter, which are
//! a program more than a grammar: where the sign goes, for instance, depends on how many places are still blank.

use std::borrow::Cow;

use sql_values::error::{SqlError, SqlResult, SqlState};

/// What stands in a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Comma,
    Point,
    Zero,
    Nine,
    Group,
    Currency,
    Minus,
    Plus,
    Sign,
    Roman {
        lower: bool,
    },
    Ordinal {
        lower: bool,
    },
    /// FM, S, PR, V, B, C, EEEE, SP: what they do is in [`Picture`].
    Mark,
    Literal(char),
}

/// Where S stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Anchor {
    #[default]
    None,
    Before,
    Behind,
}

/// A picture.
#[derive(Default)]
pub(super) struct Picture {
    parts: Vec<Part>,
    /// Places before the point, behind it, and behind V.
    pub(super) before: usize,
    pub(super) behind: usize,
    pub(super) shifted: usize,
    /// The place of the first 0, and the last one's.
    zero_start: usize,
    zero_end: usize,
    anchor: Anchor,
    /// Places before S.
    before_anchor: usize,
    has_zero: bool,
    has_point: bool,
    has_sign: bool,
    pub(super) fill: bool,
    blank: bool,
    bracket: bool,
    minus: bool,
    plus: bool,
    pub(super) roman: bool,
    pub(super) shift: bool,
    pub(super) exponent: bool,
}

#[rustfmt::skip]
const KEYWORDS: [&str; 20] = [
    ",", ".", "0", "9", "B", "C", "D", "EEEE", "FM", "G", "L", "MI", "PL", "PR", "RN", "SG", "SP", "S", "TH", "V",
];

fn wrong(text: &str) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, text)
}

impl Picture {
    /// Reads a picture.
    pub(super) fn parse(text: &str) -> SqlResult<Picture> {
        let mut picture = Picture::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = KEYWORDS.iter().find_map(|word| {
                let upper = rest.strip_prefix(word).map(|tail| (false, tail));
                let lower =
                    || rest.strip_prefix(&word.to_ascii_lowercase()).map(|tail| (true, tail));
                upper.or_else(lower).map(|(lower, tail)| (*word, lower, tail))
            });
            if let Some((word, lower, tail)) = found {
                let part = picture.demand(word, lower)?;
                picture.parts.push(part);
                rest = tail;
                continue;
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                rest = picture.literal(quoted);
                continue;
            }
            if rest.starts_with("\\\"") {
                rest = &rest[1..];
            }
            let literal = rest.chars().next().unwrap_or(first);
            picture.parts.push(Part::Literal(literal));
            rest = &rest[literal.len_utf8()..];
        }
        Ok(picture)
    }

    /// Takes text up to its closing quote; what follows that is returned.
    fn literal<'t>(&mut self, quoted: &'t str) -> &'t str {
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return &quoted[at + 1..],
                '\\' if chars.peek().is_some() => {
                    self.parts.extend(chars.next().map(|(_, escaped)| Part::Literal(escaped)));
                }
                c => self.parts.push(Part::Literal(c)),
            }
        }
        ""
    }

    /// What a keyword demands of the whole.
    fn demand(&mut self, word: &str, lower: bool) -> SqlResult<Part> {
        if self.exponent && word != "EEEE" {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        Ok(match word {
            "9" | "0" if self.bracket => {
                return Err(wrong(&format!("\"{word}\" must be ahead of \"PR\"")));
            }
            "9" => {
                let count = match (self.shift, self.has_point) {
                    (true, _) => &mut self.shifted,
                    (false, true) => &mut self.behind,
                    (false, false) => &mut self.before,
                };
                *count += 1;
                Part::Nine
            }
            "0" => {
                if !self.has_zero && !self.has_point {
                    self.has_zero = true;
                    self.zero_start = self.before + 1;
                }
                *(if self.has_point { &mut self.behind } else { &mut self.before }) += 1;
                self.zero_end = self.before + self.behind;
                Part::Zero
            }
            "." | "D" => {
                if self.has_point {
                    return Err(wrong("multiple decimal points"));
                }
                if self.shift {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
                Part::Point
            }
            "S" => {
                if self.has_sign {
                    return Err(wrong("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.bracket {
                    let text = "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together";
                    return Err(wrong(text));
                }
                self.has_sign = true;
                self.anchor = if self.has_point { Anchor::Behind } else { Anchor::Before };
                if !self.has_point {
                    self.before_anchor = self.before;
                }
                Part::Mark
            }
            "MI" | "PL" | "SG" => {
                if self.has_sign {
                    return Err(wrong(&format!("cannot use \"S\" and \"{word}\" together")));
                }
                self.minus |= word != "PL";
                self.plus |= word != "MI";
                match word {
                    "MI" => Part::Minus,
                    "PL" => Part::Plus,
                    _ => Part::Sign,
                }
            }
            "PR" => {
                if self.has_sign || self.plus || self.minus {
                    let text = "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together";
                    return Err(wrong(text));
                }
                self.bracket = true;
                Part::Mark
            }
            "V" => {
                if self.has_point {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.shift = true;
                Part::Mark
            }
            "EEEE" => {
                if self.exponent {
                    return Err(wrong("cannot use \"EEEE\" twice"));
                }
                let others = self.blank || self.fill || self.has_sign || self.bracket;
                if others || self.minus || self.plus || self.roman || self.shift {
                    let detail =
                        "\"EEEE\" may only be used together with digit and decimal point patterns.";
                    return Err(wrong("\"EEEE\" is incompatible with other formats").detail(detail));
                }
                self.exponent = true;
                Part::Mark
            }
            "B" => {
                self.blank |= self.before == 0 && self.behind == 0 && !self.has_zero;
                Part::Mark
            }
            "FM" => {
                self.fill = true;
                Part::Mark
            }
            "RN" => {
                self.roman = true;
                Part::Roman { lower }
            }
            "," => Part::Comma,
            "G" => Part::Group,
            "L" => Part::Currency,
            "TH" => Part::Ordinal { lower },
            _ => Part::Mark,
        })
    }
}

/// A number's digits, with its point; the sign apart.
pub(super) struct Digits<'t> {
    pub(super) digits: Cow<'t, str>,
    pub(super) negative: bool,
}

/// A number of which the places before the point do not fit.
fn overflowing(before: usize, behind: usize) -> String {
    format!("{}.{}", "#".repeat(before), "#".repeat(behind))
}

/// What stands for a number with an exponent that is none.
pub(super) fn no_exponent(picture: &Picture) -> String {
    format!(" {}.{}", "#".repeat(picture.before), "#".repeat((picture.behind + 4).max(1)))
}

/// The Roman number of a whole one.
pub(super) fn roman(number: i64) -> String {
    const VALUES: [(i64, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=3_999).contains(&number) {
        return "#".repeat(15);
    }
    let mut left = number;
    let mut out = String::new();
    for (value, letters) in VALUES {
        while left >= value {
            out.push_str(letters);
            left -= value;
        }
    }
    out
}

/// `st`, `nd`, `rd`, `th` of a number.
fn ordinal(digits: &str) -> SqlResult<&'static str> {
    let mut last = digits.bytes().rev();
    let (ones, tens) = (last.next().unwrap_or(b' '), last.next());
    if !ones.is_ascii_digit() {
        let text = format!("\"{digits}\" is not a number");
        return Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, text));
    }
    Ok(match (ones, tens) {
        (_, Some(b'1')) => "th",
        (b'1', _) => "st",
        (b'2', _) => "nd",
        (b'3', _) => "rd",
        _ => "th",
    })
}

/// A number on its way into a picture.
struct Writer<'p> {
    picture: &'p Picture,
    digits: &'p [u8],
    /// Of the digits.
    at: usize,
    /// Which of them, counted from the picture's first place.
    place: usize,
    blanks: usize,
    /// Places in all, but for one.
    count: usize,
    /// The last digit that FM leaves.
    relevant: Option<usize>,
    anchor: Anchor,
    bracket: bool,
    zero_start: usize,
    negative: bool,
    signed: bool,
    /// A digit has just been written.
    in_number: bool,
    out: String,
}

/// A number by its picture. Roman numbers come as digits.
pub(super) fn write(picture: &Picture, number: &Digits<'_>) -> SqlResult<String> {
    let length = number.digits.find('.').unwrap_or(number.digits.len());
    let before = picture.before;
    let fits = length <= before || picture.roman;
    let digits = match fits {
        true => number.digits.clone(),
        false => Cow::Owned(overflowing(before, picture.behind)),
    };
    let blanks = if picture.roman { 0 } else { before.saturating_sub(length) };
    let plain_sign = !(picture.plus || picture.minus);
    let signed = match plain_sign {
        false => picture.minus,
        true => !number.negative && picture.fill && !picture.has_sign,
    };
    let mut relevant = None;
    if picture.fill
        && picture.has_point
        && let Some(point) = digits.find('.')
    {
        let behind = digits.as_bytes()[point..].iter().rposition(|digit| *digit != b'0');
        let last = point + behind.unwrap_or(0);
        let zero =
            (picture.zero_end > blanks).then(|| (digits.len() - 1).min(picture.zero_end - blanks));
        relevant = Some(last.max(zero.unwrap_or(0)));
    }
    let mut anchor = picture.anchor;
    if plain_sign && anchor == Anchor::Before && before == picture.before_anchor {
        anchor = Anchor::Behind;
    }
    let mut writer = Writer {
        picture,
        digits: digits.as_bytes(),
        at: 0,
        place: 0,
        blanks,
        count: (before + picture.behind).saturating_sub(1) + usize::from(!signed && blanks == 0),
        relevant,
        anchor,
        bracket: picture.bracket && (number.negative || !picture.fill),
        zero_start: picture.zero_start.saturating_sub(1),
        negative: number.negative,
        signed,
        in_number: false,
        out: String::new(),
    };
    for part in &picture.parts {
        writer.part(*part, &digits)?;
    }
    // Beyond the digits that a float has nothing is shown, whatever the picture has more.
    let out = writer.out;
    Ok(out.split('\0').next().unwrap_or_default().to_owned())
}

impl Writer<'_> {
    fn part(&mut self, part: Part, digits: &str) -> SqlResult<()> {
        let fill = self.picture.fill;
        match part {
            Part::Nine | Part::Zero | Part::Point => self.number(part),
            Part::Comma | Part::Group if self.in_number => self.out.push(','),
            Part::Comma | Part::Group | Part::Mark if fill || part == Part::Mark => {}
            Part::Comma | Part::Group | Part::Currency => self.out.push(' '),
            Part::Roman { lower } => {
                let shown = if lower { digits.to_ascii_lowercase() } else { digits.to_owned() };
                let width = if fill { 0 } else { 15 };
                self.out.push_str(&format!("{shown:>width$}"));
            }
            Part::Ordinal { lower } => {
                let none = self.picture.roman || digits.starts_with('#') || self.negative;
                if !none && !self.picture.has_point {
                    let ending = ordinal(digits)?;
                    match lower {
                        true => self.out.push_str(ending),
                        false => self.out.push_str(&ending.to_ascii_uppercase()),
                    }
                }
            }
            Part::Minus if self.negative => self.out.push('-'),
            Part::Plus if !self.negative => self.out.push('+'),
            Part::Minus | Part::Plus if fill => {}
            Part::Minus | Part::Plus => self.out.push(' '),
            Part::Sign => self.out.push(if self.negative { '-' } else { '+' }),
            Part::Literal(c) => self.out.push(c),
            Part::Mark => {}
        }
        Ok(())
    }

    /// A lonely zero before the point, which only a 0 in the picture shows.
    fn is_hidden_zero(&self) -> bool {
        let zero = self.digits.first() == Some(&b'0');
        !self.picture.has_zero && self.at == 0 && zero && self.picture.behind != 0
    }

    fn ends_with_point(&self) -> bool {
        self.relevant.is_some_and(|at| self.digits.get(at) == Some(&b'.'))
    }

    fn number(&mut self, part: Part) {
        if self.picture.roman {
            return;
        }
        self.in_number = false;
        let zeros = self.picture.has_zero;
        let begins = self.place >= self.blanks || (zeros && self.zero_start == self.place);
        if !self.signed && begins && (!self.is_hidden_zero() || self.ends_with_point()) {
            self.sign();
        }
        if self.place < self.blanks && (self.zero_start > self.place || !zeros) {
            if !self.picture.fill {
                self.out.push(' ');
            }
        } else if self.place < self.blanks {
            self.out.push('0');
            self.in_number = true;
        } else {
            self.digit(part);
        }
        let mut end =
            self.count + usize::from(self.blanks > 0) + usize::from(self.picture.has_point);
        if self.relevant == Some(self.at) {
            end = self.place;
        }
        if self.place + 1 == end {
            if self.signed && self.bracket {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.picture.has_sign && self.anchor == Anchor::Behind {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.place += 1;
    }

    /// The sign before the first digit.
    fn sign(&mut self) {
        if self.picture.has_sign {
            if self.anchor == Anchor::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.signed = true;
            }
            return;
        }
        self.signed = true;
        match (self.bracket, self.negative) {
            (true, true) => self.out.push('<'),
            (true, false) => self.out.push(' '),
            (false, true) => self.out.push('-'),
            (false, false) if self.picture.fill => {}
            (false, false) => self.out.push(' '),
        }
    }

    fn digit(&mut self, part: Part) {
        let digit = self.digits.get(self.at).copied();
        if digit == Some(b'.') {
            if !self.ends_with_point() || self.picture.fill {
                self.out.push('.');
            }
        } else if self.relevant.is_some_and(|last| self.at > last) && part != Part::Zero {
            // FM leaves zeros at the end out.
        } else if self.is_hidden_zero() {
            if !self.picture.fill {
                self.out.push(' ');
            } else if self.ends_with_point() {
                self.out.push('0');
            }
        } else {
            self.out.push(digit.map_or('\0', char::from));
            self.in_number = true;
        }
        self.at += usize::from(digit.is_some());
    }
}

/// What a text says of a number.
pub(super) struct Read {
    /// Sign, digits and point.
    pub(super) text: String,
    /// Digits behind the point.
    pub(super) behind: usize,
}

/// A text on its way through a picture.
struct Reader<'t> {
    picture: &'t Picture,
    text: &'t [u8],
    at: usize,
    sign: u8,
    number: String,
    before: usize,
    behind: usize,
    point: bool,
}

/// A number from a text, by its picture.
pub(super) fn read(picture: &Picture, text: &str) -> SqlResult<Read> {
    for (is, what) in [(picture.exponent, "EEEE"), (picture.roman, "RN")] {
        if is {
            let text = format!("\"{what}\" not supported for input");
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
        }
    }
    let mut reader = Reader {
        picture,
        text: text.as_bytes(),
        at: 0,
        sign: b' ',
        number: String::new(),
        before: 0,
        behind: 0,
        point: false,
    };
    for part in &picture.parts {
        if reader.at >= reader.text.len() {
            break;
        }
        reader.part(*part);
    }
    let digits = reader.number.strip_suffix('.').unwrap_or(&reader.number);
    let text = format!("{}{digits}", char::from(reader.sign));
    Ok(Read { text, behind: reader.behind })
}

impl Reader<'_> {
    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes a character.
    fn skip(&mut self) {
        self.at += 1;
        while self.next().is_some_and(|byte| byte & 0xc0 == 0x80) {
            self.at += 1;
        }
    }

    /// Passes characters that are no part of a number, so many at most.
    fn skip_others(&mut self, count: usize) {
        for _ in 0..count {
            if self.next().is_none_or(|byte| b"0123456789.,+-".contains(&byte)) {
                return;
            }
            self.skip();
        }
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Nine | Part::Zero | Part::Point => self.digit(part),
            Part::Comma | Part::Group => {
                if !self.picture.fill && self.next() == Some(b',') {
                    self.at += 1;
                }
            }
            Part::Currency => self.skip_others(1),
            Part::Ordinal { .. } => {
                if !self.picture.has_point {
                    self.skip_others(2);
                }
            }
            Part::Minus | Part::Plus | Part::Sign => match (self.next(), part) {
                (Some(b'-'), Part::Minus | Part::Sign) => self.take_sign(b'-'),
                (Some(b'+'), Part::Plus | Part::Sign) => self.take_sign(b'+'),
                _ => self.skip_others(1),
            },
            Part::Literal(_) => self.skip(),
            Part::Mark | Part::Roman { .. } => {}
        }
    }

    fn take_sign(&mut self, sign: u8) {
        self.sign = sign;
        self.at += 1;
    }

    fn digit(&mut self, part: Part) {
        if self.next() == Some(b' ') {
            self.at += 1;
        }
        let fresh = self.before + self.behind == 0;
        if self.sign == b' ' && part != Part::Point && fresh {
            let anchored = self.picture.has_sign && self.picture.anchor == Anchor::Before;
            match self.next() {
                Some(b'-') => self.take_sign(b'-'),
                Some(b'<') if self.picture.bracket && !anchored => self.take_sign(b'-'),
                Some(b'+') => self.take_sign(b'+'),
                _ => {}
            }
        }
        let mut is_read = false;
        match self.next() {
            None => return,
            Some(digit) if digit.is_ascii_digit() => {
                if self.point && self.behind == self.picture.behind {
                    return self.pass();
                }
                self.number.push(char::from(digit));
                *(if self.point { &mut self.behind } else { &mut self.before }) += 1;
                is_read = true;
            }
            Some(b'.') if self.picture.has_point && !self.point => {
                self.number.push('.');
                self.point = true;
                is_read = true;
            }
            Some(_) => {}
        }
        if self.sign == b' ' && self.before + self.behind > 0 {
            let after = self.text.get(self.at + 1).copied();
            if self.picture.has_sign && is_read && after.is_some_and(|c| !c.is_ascii_digit()) {
                if let Some(sign @ (b'-' | b'+')) = after {
                    self.sign = sign;
                    self.at += 1;
                }
            } else if !is_read
                && !self.picture.has_sign
                && (self.picture.plus || self.picture.minus)
                && let Some(sign @ (b'-' | b'+')) = self.next()
            {
                self.sign = sign;
            }
        }
        self.pass();
    }

    /// A place of the picture has been used, whatever it was used for.
    fn pass(&mut self) {
        self.at += 1;
    }
}
