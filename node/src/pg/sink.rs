//! A statement's results as messages, straight into the output buffer.

use bytes::{BufMut, BytesMut};
use futures::future::BoxFuture;
use sql::error::{SqlError, SqlResult, SqlState};
use sql::plan::OutputColumn;
use sql::session::{Notice, ResultSink};
use sql::types::{Datum, SqlType, TextStyle};
use tokio::io::{AsyncRead, AsyncWrite};

use super::codec::backend::{self, Field};
use super::codec::frontend::Format;
use super::values::ValueFormat;
use super::wire::Writer;

/// So much of a statement is held back, so that it can run again.
const HELD_BYTES_MAX: usize = 16 << 10;
/// Once it cannot run again, rows are collected up to this.
const WRITE_BYTES: usize = 64 << 10;

/// Takes a statement's results.
pub(super) struct WireSink<'a, T> {
    wire: &'a mut Writer<T>,
    values: &'a mut ValueFormat,
    /// Formats of the columns as Bind gave them; `None` in a simple query, which describes its rows, too.
    formats: Option<&'a [Format]>,
    columns: Vec<(SqlType, Format)>,
}

impl<'a, T: AsyncRead + AsyncWrite + Unpin + Send> WireSink<'a, T> {
    /// Results of a simple query: described, and as text.
    pub(super) fn simple(wire: &'a mut Writer<T>, values: &'a mut ValueFormat) -> Self {
        wire.begin_statement();
        WireSink { wire, values, formats: None, columns: Vec::new() }
    }

    /// Results of a portal, whose columns Describe tells about.
    pub(super) fn portal(
        wire: &'a mut Writer<T>,
        values: &'a mut ValueFormat,
        formats: &'a [Format],
    ) -> Self {
        wire.begin_statement();
        WireSink { wire, values, formats: Some(formats), columns: Vec::new() }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ResultSink for WireSink<'_, T> {
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()> {
        self.columns.clear();
        match self.formats {
            None => {
                row_description(&mut self.wire.out, columns, &[])?;
                self.columns.extend(columns.iter().map(|column| (column.ty, Format::Text)));
            }
            Some(formats) => {
                for (index, column) in columns.iter().enumerate() {
                    self.columns.push((column.ty, format_of(formats, index, columns.len())?));
                }
            }
        }
        Ok(())
    }

    fn is_binary(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|(_, format)| *format == Format::Binary)
    }

    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        if row.len() != self.columns.len() {
            return Err(SqlError::internal("a row does not have its columns"));
        }
        let out = &mut self.wire.out;
        let before = out.len();
        let result = data_row(out, row, &self.columns, self.values);
        if result.is_err() {
            // Half a row is no message.
            out.truncate(before);
        }
        result
    }

    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        backend::command_complete(&mut self.wire.out, tag);
        self.columns.clear();
        self.wire.begin_statement();
        Ok(())
    }

    fn suspended(&mut self) -> SqlResult<()> {
        backend::portal_suspended(&mut self.wire.out);
        self.wire.begin_statement();
        Ok(())
    }

    fn empty(&mut self) -> SqlResult<()> {
        backend::empty_query_response(&mut self.wire.out);
        self.wire.begin_statement();
        Ok(())
    }

    fn notice(&mut self, notice: Notice) -> SqlResult<()> {
        backend::notice_response(&mut self.wire.out, &notice);
        Ok(())
    }

    fn text_style(&mut self, style: TextStyle) {
        self.values.style(style);
    }

    fn parameter(&mut self, name: &str, value: &str) -> SqlResult<()> {
        self.values.setting(name, value);
        backend::parameter_status(&mut self.wire.out, name, value);
        Ok(())
    }

    fn copy_out(&mut self, columns: usize) -> SqlResult<()> {
        backend::copy_out_response(&mut self.wire.out, Format::Text, columns);
        Ok(())
    }

    fn copy_data(&mut self, data: &[u8]) -> SqlResult<()> {
        backend::copy_data(&mut self.wire.out, data);
        Ok(())
    }

    fn copy_out_done(&mut self) -> SqlResult<()> {
        backend::copy_done(&mut self.wire.out);
        Ok(())
    }

    fn can_discard(&self) -> bool {
        self.wire.can_discard()
    }

    fn discard(&mut self) {
        self.columns.clear();
        self.wire.discard();
    }

    fn is_full(&self) -> bool {
        let limit = if self.wire.can_discard() { HELD_BYTES_MAX } else { WRITE_BYTES };
        self.wire.held() > limit
    }

    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        if !self.is_full() {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(async {
            self.wire.flush().await;
            Ok(())
        })
    }
}

/// RowDescription of these columns, in the formats that Bind gave.
pub(super) fn row_description(
    out: &mut BytesMut,
    columns: &[OutputColumn],
    formats: &[Format],
) -> SqlResult<()> {
    let mut fields = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let format = format_of(formats, index, columns.len())?;
        let (table, attnum) = match column.source {
            // A column beyond PostgreSQL's numbers is told as none.
            Some((table, attnum)) => (table.0, i16::try_from(attnum.0).unwrap_or(0)),
            None => (0, 0),
        };
        fields.push(Field {
            name: &column.name,
            table,
            attnum,
            oid: column.ty.oid(),
            typlen: column.ty.typlen(),
            typmod: column.ty.typmod(),
            format,
        });
    }
    backend::row_description(out, fields.into_iter());
    Ok(())
}

/// The format of a column: none given means text, one given is for all.
fn format_of(formats: &[Format], index: usize, columns: usize) -> SqlResult<Format> {
    match formats {
        [] => Ok(Format::Text),
        [all] => Ok(*all),
        each if each.len() == columns => Ok(each[index]),
        each => Err(SqlError::new(
            SqlState::PROTOCOL_VIOLATION,
            format!(
                "bind message has {} result formats but query has {columns} columns",
                each.len()
            ),
        )),
    }
}

fn data_row(
    out: &mut BytesMut,
    row: &[Datum],
    columns: &[(SqlType, Format)],
    values: &mut ValueFormat,
) -> SqlResult<()> {
    out.put_u8(b'D');
    let start = out.len();
    out.put_u32(0);
    out.put_u16(u16::try_from(row.len()).unwrap_or(u16::MAX));
    for (datum, (ty, format)) in row.iter().zip(columns) {
        if datum.is_null() {
            out.put_i32(-1);
            continue;
        }
        let length_at = out.len();
        out.put_u32(0);
        values.write(out, datum, *ty, *format);
        let length = u32::try_from(out.len() - length_at - 4)
            .ok()
            .filter(|length| *length <= i32::MAX as u32)
            .ok_or_else(|| {
                SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a value is too large to be sent")
            })?;
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    backend::end_message(out, start);
    Ok(())
}
