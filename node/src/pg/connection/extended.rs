//! The extended protocol: one message, one step; errors wait for Sync.

use sql::error::{SqlError, SqlResult};
use sql::session::TxnStatus;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, unless_cancelled, unless_gone};
use crate::pg::codec::backend;
use crate::pg::codec::frontend::{Bind, Kind, Message};
use crate::pg::session::{PgSession, Step};
use crate::pg::sink::{WireSink, row_description};

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: PgSession,
{
    /// Does what a message of the extended protocol says.
    pub(super) async fn extended(&mut self, message: Message) -> Result<(), End> {
        let result = match message {
            Message::Parse { name, text, types } => self.parse(&name, &text, &types).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(Kind::Statement, name) => self.describe_statement(&name).await,
            Message::Describe(Kind::Portal, name) => self.describe_portal(&name).await,
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await?,
            Message::Close(kind, name) => {
                self.close(kind, &name);
                Ok(())
            }
            Message::Flush => {
                self.wire.writer.flush().await;
                return Ok(());
            }
            Message::Sync => return self.sync().await,
            // Everything else is met before it comes here.
            _ => Ok(()),
        };
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.batch_failed(&error).await,
        }
    }

    /// The batch has failed: nothing more of it happens. The client hears of it at once, since a Flush that is
    /// skipped would leave it waiting.
    pub(super) async fn batch_failed(&mut self, error: &SqlError) -> Result<(), End> {
        self.report(error);
        self.skipping = true;
        self.session.batch_failed();
        self.wire.writer.flush().await;
        Ok(())
    }

    async fn parse(&mut self, name: &str, text: &str, types: &[u32]) -> SqlResult<()> {
        let call = self.session.parse(name, text, types);
        match unless_cancelled(&self.registration.cancel, call).await {
            Some(result) => result?,
            None => return Err(self.cancelled().await),
        }
        backend::parse_complete(&mut self.wire.writer.out);
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> SqlResult<()> {
        let call = self.session.bind(&bind);
        match unless_cancelled(&self.registration.cancel, call).await {
            Some(result) => result?,
            None => return Err(self.cancelled().await),
        }
        self.formats.insert(bind.portal, bind.result_formats);
        backend::bind_complete(&mut self.wire.writer.out);
        Ok(())
    }

    async fn describe_statement(&mut self, name: &str) -> SqlResult<()> {
        let call = self.session.describe_statement(name);
        let description = match unless_cancelled(&self.registration.cancel, call).await {
            Some(result) => result?,
            None => return Err(self.cancelled().await),
        };
        let out = &mut self.wire.writer.out;
        let oids = description.parameters.iter().map(|ty| ty.oid());
        backend::parameter_description(out, oids);
        match description.columns {
            Some(columns) => row_description(out, &columns, &[]),
            None => {
                backend::no_data(out);
                Ok(())
            }
        }
    }

    async fn describe_portal(&mut self, name: &str) -> SqlResult<()> {
        let call = self.session.describe_portal(name);
        let columns = match unless_cancelled(&self.registration.cancel, call).await {
            Some(result) => result?,
            None => return Err(self.cancelled().await),
        };
        let out = &mut self.wire.writer.out;
        match columns {
            Some(columns) => {
                let formats = self.formats.get(name).map_or(&[][..], Vec::as_slice);
                row_description(out, &columns, formats)
            }
            None => {
                backend::no_data(out);
                Ok(())
            }
        }
    }

    async fn execute(&mut self, portal: &str, max_rows: u32) -> Result<SqlResult<()>, End> {
        let formats = self.formats.get(portal).cloned().unwrap_or_default();
        // Most batches are one statement, sent as a whole: what Sync would commit is committed with it, so that a
        // commit that cannot be serialized is repeated like the statement itself.
        let last = self.wire.reader.next_is(b'S');
        let mut step = {
            let mut sink = WireSink::portal(&mut self.wire.writer, &mut self.values, &formats);
            let call = self.session.execute(portal, max_rows, last, &mut sink);
            let (cancel, reader) = (&self.registration.cancel, &mut self.wire.reader);
            unless_gone(cancel, reader, &self.clock, call).await?
        };
        loop {
            match step {
                None => return Ok(Err(self.cancelled().await)),
                Some(Ok(Step::Done)) => return Ok(Ok(())),
                Some(Err(error)) => return Ok(Err(error)),
                Some(Ok(Step::CopyIn { format, columns })) => {
                    step = self.copy_in(format, columns, Some(&formats)).await?;
                }
            }
        }
    }

    fn close(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Statement => self.session.close_statement(name),
            Kind::Portal => {
                self.session.close_portal(name);
                self.formats.remove(name);
            }
        }
        backend::close_complete(&mut self.wire.writer.out);
    }

    async fn sync(&mut self) -> Result<(), End> {
        self.skipping = false;
        // Not to be cancelled: it commits, and commits are short.
        if let Err(error) = self.session.sync().await {
            self.report(&error);
        }
        let status = self.session.status();
        if status == TxnStatus::Idle {
            self.formats.clear();
        }
        backend::ready_for_query(&mut self.wire.writer.out, status);
        self.ready = true;
        self.wire.writer.flush().await;
        Ok(())
    }
}
