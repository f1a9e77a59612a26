//! Rows told apart by their values: the hash table of joins, groups and distinct rows.

use std::cmp::Ordering;
use std::hash::Hasher;

use hashbrown::HashTable;
use sql_plan::Expr;
use sql_values::error::SqlResult;
use sql_values::memory::{Reservation, row_bytes};
use sql_values::types::{Datum, SqlType};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::batch;
use crate::batch::{Batch, NONE};
use crate::row::Row;

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
        let mut state = Collected::new();
        for (datum, ty) in key.iter().zip(&self.types) {
            match datum {
                Datum::Null => state.write_u8(0),
                value => ty.hash(value, &mut state),
            }
        }
        state.finish()
    }
}

/// The keys of whole batches, numbered from zero in the order of their insertion. A key with a NULL has no number.
pub(crate) enum KeyIndex {
    /// Of one integer.
    Integers(HashTable<(i64, u32)>),
    /// Of any values.
    Any(KeyTable),
}

/// Bytes that a key of one integer needs, with the room that the table keeps.
const INTEGER_KEY_BYTES: usize = 2 * size_of::<(i64, u32)>();

impl KeyIndex {
    /// For keys that are compared pair by pair.
    pub(crate) fn of_pairs(equal: &[(Expr, Expr)]) -> Self {
        let is_integer = |(a, b): &(Expr, Expr)| batch::is_integer(a.ty()) && a.ty() == b.ty();
        match equal {
            [pair] if is_integer(pair) => KeyIndex::Integers(HashTable::new()),
            _ => KeyIndex::Any(KeyTable::new(equal.iter().map(|(_, side)| side.ty()).collect())),
        }
    }

    /// The number of each row's key; [`NONE`] for a key with a NULL. Keys that are new are added, and counted.
    pub(crate) fn insert(&mut self, keys: &Batch, held: &mut Reservation) -> SqlResult<Vec<u32>> {
        let mut numbers = Vec::with_capacity(keys.len());
        match self {
            KeyIndex::Integers(index) => {
                let before = index.len();
                for key in keys.integers(0)? {
                    let Some(key) = key else {
                        numbers.push(NONE);
                        continue;
                    };
                    let next = index.len() as u32;
                    let entry = index.entry(
                        hash_integer(key),
                        |entry| entry.0 == key,
                        |entry| hash_integer(entry.0),
                    );
                    numbers.push(entry.or_insert((key, next)).get().1);
                }
                held.grow((index.len() - before) * INTEGER_KEY_BYTES)?;
            }
            KeyIndex::Any(table) => {
                for at in 0..keys.len() {
                    let key = keys.row(at)?;
                    let has_null = key.iter().any(Datum::is_null);
                    numbers.push(if has_null { NONE } else { table.insert(key, held)?.0 as u32 });
                }
            }
        }
        Ok(numbers)
    }

    /// The number of each row's key; [`NONE`] for one that is not there.
    pub(crate) fn find(&self, keys: &Batch) -> SqlResult<Vec<u32>> {
        let mut numbers = Vec::with_capacity(keys.len());
        match self {
            KeyIndex::Integers(index) => {
                let find = |key| index.find(hash_integer(key), |entry| entry.0 == key);
                let number = |key: Option<i64>| key.and_then(find).map_or(NONE, |entry| entry.1);
                numbers.extend(keys.integers(0)?.into_iter().map(number));
            }
            KeyIndex::Any(table) => {
                for at in 0..keys.len() {
                    let key = keys.row(at)?;
                    let found =
                        if key.iter().any(Datum::is_null) { None } else { table.find(&key) };
                    numbers.push(found.map_or(NONE, |number| number as u32));
                }
            }
        }
        Ok(numbers)
    }
}

/// Multiplies, and folds the upper half into the lower: every bit of the key reaches those that a table looks at.
fn hash_integer(key: i64) -> u64 {
    let product = u128::from(key as u64 ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

/// Collects what is hashed: short keys, which are most, are hashed at once.
struct Collected {
    bytes: [u8; 64],
    len: usize,
    /// Of a long key, from its beginning.
    long: Option<Box<Xxh3Default>>,
}

impl Collected {
    fn new() -> Self {
        Collected { bytes: [0; 64], len: 0, long: None }
    }
}

impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(long) = &mut self.long {
            return long.update(bytes);
        }
        match self.bytes.get_mut(self.len..self.len + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => {
                let long = self.long.insert(Box::default());
                long.update(&self.bytes[..self.len]);
                long.update(bytes);
            }
        }
    }

    fn finish(&self) -> u64 {
        match &self.long {
            Some(long) => long.digest(),
            None => xxh3_64(&self.bytes[..self.len]),
        }
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
