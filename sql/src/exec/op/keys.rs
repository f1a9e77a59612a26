//! Rows told apart by their values: the hash table of joins, groups and distinct rows.

use std::cmp::Ordering;
use std::hash::Hasher;

use hashbrown::HashTable;
use xxhash_rust::xxh3::Xxh3Default;

use crate::error::SqlResult;
use crate::exec::context::Row;
use crate::memory::{Reservation, row_bytes};
use crate::types::{Datum, SqlType};

/// A set of keys, numbered from zero in the order of their insertion. Equal is what the types' order calls equal; a NULL
/// is equal to a NULL.
pub(crate) struct KeyTable {
    types: Vec<SqlType>,
    keys: Vec<Row>,
    /// Hashes, and positions in `keys`.
    index: HashTable<(u64, usize)>,
}

impl KeyTable {
    pub(crate) fn new(types: Vec<SqlType>) -> Self {
        KeyTable { types, keys: Vec::new(), index: HashTable::new() }
    }

    /// The keys, taken out.
    pub(crate) fn into_keys(self) -> Vec<Row> {
        self.keys
    }

    /// The number of a key that is there.
    pub(crate) fn find(&self, key: &[Datum]) -> Option<usize> {
        let hash = self.hash(key);
        let equal = |entry: &(u64, usize)| entry.0 == hash && self.is_key(entry.1, key);
        self.index.find(hash, equal).map(|entry| entry.1)
    }

    /// The number of a key, and whether it is new. What it needs is counted.
    pub(crate) fn insert(&mut self, key: Row, held: &mut Reservation) -> SqlResult<(usize, bool)> {
        if let Some(number) = self.find(&key) {
            return Ok((number, false));
        }
        held.grow(row_bytes(&key) + 3 * size_of::<u64>())?;
        let (hash, number) = (self.hash(&key), self.keys.len());
        self.keys.push(key);
        self.index.insert_unique(hash, (hash, number), |entry| entry.0);
        Ok((number, true))
    }

    fn is_key(&self, number: usize, key: &[Datum]) -> bool {
        let mut sides = self.keys[number].iter().zip(key).zip(&self.types);
        sides.all(|((a, b), ty)| compare(*ty, a, b) == Ordering::Equal)
    }

    fn hash(&self, key: &[Datum]) -> u64 {
        let mut state = Xxh3Default::new();
        for (datum, ty) in key.iter().zip(&self.types) {
            match datum {
                Datum::Null => state.write_u8(0),
                value => ty.hash(value, &mut state),
            }
        }
        state.finish()
    }
}

/// The order of two values of a type, NULL last.
pub(crate) fn compare(ty: SqlType, a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (a, b) => ty.compare(a, b),
    }
}
