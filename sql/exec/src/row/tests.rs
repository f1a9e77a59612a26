use std::cmp::Ordering;

use sql_catalog::descriptor::{ColumnDescriptor, ColumnId, TableKind};
use sql_values::types::{Numeric, TypeId, datetime};

use super::*;

/// A small generator: the cases are the same at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An integer near the edges as often as anywhere.
    fn int(&mut self) -> i64 {
        match self.below(6) {
            0 => self.next() as i64,
            1 => self.below(5) as i64 - 2,
            2 => i64::MIN + self.below(3) as i64,
            3 => i64::MAX - self.below(3) as i64,
            4 => i64::from(self.next() as i32),
            _ => 1 << self.below(63),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let alphabet = [0, 0, 1, b' ', b'a', b'b', 0xfe, 0xff];
        (0..self.below(6)).map(|_| alphabet[self.below(8) as usize]).collect()
    }

    fn text(&mut self) -> String {
        let alphabet = ['\u{1}', ' ', 'a', 'b', 'é', '\u{10000}'];
        (0..self.below(6)).map(|_| alphabet[self.below(6) as usize]).collect()
    }

    fn numeric(&mut self) -> Numeric {
        match self.below(12) {
            0 => Numeric::NAN,
            1 => Numeric::INFINITY,
            2 => Numeric::NEGATIVE_INFINITY,
            3 => Numeric::ZERO,
            _ => {
                let exponent = self.below(60) as i64 - 30;
                let digits = self.int() >> self.below(60);
                let zeros = "0".repeat(self.below(6) as usize);
                Numeric::parse(&format!("{digits}.{zeros}e{exponent}")).unwrap()
            }
        }
    }

    fn datum(&mut self, ty: SqlType) -> Datum {
        let floats = [0.0, -0.0, 1.5, -1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300];
        match ty {
            SqlType::Bool => Datum::Bool(self.below(2) == 0),
            SqlType::Int2 => Datum::Int2(self.int() as i16),
            SqlType::Int4 => Datum::Int4(self.int() as i32),
            SqlType::Int8 => Datum::Int8(self.int()),
            SqlType::Float4 => Datum::Float4(floats[self.below(8) as usize] as f32),
            SqlType::Float8 => match self.below(2) {
                0 => Datum::Float8(floats[self.below(8) as usize]),
                _ => Datum::Float8(f64::from_bits(self.next())),
            },
            SqlType::Numeric(_) => Datum::Numeric(self.numeric()),
            SqlType::Bytea => Datum::Bytea(self.bytes().into()),
            SqlType::Date => Datum::Date(self.int() as i32),
            SqlType::Time(_) => Datum::Time(self.int()),
            SqlType::Timestamp(_) => Datum::Timestamp(self.int()),
            SqlType::TimestampTz(_) => Datum::TimestampTz(self.int()),
            SqlType::Interval(_) => {
                // Equal spans in different parts too.
                let (months, days) = (self.below(3) as i32 - 1, self.below(61) as i32 - 30);
                let micros = (self.below(5) as i64 - 2) * datetime::DAY / 2;
                match self.below(3) {
                    0 => Datum::Interval {
                        months: self.int() as i32,
                        days: self.int() as i32,
                        micros: self.int(),
                    },
                    _ => Datum::Interval { months, days, micros },
                }
            }
            SqlType::Uuid => {
                let mut bytes = [0; 16];
                bytes[self.below(16) as usize] = self.next() as u8;
                Datum::Uuid(bytes)
            }
            SqlType::Array(element) => Datum::Array(
                (0..self.below(4))
                    .map(|_| match self.below(4) {
                        0 => Datum::Null,
                        _ => self.datum(element.scalar()),
                    })
                    .collect(),
            ),
            _ if ty.is_oid() => Datum::Oid(self.int() as u32),
            _ => Datum::text(self.text()),
        }
    }
}

const TYPES: [SqlType; 22] = [
    SqlType::Bool,
    SqlType::Int2,
    SqlType::Int4,
    SqlType::Int8,
    SqlType::Float4,
    SqlType::Float8,
    SqlType::Numeric(None),
    SqlType::Text,
    SqlType::Varchar(None),
    SqlType::Char(None),
    SqlType::Name,
    SqlType::Bytea,
    SqlType::Date,
    SqlType::Time(None),
    SqlType::Timestamp(None),
    SqlType::TimestampTz(None),
    SqlType::Interval(None),
    SqlType::Uuid,
    SqlType::Oid,
    TypeId::Text.array(),
    TypeId::Numeric.array(),
    TypeId::Int4.array(),
];

fn encoded(ty: SqlType, value: &Datum, descending: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key_datum(&mut out, ty, value, descending).unwrap();
    out
}

/// NULL last.
fn order(ty: SqlType, a: &Datum, b: &Datum) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => ty.compare(a, b),
        (a, b) => a.cmp(&b),
    }
}

