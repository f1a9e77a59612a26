//! Statements by each of the protocol's three ways, and the numbers that they give.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use tokio_postgres::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{CancelToken, Client, RowStream, SimpleQueryMessage, Statement};

/// A statement's parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param {
    /// INT.
    Int(i32),
    /// BIGINT.
    Big(i64),
}

impl Param {
    /// A key of a workload.
    pub(super) fn key(number: u64) -> Param {
        Param::Int(i32::try_from(number).expect("keys are small"))
    }

    fn ty(self) -> Type {
        match self {
            Param::Int(_) => Type::INT4,
            Param::Big(_) => Type::INT8,
        }
    }

    fn literal(self) -> String {
        match self {
            Param::Int(value) => format!("({value})"),
            Param::Big(value) => format!("({value})"),
        }
    }
}

impl ToSql for Param {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Param::Int(value) => value.to_sql(ty, out),
            Param::Big(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8].contains(ty)
    }

    to_sql_checked!();
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Rows of numbers.
    pub(super) rows: Vec<Vec<Option<i64>>>,
    /// The number in the command tag.
    pub(super) count: u64,
}

impl Reply {
    /// The first value of the first row.
    pub(super) fn value(&self) -> Option<i64> {
        *self.rows.first()?.first()?
    }
}

/// A session that takes statements. Every column of every result is a number.
pub(super) struct Statements {
    client: Client,
    /// By their text. Their names are counted by the process, and so never the same in two runs: nothing may depend on
    /// them.
    prepared: BTreeMap<String, Statement>,
}

impl Statements {
    /// A session in which nothing is prepared.
    pub(super) fn new(client: Client) -> Self {
        Statements { client, prepared: BTreeMap::new() }
    }

    /// True when the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What a cancel request needs.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// By the simple protocol: the values stand in the text.
    pub(super) async fn simple(&self, text: &str, params: &[Param]) -> Result<Reply, Error> {
        let mut whole = text.to_owned();
        for (index, param) in params.iter().enumerate() {
            whole = whole.replace(&format!("${}", index + 1), &param.literal());
        }
        let mut reply = Reply::default();
        for message in self.client.simple_query(&whole).await? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let mut values = Vec::with_capacity(row.len());
                    for index in 0..row.len() {
                        let value = row.try_get(index)?.map(str::parse::<i64>);
                        values.push(value.map(|value| value.expect("only numbers are asked for")));
                    }
                    reply.rows.push(values);
                }
                SimpleQueryMessage::CommandComplete(count) => reply.count = count,
                _ => {}
            }
        }
        Ok(reply)
    }

    /// As an unnamed statement: parsed, bound and executed in one batch.
    pub(super) async fn unnamed(&self, text: &str, params: &[Param]) -> Result<Reply, Error> {
        let params: Vec<_> = params.iter().map(|param| (*param, param.ty())).collect();
        collect(self.client.query_typed_raw(text, params).await?).await
    }

    /// Prepares a statement, unless that was done.
    pub(super) async fn prepare(
        &mut self,
        text: &str,
        params: &[Param],
    ) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared.get(text) {
            return Ok(statement.clone());
        }
        let types: Vec<_> = params.iter().map(|param| param.ty()).collect();
        let statement = self.client.prepare_typed(text, &types).await?;
        self.prepared.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs what was prepared.
    pub(super) async fn prepared(
        &self,
        statement: &Statement,
        params: &[Param],
    ) -> Result<Reply, Error> {
        collect(self.client.query_raw(statement, params.iter().copied()).await?).await
    }

    /// A query's plan.
    pub(super) async fn explain(&self, query: &str) -> Result<String, Error> {
        let said = self.client.simple_query(&format!("EXPLAIN {query}")).await?;
        let lines = said.into_iter().filter_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            row.get(0).map(str::to_owned)
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

async fn collect(stream: RowStream) -> Result<Reply, Error> {
    let mut stream = std::pin::pin!(stream);
    let mut reply = Reply::default();
    while let Some(row) = stream.try_next().await? {
        let mut values = Vec::with_capacity(row.len());
        for (index, column) in row.columns().iter().enumerate() {
            values.push(match *column.type_() {
                Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map(i64::from),
                _ => row.try_get(index)?,
            });
        }
        reply.rows.push(values);
    }
    reply.count = stream.rows_affected().unwrap_or(0);
    Ok(reply)
}
