//! The simple protocol: a text, its results, ReadyForQuery.

use sql::error::{SqlError, SqlResult};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, unless_gone};
use crate::pg::codec::backend::{self, Severity};
use crate::pg::session::{PgSession, Step};
use crate::pg::sink::WireSink;

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: PgSession,
{
    /// Runs the statements of a text.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), End> {
        let mut step = {
            let mut sink = WireSink::simple(&mut self.wire.writer, &mut self.values);
            let call = self.session.simple_query(text, &mut sink);
            let (cancel, reader) = (&self.registration.cancel, &mut self.wire.reader);
            unless_gone(cancel, reader, &self.clock, call).await?
        };
        // A text may hold several COPY statements.
        let result = loop {
            match step {
                None => break Err(self.cancelled().await),
                Some(Ok(Step::Done)) => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(Step::CopyIn { format, columns })) => {
                    step = self.copy_in(format, columns, None).await?;
                }
            }
        };
        self.finish_simple(result).await
    }

    /// The end of a simple query.
    pub(super) async fn finish_simple(&mut self, result: SqlResult<()>) -> Result<(), End> {
        if let Err(error) = result {
            self.report(&error);
        }
        backend::ready_for_query(&mut self.wire.writer.out, self.session.status());
        self.ready = true;
        self.wire.writer.flush().await;
        Ok(())
    }

    /// Tells the client about an error.
    pub(super) fn report(&mut self, error: &SqlError) {
        backend::error_response(&mut self.wire.writer.out, Severity::Error, error);
    }
}
