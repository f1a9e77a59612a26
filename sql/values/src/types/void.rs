//! `void`: what functions give that give nothing.

use super::definition::{Codec, Form, TypeDef};
use super::{Datum, SqlType, string};

pub(super) static VOID: TypeDef = TypeDef {
    len: 4,
    category: 'P',
    pseudo: true,
    functions: [(2298, "void_in"), (2299, "void_out"), (3120, "void_recv"), (3121, "void_send")],
    ..TypeDef::base(SqlType::Void, 2278, "void", Form::Text, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, _, _| Ok(Datum::text("")),
    receive: |_, _, _| Ok(Datum::text("")),
    ..string::CODEC
};
