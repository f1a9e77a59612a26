//! Values as clients want them.

use bytes::{BufMut, BytesMut};
use sql::types::{Datum, SqlType, TextFormat, TextStyle};

use super::codec::frontend::Format;

/// The setting that text of points in time depends on.
const TIME_ZONE: &str = "TimeZone";

/// What values as text depend on, and room to write them.
pub(super) struct ValueFormat {
    text: TextFormat,
    scratch: String,
}

impl ValueFormat {
    pub(super) fn new() -> Self {
        ValueFormat { text: TextFormat::UTC, scratch: String::new() }
    }

    /// A setting has changed, of those that clients are told about.
    pub(super) fn setting(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case(TIME_ZONE) {
            // The present time matters to input only.
            self.text = TextFormat::new(value, 0).with_style(self.text.style);
        }
    }

    /// What the session chooses of how values look.
    pub(super) fn style(&mut self, style: TextStyle) {
        self.text.style = style;
    }

    /// Appends a value that is not NULL.
    pub(super) fn write(&mut self, out: &mut BytesMut, datum: &Datum, ty: SqlType, format: Format) {
        match (datum, format) {
            (_, Format::Binary) => datum.write_binary(ty, out),
            (Datum::Text(text), Format::Text) => out.put_slice(text.as_bytes()),
            (_, Format::Text) => {
                self.scratch.clear();
                datum.write_text(ty, &self.text, &mut self.scratch);
                out.put_slice(self.scratch.as_bytes());
            }
        }
    }
}
