//! Tables, plans and a database of one node.

use std::sync::Arc;

use sql_catalog::CatalogView;
use sql_catalog::descriptor::{
    ColumnDescriptor, ColumnId, IndexDescriptor, IndexId, PRIMARY_INDEX, TableDescriptor, TableId,
    TableKind,
};
use sql_catalog::function::{EvalContext, Function, NoSession};
use sql_plan::{Expr, IndexSpan, Node, Plan, node};
use sql_values::error::SqlResult;
use sql_values::interrupt::Interrupt;
use sql_values::memory::{DEFAULT_STATEMENT_BYTES, Pool};
use sql_values::types::{Datum, SqlType};
use txn::db::{Config, Db, Txn, TxnOptions};
use txn::testing::LocalCluster;

use crate::{ExecContext, Execution, NoSequences, NoVirtualTables, Row};

pub(crate) const EQ: u32 = 65;
pub(crate) const LT: u32 = 66;
pub(crate) const GT: u32 = 147;
pub(crate) const ADD: u32 = 177;
pub(crate) const DIV: u32 = 154;
pub(crate) const COUNT_ALL: u32 = 2803;
pub(crate) const COUNT: u32 = 2147;
pub(crate) const SUM: u32 = 2108;

struct NoCatalog;

impl CatalogView for NoCatalog {
    fn version(&self) -> u64 {
        1
    }
    fn table(&self, _: Option<&str>, _: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(None)
    }
    fn table_by_id(&self, _: TableId) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(None)
    }
    fn tables(&self, _: &str) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        Ok(Vec::new())
    }
    fn search_path(&self) -> Vec<String> {
        vec!["public".into()]
    }
    fn database(&self) -> &str {
        "test"
    }
    fn user(&self) -> &str {
        "test"
    }
    fn type_named(&self, text: &str) -> SqlResult<SqlType> {
        sql_parse::parse_type(text)
    }
}

/// What a test gives its statements.
pub(crate) struct Session {
    pub(crate) interrupt: Interrupt,
    pub(crate) params: Vec<Datum>,
    pub(crate) memory: Pool,
    /// Never by direct operators.
    pub(crate) by_operators: bool,
    /// As [`ExecContext::may_repeat`].
    pub(crate) may_repeat: bool,
}

impl Default for Session {
    fn default() -> Self {
        Session {
            interrupt: Interrupt::bounded(u32::MAX),
            params: Vec::new(),
            memory: Pool::new(DEFAULT_STATEMENT_BYTES),
            by_operators: false,
            may_repeat: false,
        }
    }
}

impl Session {
    pub(crate) fn context(&self) -> ExecContext<'_> {
        ExecContext {
            eval: EvalContext {
                statement_time: 0,
                transaction_time: 0,
                clock: &|| 0,
                random: &|| 4,
                time_zone: "UTC",
                style: sql_values::types::TextStyle::DEFAULT,
                catalog: &NoCatalog,
                functions: sql_functions::registry(),
                session: &NoSession,
                backend_pid: 0,
                interrupt: &self.interrupt,
                memory: &self.memory,
            },
            params: &self.params,
            virtual_tables: &NoVirtualTables,
            sequences: &NoSequences,
            may_repeat: self.may_repeat,
        }
    }

    /// All rows, and what was affected.
    pub(crate) async fn run(&self, txn: &mut Txn, plan: &Plan) -> SqlResult<(Vec<Row>, u64)> {
        let context = self.context();
        let mut execution = match self.by_operators {
            true => Execution::by_operators(plan, &self.memory),
            false => Execution::new(plan, &self.memory),
        };
        let rows = execution.next_rows(plan, txn, &context, usize::MAX).await?;
        assert!(execution.is_done());
        Ok((rows, execution.affected()))
    }
}

/// The rows of a node.
pub(crate) async fn rows(txn: &mut Txn, root: Node) -> SqlResult<Vec<Row>> {
    Ok(Session::default().run(txn, &plan(root)).await?.0)
}

/// Runs a write, twice over: both ways must agree. Returns its rows and its count.
pub(crate) async fn write(txn: &mut Txn, root: Node) -> SqlResult<(Vec<Row>, u64)> {
    let plan = plan(root);
    let savepoint = txn.savepoint().unwrap();
    let operators = Session { by_operators: true, ..Session::default() };
    let first = operators.run(txn, &plan).await;
    txn.rollback_to(savepoint).unwrap();
    let second = Session::default().run(txn, &plan).await;
    assert_eq!(first, second, "operators, then directly");
    second
}

pub(crate) fn begin() -> Txn {
    database().begin(TxnOptions::default())
}

pub(crate) fn database() -> Db {
    let cluster = LocalCluster::new();
    Db::new(cluster.env.clone(), cluster, Config::default())
}

pub(crate) fn plan(root: Node) -> Plan {
    let writes = matches!(root, Node::Insert(_) | Node::Update(_) | Node::Delete(_));
    let (columns, parameters, tables, ctes) = (vec![], vec![], vec![], vec![]);
    Plan { root, columns, parameters, tables, ctes, writes }
}