#[test]
fn keys_are_ordered_as_their_values() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for ty in TYPES {
        for _ in 0..3000 {
            let mut value = || if random.below(20) == 0 { Datum::Null } else { random.datum(ty) };
            let (a, b) = (value(), value());
            let expected = order(ty, &a, &b);
            for descending in [false, true] {
                let (key_a, key_b) = (encoded(ty, &a, descending), encoded(ty, &b, descending));
                let expected = if descending { expected.reverse() } else { expected };
                assert_eq!(key_a.cmp(&key_b), expected, "{ty:?} {a:?} {b:?}");
                let may_have_zeros = ty == SqlType::Uuid || (ty == SqlType::Bytea && descending);
                assert!(may_have_zeros || !key_a.contains(&0), "{ty:?} {a:?} {key_a:x?}");
                // I2: what follows does not disturb the order.
                let longer = [&key_a[..], &[0xff]].concat();
                let shorter = [&key_b[..], &[0x00]].concat();
                if expected.is_ne() {
                    assert_eq!(longer.cmp(&shorter), expected, "{ty:?} {a:?} {b:?}");
                }
                let mut rest = &longer[..];
                let back = decode_key_datum(&mut rest, ty, descending).unwrap();
                assert_eq!(order(ty, &back, &a), Ordering::Equal, "{ty:?} {a:?} {back:?}");
                assert_eq!(rest, [0xff]);
            }
        }
    }
}

fn column(id: u16, ty: SqlType) -> ColumnDescriptor {
    ColumnDescriptor {
        id: ColumnId(id),
        name: format!("c{id}"),
        ty,
        not_null: false,
        default: None,
        hidden: false,
        missing: None,
        identity: None,
    }
}

fn index(id: u32, unique: bool, key: &[(u16, bool)]) -> IndexDescriptor {
    IndexDescriptor {
        id: IndexId(id),
        oid: 20_000 + id,
        name: format!("i{id}"),
        unique,
        constraint: false,
        key: key.iter().map(|(id, descending)| (ColumnId(*id), *descending)).collect(),
    }
}

fn table() -> TableDescriptor {
    TableDescriptor {
        id: TableId(16_385),
        version: 1,
        schema: "public".into(),
        name: "t".into(),
        kind: TableKind::Stored,
        columns: vec![
            column(1, SqlType::Int8),
            column(2, SqlType::Text),
            column(4, SqlType::Numeric(None)),
        ],
        indexes: vec![
            index(1, true, &[(1, false)]),
            index(2, true, &[(2, false)]),
            index(3, false, &[(4, true), (2, false)]),
        ],
        building: Vec::new(),
        checks: Vec::new(),
        next_column: 5,
        next_index: 4,
    }
}

fn row(id: i64, name: Option<&str>, price: &str) -> Vec<Datum> {
    let name = name.map_or(Datum::Null, Datum::text);
    vec![Datum::Int8(id), name, Datum::Numeric(Numeric::parse(price).unwrap())]
}

#[test]
fn entries_lead_to_their_rows() {
    let table = table();
    for row in [row(7, Some("a\0b"), "1.50"), row(-7, None, "-0.001"), row(0, Some(""), "NaN")] {
        let primary = primary_key(&table, &row).unwrap();
        assert!(table_span(table.id).contains(&primary));
        assert!(index_span(table.id, PRIMARY_INDEX).contains(&primary));
        for index in &table.indexes[1..] {
            let (key, value) = index_entry(&table, index, &row).unwrap();
            assert!(index_span(table.id, index.id).contains(&key));
            assert_eq!(primary_key_of_entry(&table, index, &key, &value).unwrap(), primary);
            let decoded = decode_key(&table, index, &key).unwrap();
            assert_eq!(decoded.len(), index.key.len());
        }
        let value = encode_row(&table, &row).unwrap();
        assert_eq!(decode_row(&table, &value).unwrap(), row);
    }
}

#[test]
fn unique_entries_collide_unless_a_column_is_null() {
    let table = table();
    let unique = &table.indexes[1];
    let key = |id, name| index_entry(&table, unique, &row(id, name, "1")).unwrap().0;
    assert_eq!(key(1, Some("a")), key(2, Some("a")));
    assert_ne!(key(1, None), key(2, None));
}

#[test]
fn added_columns_are_absent_and_dropped_ones_skipped() {
    let mut table = table();
    let value = encode_row(&table, &row(1, Some("a"), "2.0")).unwrap();
    table.columns.remove(1);
    table.columns.push(column(5, SqlType::Bool));
    assert_eq!(
        decode_row(&table, &value).unwrap(),
        [Datum::Int8(1), Datum::Numeric(Numeric::parse("2.0").unwrap()), Datum::Null]
    );
    assert_eq!(decode_columns(&value, &[ColumnId(5)]).unwrap(), [None]);
}

