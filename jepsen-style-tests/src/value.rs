//! Values of histories: the few shapes that Jepsen's op maps need, and their two spellings.
//!
//! Written by hand: both formats of so small a model are shorter than a dependency's set-up.

use std::fmt::{self, Write};

/// An argument or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or not known.
    Nil,
    /// A number.
    Int(i64),
    /// A name out of a fixed set. A plain string in JSON. Contains no blanks.
    Keyword(&'static str),
    /// Text.
    Str(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key, in the order of insertion. That no key repeats is not promised: a checker shall see what
    /// the database returned.
    Map(Vec<(Value, Value)>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).expect("keys, indices and nanoseconds stay below 2^63"))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nil, Into::into)
    }
}

impl Value {
    /// The number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements, if it is a list of two.
    pub fn as_two(&self) -> Option<(&Value, &Value)> {
        match self {
            Value::List(items) => match items.as_slice() {
                [first, second] => Some((first, second)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a map holds under a keyword.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Value::Keyword(k) if *k == name))
                .map(|e| &e.1),
            _ => None,
        }
    }

    /// The value spelled in EDN, Clojure's data format.
    pub fn edn(&self) -> String {
        let mut out = String::new();
        self.write_edn(&mut out).expect("a string takes every write");
        out
    }

    /// The value spelled in JSON. Keys of maps become strings.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out).expect("a string takes every write");
        out
    }

    fn write_edn(&self, out: &mut String) -> fmt::Result {
        match self {
            Value::Nil => out.write_str("nil"),
            Value::Int(number) => write!(out, "{number}"),
            Value::Keyword(name) => write!(out, ":{name}"),
            Value::Str(text) => write_edn_string(out, text),
            Value::List(items) => {
                out.push('[');
                separated(out, items, " ", Value::write_edn)?;
                out.write_char(']')
            }
            Value::Map(entries) => {
                out.push('{');
                separated(out, entries, ", ", |(key, value), out| {
                    key.write_edn(out)?;
                    out.push(' ');
                    value.write_edn(out)
                })?;
                out.write_char('}')
            }
        }
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        match self {
            Value::Nil => out.write_str("null"),
            Value::Int(number) => write!(out, "{number}"),
            Value::Keyword(name) => write_json_string(out, name),
            Value::Str(text) => write_json_string(out, text),
            Value::List(items) => {
                out.push('[');
                separated(out, items, ",", Value::write_json)?;
                out.write_char(']')
            }
            Value::Map(entries) => {
                out.push('{');
                separated(out, entries, ",", |(key, value), out| {
                    match key {
                        Value::Keyword(name) => write_json_string(out, name)?,
                        Value::Str(text) => write_json_string(out, text)?,
                        other => write_json_string(out, &other.json())?,
                    }
                    out.push(':');
                    value.write_json(out)
                })?;
                out.write_char('}')
            }
        }
    }
}

fn separated<T>(
    out: &mut String,
    items: &[T],
    separator: &str,
    write: impl Fn(&T, &mut String) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push_str(separator);
        }
        write(item, out)?;
    }
    Ok(())
}

/// JSON forbids every control character inside a string.
fn write_json_string(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.push(c),
        }
    }
    out.write_char('"')
}

/// EDN takes every character but these as it is.
fn write_edn_string(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_every_shape() {
        let value = Value::Map(vec![
            (Value::Keyword("read"), Value::List(vec![Value::Int(-3), Value::Nil])),
            (Value::Int(4), Value::Keyword("plain")),
            (Value::Str("a\"b".into()), Value::Str("x\\y\n\u{1}é".into())),
            (Value::Nil, Value::List(vec![])),
        ]);
        assert_eq!(
            value.edn(),
            "{:read [-3 nil], 4 :plain, \"a\\\"b\" \"x\\\\y\\n\u{1}é\", nil []}"
        );
        assert_eq!(
            value.json(),
            r#"{"read":[-3,null],"4":"plain","a\"b":"x\\y\n\u0001é","null":[]}"#
        );
        assert_eq!(value.get("read").and_then(Value::as_two), Some((&Value::Int(-3), &Value::Nil)));
        assert_eq!(value.get("wrote"), None);
    }
}
