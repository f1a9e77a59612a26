//! Values of every type in columns.

use sql_values::memory::Pool;
use sql_values::types::TypeId;
use sql_values::types::numeric::{Numeric, NumericSign};

use super::column::layout;
use super::*;

#[test]
fn values_survive_their_columns() {
    let numeric =
        Numeric { sign: NumericSign::Negative, digits: vec![1, 5_000], weight: 0, scale: 1 };
    let array: Datum = Datum::Array([Datum::text("a"), Datum::Null].into());
    let interval = Datum::Interval { months: -1, days: 2, micros: i64::MAX };
    let values = [
        (SqlType::Numeric(None), Datum::Numeric(numeric)),
        (SqlType::Interval(None), interval),
        (TypeId::Text.array(), array.clone()),
        (SqlType::Record, Datum::Record([array, Datum::Bool(true), Datum::Int2(-2)].into())),
        (SqlType::Uuid, Datum::Uuid([7; 16])),
        (SqlType::Bytea, Datum::Bytea(bytes::Bytes::from_static(b"\0\xff"))),
        (SqlType::Char(Some(3)), Datum::text("a  ")),
        (SqlType::Float4, Datum::Float4(-0.0)),
        (SqlType::Time(None), Datum::Time(86_400_000_000)),
        (SqlType::RegClass, Datum::Oid(u32::MAX)),
        (SqlType::Int4, Datum::Null),
    ];
    let types: Vec<SqlType> = values.iter().map(|(ty, _)| *ty).collect();
    let row: Row = values.into_iter().map(|(_, value)| value).collect();
    let nulls = vec![Datum::Null; row.len()];
    let mut builder = BatchBuilder::new(&types, &Pool::new(usize::MAX));
    builder.push(&row).unwrap();
    builder.push(&nulls).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!(batch.rows().unwrap(), [row, nulls]);
    let mut builder = BatchBuilder::new(&types, &Pool::new(usize::MAX));
    assert!(builder.push(&[Datum::Null]).is_err(), "too few");
    let mut dates = BatchBuilder::new(&[SqlType::Date], &Pool::new(usize::MAX));
    assert!(dates.push(&[Datum::Int4(1)]).is_err(), "another type");
    assert_eq!(layout(SqlType::Date), layout(SqlType::Int4));
}

#[test]
fn examples_of_every_type_go_through_columns() {
    let format = sql_values::types::TextFormat::UTC;
    for ty in SqlType::all() {
        let mut builder = ColumnBuilder::new(ty);
        let texts = ty.def().examples;
        for text in texts {
            builder.push(&Datum::parse_text(ty, text, &format).unwrap()).unwrap();
        }
        let column = builder.finish();
        for (at, text) in texts.iter().enumerate() {
            let value = column::read(&column, ty, at).unwrap();
            assert_eq!(value.to_text(ty, &format), *text, "{ty:?}");
        }
    }
}
