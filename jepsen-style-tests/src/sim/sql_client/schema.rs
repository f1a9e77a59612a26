//! The tables of the workloads, their first rows, and where their ranges are split.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sql::catalog::descriptor::{IndexId, PRIMARY_INDEX, TableId};
use sql::row::{encode_key_datum, index_prefix};
use sql::types::{Datum, SqlType};

use super::statement::Param;
use super::{SqlClient, bank, linger, sweep};
use crate::client::Key;
use crate::rng::SeedRng;
use crate::sim::cluster::{Cluster, NODES};

const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS register (k INT PRIMARY KEY, v BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS account (id INT PRIMARY KEY, branch INT NOT NULL, \
     balance BIGINT NOT NULL CHECK (balance >= 0))",
    "CREATE INDEX IF NOT EXISTS account_branch ON account (branch, balance)",
    "CREATE TABLE IF NOT EXISTS pair (side INT, id INT, v BIGINT NOT NULL, PRIMARY KEY (side, id))",
];

/// The index that CREATE INDEX makes.
const SECOND_INDEX: IndexId = IndexId(PRIMARY_INDEX.0 + 1);

/// An account's branch.
pub(super) fn branch_of(account: u64) -> Param {
    Param::key(account % 2)
}

/// Creates the tables and writes the first rows. Returns the tables' ids: register, account, pair, sweep_0.
pub(crate) async fn load(
    cluster: &Rc<Cluster>,
    rng: SeedRng,
    rows: &[(Key, i64)],
) -> Result<[TableId; 4], String> {
    let of_linger: Vec<String> = (0..linger::TABLES).flat_map(linger::creation).collect();
    let tables = of_linger.iter().map(String::as_str).chain(TABLES).chain(sweep::CREATION);
    let mut statements: Vec<(&str, Vec<Param>)> = tables.map(|text| (text, Vec::new())).collect();
    for (key, value) in rows {
        let value = Param::Big(*value);
        statements.push(match *key {
            Key::Account(id) => (
                "INSERT INTO account VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                vec![Param::key(id), branch_of(id), value],
            ),
            Key::PairA(id) => (
                "INSERT INTO pair VALUES (0, $1, $2) ON CONFLICT DO NOTHING",
                vec![Param::key(id), value],
            ),
            Key::PairB(id) => (
                "INSERT INTO pair VALUES (1, $1, $2) ON CONFLICT DO NOTHING",
                vec![Param::key(id), value],
            ),
            Key::Register(id) => (
                "INSERT INTO register VALUES ($1, $2) ON CONFLICT DO NOTHING",
                vec![Param::key(id), value],
            ),
        });
    }
    let client = SqlClient::new("load".into(), cluster.clone(), rng);
    let mut link = client.link(NODES[0]).await.ok_or("no connection to a fresh node")?;
    for (text, params) in statements {
        // Every one may be repeated.
        while let Err(trouble) = link.run(text, &params).await {
            if !link.is_usable() {
                return Err(format!("{text}: {trouble:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let plan = link.explain(&bank::BY_INDEX.replace("$1", "1")).await?;
    if !plan.contains("account_branch") {
        return Err(format!("the index of account is not used, so that it proves nothing: {plan}"));
    }
    let text = "SELECT 'register'::regclass::oid::bigint, 'account'::regclass::oid::bigint, \
                'pair'::regclass::oid::bigint, 'sweep_0'::regclass::oid::bigint";
    let reply = loop {
        match link.run(text, &[]).await {
            Ok(reply) => break reply,
            Err(trouble) if !link.is_usable() => return Err(format!("{text}: {trouble:?}")),
            Err(_) => {}
        }
    };
    let id = |index: usize| {
        let value = reply.rows.first().and_then(|row| *row.get(index)?);
        value.and_then(|id| u32::try_from(id).ok()).map(TableId).ok_or("a table has no id")
    };
    Ok([id(0)?, id(1)?, id(2)?, id(3)?])
}

/// Where the ranges may be cut: between tables, between a table and its index, between rows of each.
pub(crate) fn split_keys([register, account, pair, swept]: [TableId; 4]) -> Vec<Bytes> {
    let key = |table: TableId, index: IndexId, columns: &[(SqlType, Datum)]| {
        let mut key = index_prefix(table, index);
        for (ty, value) in columns {
            encode_key_datum(&mut key, *ty, value, false).expect("a number is a key");
        }
        Bytes::from(key)
    };
    let int = |value: i32| (SqlType::Int4, Datum::Int4(value));
    let balance = (SqlType::Int8, Datum::Int8(100));
    vec![
        key(pair, PRIMARY_INDEX, &[int(1)]),
        key(register, PRIMARY_INDEX, &[int(3)]),
        key(register, PRIMARY_INDEX, &[int(7)]),
        key(account, PRIMARY_INDEX, &[int(4)]),
        key(account, SECOND_INDEX, &[]),
        key(account, SECOND_INDEX, &[int(0), balance]),
        key(account, SECOND_INDEX, &[int(1)]),
        key(pair, PRIMARY_INDEX, &[int(0), int(2)]),
        key(swept, PRIMARY_INDEX, &[int(sweep::MIDDLE as i32)]),
        key(swept, PRIMARY_INDEX, &[int(2)]),
    ]
}
