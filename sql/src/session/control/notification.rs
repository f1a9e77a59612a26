//! LISTEN, UNLISTEN, NOTIFY.

use sql_exec::sink::ResultSink;
use sql_parse::{Listen, Notify, Unlisten};
use sql_values::error::{SqlError, SqlResult};

use super::{Run, Tag};
use crate::session::Session;

impl Run for Listen {
    async fn run(&self, _: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        Err(SqlError::unsupported("LISTEN"))
    }
}

impl Run for Unlisten {
    async fn run(&self, _: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        Ok("UNLISTEN".into())
    }
}

impl Run for Notify {
    async fn run(&self, _: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        Err(SqlError::unsupported("NOTIFY"))
    }
}
