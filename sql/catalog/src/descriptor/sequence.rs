//! Sequences: what one is, where it stands, and what follows.
//!
//! What a sequence is changes as any part of the schema does and is part of its descriptor. Where it stands changes with
//! every value that is taken, outside of whatever transaction asks for it, and is a record of its own.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;

use super::{ColumnDescriptor, ColumnId, TableId};

/// What a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceDescriptor {
    /// `smallint`, `integer` or `bigint`: bounds that nobody gave are its.
    pub ty: SqlType,
    /// The value that RESTART goes back to.
    pub start: i64,
    /// From one value to the next; not zero.
    pub increment: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// So many values are taken at a time, and kept by the session.
    pub cache: i64,
    /// Begins again after its last value.
    pub cycle: bool,
    /// The column that it goes with.
    pub owner: Option<SequenceOwner>,
}

/// The column that a sequence goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceOwner {
    /// The table.
    pub table: TableId,
    /// Its column.
    pub column: ColumnId,
    /// It is the column's identity: part of it, not only dropped with it.
    pub identity: bool,
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceState {
    /// The last value that was taken, or the first that will be.
    pub last_value: i64,
    /// It has been taken.
    pub is_called: bool,
    /// Another with every change: who has taken values and finds this the same knows that nobody was there since.
    pub stamp: u64,
}

/// Values that were taken and not yet given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    next: i64,
    increment: i64,
    left: u64,
}

impl Block {
    /// No values.
    pub const EMPTY: Block = Block { next: 0, increment: 0, left: 0 };

    /// True iff no value is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl Iterator for Block {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        let value = self.next;
        // Behind the last value there may be no number.
        self.next = value.wrapping_add(self.increment);
        Some(value)
    }
}

/// The columns of a sequence as a relation.
pub fn columns() -> Vec<ColumnDescriptor> {
    let columns =
        [("last_value", SqlType::Int8), ("log_cnt", SqlType::Int8), ("is_called", SqlType::Bool)];
    let columns = columns.into_iter().zip(1..).map(|((name, ty), number)| ColumnDescriptor {
        id: ColumnId(number),
        name: name.to_owned(),
        ty,
        not_null: true,
        default: None,
        missing: None,
        hidden: false,
        identity: None,
    });
    columns.collect()
}

/// The least and the greatest value of an integer type; none of another.
pub fn bounds_of(ty: SqlType) -> Option<(i64, i64)> {
    match ty {
        SqlType::Int2 => Some((i16::MIN.into(), i16::MAX.into())),
        SqlType::Int4 => Some((i32::MIN.into(), i32::MAX.into())),
        SqlType::Int8 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

impl SequenceDescriptor {
    /// Before its first value.
    pub fn beginning(&self) -> SequenceState {
        SequenceState { last_value: self.start, is_called: false, stamp: 0 }
    }

    /// The value after another; none beyond the bounds.
    fn after(&self, value: i64) -> Option<i64> {
        value.checked_add(self.increment).filter(|next| (self.min..=self.max).contains(next))
    }

    /// Takes `count` values, or as many as there are before the end, but at least one. 2200H at the end, with the name
    /// that it is given.
    pub fn take(
        &self,
        name: &str,
        state: SequenceState,
        count: u64,
    ) -> SqlResult<(Block, SequenceState)> {
        let first = match state.is_called {
            false => state.last_value,
            true => match self.after(state.last_value) {
                Some(next) => next,
                None if !self.cycle => return Err(self.exhausted(name)),
                None if self.increment > 0 => self.min,
                None => self.max,
            },
        };
        // How many more there are up to the bound.
        let room = match self.increment > 0 {
            true => self.max.abs_diff(first),
            false => first.abs_diff(self.min),
        };
        let more = (room / self.increment.unsigned_abs()).min(count.saturating_sub(1));
        let step = i128::from(self.increment) * i128::from(more);
        let last_value = i64::try_from(i128::from(first) + step)
            .map_err(|_| SqlError::internal("a sequence beyond its bounds"))?;
        let block = Block { next: first, increment: self.increment, left: more + 1 };
        Ok((block, SequenceState { last_value, is_called: true, stamp: state.stamp + 1 }))
    }

    fn exhausted(&self, name: &str) -> SqlError {
        let (word, bound) = match self.increment > 0 {
            true => ("maximum", self.max),
            false => ("minimum", self.min),
        };
        let text = format!("nextval: reached {word} value of sequence \"{name}\" ({bound})");
        SqlError::new(SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED, text)
    }

    /// Puts it to a value, which has been taken already or is to be the next one. 22003 beyond the bounds.
    pub fn set(
        &self,
        name: &str,
        state: SequenceState,
        value: i64,
        is_called: bool,
    ) -> SqlResult<SequenceState> {
        if !(self.min..=self.max).contains(&value) {
            let (min, max) = (self.min, self.max);
            let text = format!(
                "setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})"
            );
            return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text));
        }
        Ok(SequenceState { last_value: value, is_called, stamp: state.stamp + 1 })
    }
}

