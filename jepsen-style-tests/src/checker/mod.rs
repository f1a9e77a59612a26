//! Checkers: pure functions from a history to a verdict.
//!
//! A checker never guesses. [`Verdict::Invalid`] is a proof that the database broke its promise (or that the
//! harness recorded a wrong `fail`), and says where; [`Verdict::Unknown`] is neither proof nor comfort.

pub mod bank;
pub mod linearizable;
pub mod pairs;
mod register;
mod search;
mod timeline;

use std::fmt;

/// What a history shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No violation exists in it.
    Valid,
    /// Each text is one violation, for a human to read.
    Invalid(Vec<String>),
    /// The checker gave up, or the history says too little.
    Unknown(String),
}

impl Verdict {
    /// Valid iff there are no violations.
    pub fn of(violations: Vec<String>) -> Self {
        if violations.is_empty() { Verdict::Valid } else { Verdict::Invalid(violations) }
    }

    /// Both verdicts in one: a violation outweighs a doubt, a doubt outweighs nothing found.
    pub fn and(self, other: Verdict) -> Self {
        match (self, other) {
            (Verdict::Invalid(mut left), Verdict::Invalid(right)) => {
                left.extend(right);
                Verdict::Invalid(left)
            }
            (Verdict::Invalid(found), _) | (_, Verdict::Invalid(found)) => Verdict::Invalid(found),
            (Verdict::Unknown(left), Verdict::Unknown(right)) => {
                Verdict::Unknown(format!("{left}; {right}"))
            }
            (Verdict::Unknown(why), Verdict::Valid) | (Verdict::Valid, Verdict::Unknown(why)) => {
                Verdict::Unknown(why)
            }
            (Verdict::Valid, Verdict::Valid) => Verdict::Valid,
        }
    }

    /// True iff no violation exists.
    pub fn is_valid(&self) -> bool {
        *self == Verdict::Valid
    }

    /// The violations found; none unless invalid.
    pub fn violations(&self) -> &[String] {
        match self {
            Verdict::Invalid(found) => found,
            Verdict::Valid | Verdict::Unknown(_) => &[],
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Valid => f.write_str("valid"),
            Verdict::Invalid(found) => write!(f, "INVALID\n{}", found.join("\n")),
            Verdict::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_outweigh_doubts_and_doubts_outweigh_silence() {
        let invalid = |text: &str| Verdict::Invalid(vec![text.into()]);
        let unknown = |text: &str| Verdict::Unknown(text.into());
        assert_eq!(Verdict::of(vec![]), Verdict::Valid);
        assert_eq!(Verdict::Valid.and(unknown("b")), unknown("b"));
        assert_eq!(unknown("a").and(unknown("b")), unknown("a; b"));
        assert_eq!(unknown("a").and(invalid("x")), invalid("x"));
        let both = Verdict::Invalid(vec!["x".into(), "y".into()]);
        assert_eq!(invalid("x").and(invalid("y")), both);
        assert_eq!(both.to_string(), "INVALID\nx\ny");
    }
}