#[test]
fn spans_hold_what_their_bounds_say() {
    let table = table();
    let names = [None, Some("a"), Some("b"), Some("ba"), Some("c")];
    let text = |name: &str| Datum::text(name);
    let (b, z) = (text("b"), text("z"));
    let cases: [(Bound<'_>, Bound<'_>, &[&str]); 6] = [
        (None, None, &["-", "a", "b", "ba", "c"]),
        (Some((&b, true)), None, &["b", "ba", "c"]),
        (Some((&b, false)), None, &["ba", "c"]),
        (None, Some((&b, true)), &["a", "b"]),
        (None, Some((&b, false)), &["a"]),
        (Some((&z, true)), Some((&b, true)), &[]),
    ];
    for descending in [false, true] {
        let index = index(9, false, &[(1, false), (2, descending)]);
        for (lower, upper, expected) in &cases {
            let span = bounded_span(&table, &index, &[Datum::Int8(5)], *lower, *upper).unwrap();
            let mut found = Vec::new();
            for (id, name) in names.iter().flat_map(|name| [(4, name), (5, name), (6, name)]) {
                let key = index_entry(&table, &index, &row(id, *name, "1")).unwrap().0;
                if span.as_ref().is_some_and(|span| span.contains(&key)) {
                    assert_eq!(id, 5);
                    found.push(name.unwrap_or("-"));
                }
            }
            assert_eq!(found, *expected, "{lower:?} {upper:?} {descending}");
        }
    }
    let none = bounded_span(&table, &table.indexes[0], &[Datum::Null], None, None).unwrap();
    assert_eq!(none, None);
}

#[test]
fn rows_come_back_as_they_were_written() {
    let mut random = Random(42);
    for ty in TYPES {
        let mut table = table();
        table.columns = vec![column(1, SqlType::Int8), column(300, ty)];
        for _ in 0..500 {
            let row = vec![Datum::Int8(random.int()), random.datum(ty)];
            let back = decode_row(&table, &encode_row(&table, &row).unwrap()).unwrap();
            // NaN differs from itself, and zeros have signs: their bits are what must come back.
            assert_eq!(format!("{back:?}"), format!("{row:?}"));
        }
    }
}

#[test]
fn damaged_bytes_are_refused_and_nothing_else() {
    let mut random = Random(7);
    let table = table();
    let whole = encode_row(&table, &row(1, Some("abc"), "12345.678")).unwrap();
    let (key, value) = index_entry(&table, &table.indexes[2], &row(1, Some("x"), "9")).unwrap();
    for _ in 0..20_000 {
        let mut damaged = whole.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next() as u8;
        }
        damaged.truncate(random.below(damaged.len() as u64 + 1) as usize);
        if let Err(error) = decode_row(&table, &damaged) {
            assert_eq!(error.state, SqlState::DATA_CORRUPTED);
        }
        let mut damaged = key.to_vec();
        let at = 9 + random.below(damaged.len() as u64 - 9) as usize;
        damaged[at] = random.next() as u8;
        if let Err(error) = primary_key_of_entry(&table, &table.indexes[2], &damaged, &value) {
            assert_eq!(error.state, SqlState::DATA_CORRUPTED);
        }
        let noise: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
        for ty in TYPES {
            if let Err(error) = decode_key_datum(&mut &noise[..], ty, random.below(2) == 0) {
                assert_eq!(error.state, SqlState::DATA_CORRUPTED);
            }
        }
    }
}

#[test]
fn the_formats_bytes_do_not_change() {
    let table = table();
    let row = row(1, Some("a"), "1.50");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&primary_key(&table, &row).unwrap()), "03d3020102111011");
    let (key, value) = index_entry(&table, &table.indexes[1], &row).unwrap();
    assert_eq!(hex(&key), "03d302010212106101".to_owned() + "01");
    assert_eq!(hex(&value), "011011");
    assert_eq!(
        hex(&encode_row(&table, &row).unwrap()),
        "01010502020901610408000000000002020001".to_owned() + "1388"
    );
    assert_eq!(table_prefix(TableId(7)), [SYSTEM_PREFIX, 0x17]);
}

#[test]
fn examples_of_every_type_go_round_in_keys_and_rows() {
    let format = sql_values::types::TextFormat::UTC;
    for ty in SqlType::all() {
        let examples = ty.def().examples.iter();
        let values: Vec<Datum> =
            examples.map(|text| Datum::parse_text(ty, text, &format).unwrap()).collect();
        for value in &values {
            let row = decode_datum(&encode_datum(value).unwrap()).unwrap();
            assert_eq!(row.to_text(ty, &format), value.to_text(ty, &format), "{ty:?}");
            for descending in [false, true] {
                let key = encoded(ty, value, descending);
                let mut rest = &key[..];
                let again = decode_key_datum(&mut rest, ty, descending).unwrap();
                assert!(rest.is_empty() && ty.compare(&again, value).is_eq(), "{ty:?} {value:?}");
            }
        }
        for pair in values.windows(2) {
            let [a, b] = [0, 1].map(|at| encoded(ty, &pair[at], false));
            assert!(a < b, "{ty:?} {pair:?}");
        }
    }
}