/// Where the oids of relations stand in an expression that a descriptor keeps: `'16385'::regclass`. Calls `name` with each,
/// and puts what it gives in the place of the number: the expression as people read it.
pub fn with_names(expr: &str, mut name: impl FnMut(u32) -> Option<String>) -> String {
    const CAST: &str = "'::regclass";
    let mut shown = String::with_capacity(expr.len());
    let mut rest = expr;
    while let Some(end) = rest.find(CAST) {
        let before = &rest[..end];
        let digits = before.len() - before.bytes().rev().take_while(u8::is_ascii_digit).count();
        let found = match before[..digits].strip_suffix('\'') {
            // A doubled quote is part of a text.
            Some(outside) if !outside.ends_with('\'') => {
                before[digits..].parse().ok().and_then(&mut name)
            }
            _ => None,
        };
        match found {
            Some(found) => {
                shown.push_str(&before[..digits]);
                shown.push_str(&found.replace('\'', "''"));
            }
            None => shown.push_str(before),
        }
        shown.push_str(CAST);
        rest = &rest[end + CAST.len()..];
    }
    shown.push_str(rest);
    shown
}

/// The oids of relations in an expression that a descriptor keeps.
pub fn relations_in(expr: &str) -> Vec<u32> {
    let mut found = Vec::new();
    with_names(expr, |oid| {
        found.push(oid);
        None
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, min: i64, max: i64, cycle: bool) -> SequenceDescriptor {
        let start = if increment > 0 { min } else { max };
        let ty = SqlType::Int8;
        SequenceDescriptor { ty, start, increment, min, max, cache: 1, cycle, owner: None }
    }

    fn taken(sequence: &SequenceDescriptor, sizes: &[u64]) -> Vec<Result<Vec<i64>, String>> {
        let mut state = sequence.beginning();
        let take = |count: &u64| match sequence.take("s", state, *count) {
            Ok((block, next)) => {
                assert_eq!(next.stamp, state.stamp + 1);
                state = next;
                let values: Vec<_> = block.collect();
                assert_eq!(values.last(), Some(&state.last_value));
                Ok(values)
            }
            Err(error) => Err(error.message),
        };
        sizes.iter().map(take).collect()
    }

    #[test]
    fn values_are_taken_up_to_the_bound() {
        let end = "nextval: reached maximum value of sequence \"s\" (5)".to_owned();
        assert_eq!(
            taken(&sequence(2, 1, 5, false), &[1, 9, 1]),
            [Ok(vec![1]), Ok(vec![3, 5]), Err(end)]
        );
        assert_eq!(
            taken(&sequence(2, 1, 6, true), &[2, 9, 1]),
            [Ok(vec![1, 3]), Ok(vec![5]), Ok(vec![1])]
        );
        let end = "nextval: reached minimum value of sequence \"s\" (-3)".to_owned();
        assert_eq!(taken(&sequence(-2, -3, 0, false), &[5, 1]), [Ok(vec![0, -2]), Err(end)]);
        assert_eq!(
            taken(&sequence(-2, -3, 0, true), &[1, 1, 1]),
            [Ok(vec![0]), Ok(vec![-2]), Ok(vec![0])]
        );
    }

    #[test]
    fn the_whole_of_bigint_is_in_reach() {
        let far = sequence(i64::MAX, i64::MIN, i64::MAX, false);
        assert_eq!(taken(&far, &[9])[0], Ok(vec![i64::MIN, -1, i64::MAX - 1]));
        let back = sequence(i64::MIN, i64::MIN, i64::MAX, true);
        assert_eq!(taken(&back, &[9, 1]), [Ok(vec![i64::MAX, -1]), Ok(vec![i64::MAX])]);
    }

    #[test]
    fn names_stand_for_oids() {
        let name = |oid| (oid == 7).then(|| "a'b".to_owned());
        let shown = |text: &str| with_names(text, name);
        assert_eq!(shown("nextval('7'::regclass)"), "nextval('a''b'::regclass)");
        assert_eq!(shown("nextval('8'::regclass)"), "nextval('8'::regclass)");
        assert_eq!(
            shown("'x''7'::regclass || '7'::regclass"),
            "'x''7'::regclass || 'a''b'::regclass"
        );
        assert_eq!(shown("7"), "7");
        assert_eq!(relations_in("f('7'::regclass, '16385'::regclass)"), [7, 16385]);
    }
}