/// `t (id int primary key, n int, name text)`, with a unique index on `n` and a plain one on `name`.
pub(crate) fn table() -> Arc<TableDescriptor> {
    let column = |id, name: &str, ty, not_null| ColumnDescriptor {
        id: ColumnId(id),
        name: name.into(),
        ty,
        not_null,
        default: None,
        hidden: false,
        missing: None,
        identity: None,
    };
    let index = |id, name: &str, unique, column| IndexDescriptor {
        id: IndexId(id),
        oid: 20_000 + id,
        name: name.into(),
        unique,
        constraint: unique,
        key: vec![(ColumnId(column), false)],
    };
    Arc::new(TableDescriptor {
        id: TableId(16_384),
        version: 1,
        schema: "public".into(),
        name: "t".into(),
        kind: TableKind::Stored,
        columns: vec![
            column(1, "id", SqlType::Int4, true),
            column(2, "n", SqlType::Int4, false),
            column(3, "name", SqlType::Text, false),
        ],
        indexes: vec![
            index(1, "t_pkey", true, 1),
            index(2, "t_n_key", true, 2),
            index(3, "t_name_idx", false, 3),
        ],
        building: Vec::new(),
        checks: vec![],
        next_column: 4,
        next_index: 4,
    })
}

pub(crate) fn int(value: i32) -> Expr {
    Expr::Const(Datum::Int4(value), SqlType::Int4)
}

pub(crate) fn null() -> Expr {
    Expr::Const(Datum::Null, SqlType::Int4)
}

pub(crate) fn text(value: &str) -> Expr {
    Expr::Const(Datum::text(value), SqlType::Text)
}

pub(crate) fn slot(slot: usize) -> Expr {
    Expr::Slot(slot, SqlType::Int4)
}

pub(crate) fn outer(level: usize, slot: usize) -> Expr {
    Expr::Outer { level, slot, ty: SqlType::Int4 }
}

/// The function with an oid.
pub(crate) fn function(oid: u32) -> &'static Function {
    sql_functions::registry().function(oid).unwrap()
}

pub(crate) fn call(oid: u32, left: Expr, right: Expr) -> Expr {
    let ty = match oid {
        ADD | DIV | 141 | 181 => SqlType::Int4,
        _ => SqlType::Bool,
    };
    Expr::Call { function: function(oid), args: vec![left, right], ty }
}

/// Rows of integers; none is NULL.
pub(crate) fn values(rows: &[&[Option<i32>]]) -> Node {
    let width = rows.first().map_or(0, |row| row.len());
    let value = |value: &Option<i32>| value.map_or_else(null, int);
    Node::Values(node::Values {
        rows: rows.iter().map(|row| row.iter().map(value).collect()).collect(),
        types: vec![SqlType::Int4; width],
    })
}

/// `(id, n, name)`.
pub(crate) type T = (i32, Option<i32>, Option<&'static str>);

pub(crate) fn t_values(rows: &[T]) -> Node {
    let row = |(id, n, name): &T| {
        vec![
            int(*id),
            n.map_or_else(null, int),
            name.map_or_else(|| Expr::Const(Datum::Null, SqlType::Text), text),
        ]
    };
    Node::Values(node::Values {
        rows: rows.iter().map(row).collect(),
        types: vec![SqlType::Int4, SqlType::Int4, SqlType::Text],
    })
}

pub(crate) fn t_row((id, n, name): T) -> Row {
    vec![Datum::Int4(id), n.map_or(Datum::Null, Datum::Int4), name.map_or(Datum::Null, Datum::text)]
}

pub(crate) fn insert(rows: &[T]) -> Node {
    Node::Insert(node::Insert {
        table: table(),
        input: Box::new(t_values(rows)),
        checks: vec![],
        on_conflict: None,
        returning: None,
    })
}

pub(crate) fn scan(index: IndexId, spans: Vec<IndexSpan>) -> Node {
    Node::Scan(node::Scan {
        table: table(),
        index,
        spans,
        columns: vec![ColumnId(1), ColumnId(2), ColumnId(3)],
        filter: None,
        lock: None,
        limit: None,
        reverse: false,
    })
}

pub(crate) fn all() -> Node {
    scan(PRIMARY_INDEX, vec![])
}

pub(crate) fn equal(value: Expr) -> IndexSpan {
    IndexSpan { equal: vec![value], ..IndexSpan::default() }
}

pub(crate) fn point(id: i32) -> Node {
    scan(PRIMARY_INDEX, vec![equal(int(id))])
}

/// What a table holds, by every index.
pub(crate) async fn contents(txn: &mut Txn) -> Vec<Row> {
    let found = rows(txn, all()).await.unwrap();
    for index in [2, 3] {
        let mut by_index = rows(txn, scan(IndexId(index), vec![])).await.unwrap();
        by_index.sort_by_key(|row| match row[0] {
            Datum::Int4(id) => id,
            _ => panic!("an id"),
        });
        assert_eq!(by_index, found, "index {index} holds what the table holds");
    }
    found
}

pub(crate) fn ints(rows: &[&[Option<i32>]]) -> Vec<Row> {
    let value = |value: &Option<i32>| value.map_or(Datum::Null, Datum::Int4);
    rows.iter().map(|row| row.iter().map(value).collect()).collect()
}
