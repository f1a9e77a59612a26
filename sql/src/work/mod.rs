//! One statement's work: from a query's tree to rows, in the session's transaction. What sessions and changes of the
//! schema stand on.

pub(crate) mod engine;
pub(crate) mod sequences;
pub(crate) mod sinks;
pub(crate) mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use sql_catalog::descriptor::{Object, ObjectKind, TableDescriptor, TableId};
use sql_catalog::function::{EvalContext, SessionState};
use sql_catalog::system;
use sql_exec as exec;
use sql_exec::sink::ResultSink;
use sql_exec::{ExecContext, Execution, Row};
use sql_functions as func;
use sql_parse as parse;
use sql_parse::{Name, Query, Statement};
use sql_plan::{Expr, Node, Plan, node};
use sql_planner::bind;
use sql_planner::bind::Environment;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::interrupt::Interrupt;
use sql_values::memory::Pool;
use sql_values::types::{Datum, SqlType};

use txn::db::Txn;

use crate::catalog::store::Gates;
use crate::catalog::view::{Identity, Missing, StatementCatalog};
use crate::settings::Settings;
use crate::system::SystemTables;
use engine::{PlanKey, SqlEngine};
use sequences::{SessionSequences, StatementSequences, all_states};
use sinks::{Collected, Named, append_names};
use transaction::Open;

/// How often a statement is bound for want of a table's descriptor: more tables than any statement names.
const MAX_BINDINGS: usize = 64;
/// Objects below are the system's.
const FIRST_USER_ID: u32 = 16_384;

/// What is to be done with a plan.
enum Job<'j> {
    /// All of it, the rows to a sink.
    Run(&'j mut dyn ResultSink),
    /// The next rows of an execution, so many at most.
    Fetch(&'j mut Execution, usize),
    /// Once for each list of parameters.
    Each(&'j [Row]),
}

/// What came of it.
enum Done {
    Count(u64),
    Rows(Vec<Row>),
    /// The list of this number.
    Failed(usize, SqlError),
}

/// The session as functions see it. What they change of it is changed when the statement is done.
struct Asked<'a> {
    settings: &'a Settings,
    /// Settings with their values, and whether for the transaction alone.
    asked: Mutex<Vec<(String, String, bool)>>,
}

impl SessionState for Asked<'_> {
    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name)
    }

    fn change_setting(&self, name: &str, value: &str, local: bool) -> SqlResult<()> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push((name.to_owned(), value.to_owned(), local));
        Ok(())
    }
}

/// What a statement works with.
pub(crate) struct Work<'a> {
    pub(crate) engine: &'a Arc<SqlEngine>,
    pub(crate) settings: &'a Settings,
    pub(crate) open: &'a mut Open,
    pub(crate) gates: &'a mut Gates,
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    /// The number of the session's connection.
    pub(crate) number: i32,
    /// When the statement began, in microseconds since 2000.
    pub(crate) time: i64,
    pub(crate) interrupt: &'a Interrupt,
    /// What the session knows of sequences.
    pub(crate) sequences: &'a SessionSequences,
}

impl Work<'_> {
    /// The memory of a statement that begins.
    pub(crate) fn memory(&self) -> Pool {
        self.engine.memory.statement(self.settings.present().work_mem)
    }

    fn identity(&self) -> Identity<'_> {
        let search_path = &self.settings.present().search_path;
        Identity { user: self.user, database: self.database, search_path }
    }

    fn view<'v>(&'v self, absent: &'v BTreeSet<Missing>) -> StatementCatalog<'v> {
        StatementCatalog::new(&self.open.catalog, self.identity(), absent)
    }

    /// The plan of a query, from the cache if its tables are still the same.
    pub(crate) async fn plan(
        &mut self,
        query: &Query,
        text: &str,
        parameters: &[SqlType],
    ) -> SqlResult<Arc<Plan>> {
        self.plan_kept(query, text, parameters).await.map(|(plan, _)| plan)
    }

    /// The plan, and whether it is for whoever has its tables as they are: it is kept, and what it asks of the catalog
    /// when it runs is nothing else.
    pub(crate) async fn plan_kept(
        &mut self,
        query: &Query,
        text: &str,
        parameters: &[SqlType],
    ) -> SqlResult<(Arc<Plan>, bool)> {
        let search_path = self.settings.present().search_path.clone();
        let key = PlanKey { text: text.to_owned(), search_path, parameters: parameters.to_vec() };
        let reads_catalog = reads_catalog(text);
        if reads_catalog {
            self.open.catalog.load_whole(&mut self.open.txn).await?;
        }
        if let Some(plan) = self.engine.cached(&key)
            && self.is_current(&plan).await?
        {
            let shows_names = self.load_names(&plan).await?;
            return Ok((plan, !reads_catalog && !shows_names));
        }
        let plan = Arc::new(self.bind(query, parameters).await?);
        let shows_names = self.load_names(&plan).await?;
        // What a transaction changes may be rolled back, and its version be given again to something else.
        let may_keep = !self.open.catalog.is_changing();
        if may_keep {
            self.engine.keep(key, plan.clone());
        }
        Ok((plan, may_keep && !reads_catalog && !shows_names))
    }

    /// Loads the catalog for a plan that shows oids as names, or may. True if it does.
    async fn load_names(&mut self, plan: &Plan) -> SqlResult<bool> {
        let mut shows = plan.columns.iter().any(|column| column.ty.holds_names());
        for (id, _) in plan.tables.iter().filter(|(id, _)| id.0 >= FIRST_USER_ID) {
            let table = self.open.catalog.table_by_id(&mut self.open.txn, *id).await?;
            let mut columns = table.iter().flat_map(|table| &table.columns);
            shows |= columns.any(|column| column.ty.holds_names());
        }
        if shows {
            self.open.catalog.load_whole(&mut self.open.txn).await?;
        }
        Ok(shows)
    }

    pub(crate) async fn is_current(&mut self, plan: &Plan) -> SqlResult<bool> {
        for (id, version) in &plan.tables {
            if id.0 < FIRST_USER_ID {
                continue;
            }
            let table = self.open.catalog.table_by_id(&mut self.open.txn, *id).await?;
            if table.is_none_or(|table| table.version != *version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Binds, fetching what turns out to be needed.
    async fn bind(&mut self, query: &Query, parameters: &[SqlType]) -> SqlResult<Plan> {
        let mut absent = BTreeSet::new();
        for _ in 0..MAX_BINDINGS {
            let view = self.view(&absent);
            let environment =
                Environment { catalog: &view, functions: func::registry(), parameters };
            let bound = sql_planner::plan(query, &environment);
            let missing = view.take_missing();
            if missing.is_empty() {
                return bound;
            }
            for what in missing {
                if !self.fetch(&what).await? {
                    absent.insert(what);
                }
            }
        }
        let text = "the statement names too many tables";
        Err(SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, text))
    }

    /// True iff it exists.
    async fn fetch(&mut self, what: &Missing) -> SqlResult<bool> {
        let Open { txn, catalog, .. } = &mut *self.open;
        match what {
            Missing::Name((schema, name)) => Ok(catalog.table(txn, schema, name).await?.is_some()),
            Missing::Id(id) => Ok(catalog.table_by_id(txn, *id).await?.is_some()),
            Missing::Whole => catalog.load_whole(txn).await.map(|()| true),
        }
    }

    /// Does a job with what a statement is run with.
    async fn execute(&mut self, params: &[Datum], plan: &Plan, job: Job<'_>) -> SqlResult<Done> {
        self.check_writable(plan, verb(plan))?;
        let engine = self.engine;
        let settings = self.settings;
        let present = settings.present();
        let clock = || engine.now();
        let random = || engine.env.rng.next_u64();
        let session = Asked { settings, asked: Mutex::default() };
        let open = &mut *self.open;
        let states = match plan.tables.iter().any(|(id, _)| *id == system::SEQUENCES) {
            true => all_states(&engine.db, &open.catalog, &mut open.txn).await?,
            false => BTreeMap::new(),
        };
        let tables = SystemTables { settings, states };
        let sequences = StatementSequences::new(
            &engine.db,
            &open.catalog,
            self.sequences,
            open.read_only,
            present.lock_timeout,
        );
        let memory = match &job {
            Job::Fetch(execution, _) => execution.memory().clone(),
            _ => engine.memory.statement(present.work_mem),
        };
        let absent = BTreeSet::new();
        let identity = Identity {
            user: self.user,
            database: self.database,
            search_path: &present.search_path,
        };
        let view = StatementCatalog::new(&open.catalog, identity, &absent);
        let context = ExecContext {
            eval: EvalContext {
                statement_time: self.time,
                transaction_time: open.started,
                clock: &clock,
                random: &random,
                time_zone: &present.time_zone,
                style: present.style,
                catalog: &view,
                functions: sql_functions::registry(),
                session: &session,
                backend_pid: self.number,
                interrupt: self.interrupt,
                memory: &memory,
            },
            params,
            virtual_tables: &tables,
            sequences: &sequences,
            // The rows of a COPY are not sent twice.
            may_repeat: open.alone && open.restarts == 0 && !matches!(job, Job::Each(_)),
        };
        let txn = &mut open.txn;
        let done = run_job(job, plan, txn, &context).await;
        sequences.give_back().await;
        open.asked.extend(session.asked.into_inner().unwrap_or_else(PoisonError::into_inner));
        done
    }

    fn check_writable(&self, plan: &Plan, what: &str) -> SqlResult<()> {
        if plan.writes { self.check_not_read_only(what) } else { Ok(()) }
    }

    /// 25006 in a read-only transaction.
    pub(crate) fn check_not_read_only(&self, what: &str) -> SqlResult<()> {
        if !self.open.read_only {
            return Ok(());
        }
        let text = format!("cannot execute {what} in a read-only transaction");
        Err(SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, text))
    }

    /// Runs a plan to its end. Returns how many rows were written or given.
    pub(crate) async fn run(
        &mut self,
        plan: &Plan,
        params: &[Datum],
        sink: &mut dyn ResultSink,
    ) -> SqlResult<u64> {
        match self.execute(params, plan, Job::Run(sink)).await? {
            Done::Count(count) => Ok(count),
            Done::Rows(_) | Done::Failed(..) => {
                Err(SqlError::internal("something else than the number of rows"))
            }
        }
    }

    /// Runs an INSERT of one row of parameters once for each list of them, as one statement. An error comes with the
    /// number of the list that it is about, from zero.
    pub(crate) async fn run_each(
        &mut self,
        plan: &Plan,
        params: &[Row],
    ) -> Result<u64, (usize, SqlError)> {
        match self.execute(&[], plan, Job::Each(params)).await.map_err(|error| (0, error))? {
            Done::Count(count) => Ok(count),
            Done::Failed(number, error) => Err((number, error)),
            Done::Rows(_) => Err((0, SqlError::internal("rows instead of their number"))),
        }
    }

    /// The next rows of a portal with their names behind them, `max` at most; none at its end.
    pub(crate) async fn fetch_rows(
        &mut self,
        plan: &Plan,
        execution: &mut Execution,
        params: &[Datum],
        max: usize,
    ) -> SqlResult<Vec<Row>> {
        match self.execute(params, plan, Job::Fetch(execution, max)).await? {
            Done::Rows(rows) => Ok(rows),
            Done::Count(_) | Done::Failed(..) => {
                Err(SqlError::internal("something else than rows"))
            }
        }
    }

    /// Runs a query of our own in the transaction and returns its rows.
    pub(crate) async fn query(&mut self, text: &str) -> SqlResult<Vec<Row>> {
        let parsed = parse::parse(text)?;
        let [parse::Parsed { statement: Statement::Query(query), .. }] = parsed.as_slice() else {
            return Err(SqlError::internal("one query was expected"));
        };
        // Not cached: nobody asks it twice.
        let plan = Arc::new(self.bind(query, &[]).await?);
        let mut rows = Collected::default();
        self.run(&plan, &[], &mut rows).await?;
        Ok(rows.0)
    }

    /// Binds a query of our own, for its errors.
    pub(crate) async fn bind_only(&mut self, text: &str) -> SqlResult<()> {
        self.bind_text(text).await.map(|_| ())
    }

    /// Binds a query of our own.
    pub(crate) async fn bind_text(&mut self, text: &str) -> SqlResult<Plan> {
        let parsed = parse::parse(text)?;
        let [parse::Parsed { statement: Statement::Query(query), .. }] = parsed.as_slice() else {
            return Err(SqlError::internal("one query was expected"));
        };
        // Places in a text that the user has not written help nobody.
        let bound = self.bind(query, &[]).await;
        bound.map_err(|error| SqlError { position: None, ..error })
    }

    /// The value of an expression that reads no row.
    pub(crate) async fn value_of(&mut self, expr: Expr, ty: SqlType) -> SqlResult<Datum> {
        let mut row = self.row_of(vec![expr], vec![ty]).await?;
        row.pop().ok_or_else(|| SqlError::internal("an expression without a value"))
    }

    async fn row_of(&mut self, exprs: Vec<Expr>, types: Vec<SqlType>) -> SqlResult<Row> {
        let plan = Plan {
            root: Node::Values(node::Values { rows: vec![exprs], types }),
            columns: Vec::new(),
            parameters: Vec::new(),
            tables: Vec::new(),
            ctes: Vec::new(),
            writes: false,
        };
        let mut rows = Collected::default();
        self.run(&Arc::new(plan), &[], &mut rows).await?;
        rows.0.pop().ok_or_else(|| SqlError::internal("expressions without values"))
    }

    /// The values of EXECUTE's arguments.
    pub(crate) async fn values_of(
        &mut self,
        arguments: &[parse::Expression],
        types: &[SqlType],
    ) -> SqlResult<Vec<Datum>> {
        if arguments.is_empty() {
            return Ok(Vec::new());
        }
        let absent = BTreeSet::new();
        let view = self.view(&absent);
        let environment =
            Environment { catalog: &view, functions: func::registry(), parameters: &[] };
        let exprs = bind::bind_arguments(arguments, types, &environment)?;
        self.row_of(exprs, types.to_vec()).await
    }

    /// The table of a name as a user writes it, stored or not.
    pub(crate) async fn find_table(
        &mut self,
        name: &Name,
    ) -> SqlResult<Option<Arc<TableDescriptor>>> {
        name.within(self.database)?;
        let schemas = match &name.schema {
            Some(schema) => vec![schema.clone()],
            None => self.settings.present().search_path.to_vec(),
        };
        for schema in schemas {
            if system::is_virtual_schema(&schema) {
                if let Some(table) = system::table(&schema, &name.name) {
                    return Ok(Some(table));
                }
            } else if system::exists(&schema) {
                let Open { txn, catalog, .. } = &mut *self.open;
                if let Some(table) = catalog.table(txn, &schema, &name.name).await? {
                    return Ok(Some(table));
                }
            }
        }
        Ok(None)
    }

    /// What has a name that is not a system table's.
    pub(crate) async fn find_object(&mut self, name: &Name) -> SqlResult<Option<Object>> {
        let schemas = match &name.schema {
            Some(schema) => vec![schema.clone()],
            None => self.settings.present().search_path.to_vec(),
        };
        for schema in schemas.iter().filter(|schema| !system::is_virtual_schema(schema)) {
            let Open { txn, catalog, .. } = &mut *self.open;
            if let Some(object) = catalog.object(txn, schema, &name.name).await? {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// The stored table of a name; or 42P01, 42809 for what is no table, 42501 for a system table.
    pub(crate) async fn stored_table(&mut self, name: &Name) -> SqlResult<Arc<TableDescriptor>> {
        let Some(table) = self.find_table(name).await? else {
            return Err(match self.find_object(name).await? {
                Some(Object { kind, .. }) if kind != ObjectKind::Table => {
                    let text = format!("\"{}\" is {}", name.name, kind.noun());
                    SqlError::new(SqlState::WRONG_OBJECT_TYPE, text)
                }
                _ => undefined(name),
            });
        };
        if table.sequence().is_some() {
            let text = format!("\"{}\" is not a table", table.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
        if table.id.0 < FIRST_USER_ID {
            let text = format!("permission denied: \"{}\" is a system catalog", table.name);
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
        }
        Ok(table)
    }

    /// Makes ready to change a table.
    pub(crate) async fn begin_change(&mut self, id: TableId) -> SqlResult<Arc<TableDescriptor>> {
        let Open { txn, catalog, .. } = &mut *self.open;
        catalog.begin_change(txn, self.gates, id).await
    }
}

/// Does a job.
async fn run_job(
    job: Job<'_>,
    plan: &Plan,
    txn: &mut Txn,
    context: &ExecContext<'_>,
) -> SqlResult<Done> {
    match job {
        Job::Run(sink) if plan.columns.iter().any(|column| column.ty.holds_names()) => {
            let mut named = Named { sink, plan, eval: &context.eval };
            Ok(Done::Count(exec::run(plan, txn, context, &mut named).await?))
        }
        Job::Run(sink) => Ok(Done::Count(exec::run(plan, txn, context, sink).await?)),
        Job::Fetch(execution, max) => {
            let mut rows = execution.next_portion(plan, txn, context, max).await?;
            for row in &mut rows {
                append_names(row, &plan.columns, &context.eval)?;
            }
            Ok(Done::Rows(rows))
        }
        Job::Each(params) => Ok(match exec::run_each(plan, txn, context, params).await {
            Ok(count) => Done::Count(count),
            Err((number, error)) => Done::Failed(number, error),
        }),
    }
}

/// 42P01.
pub(crate) fn undefined(name: &Name) -> SqlError {
    let qualified = match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    };
    let text = format!("relation \"{qualified}\" does not exist");
    let error = SqlError::new(SqlState::UNDEFINED_TABLE, text);
    match name.position {
        Some(position) => error.at(position),
        None => error,
    }
}

/// What a plan does, as PostgreSQL's errors call it.
fn verb(plan: &Plan) -> &'static str {
    match &plan.root {
        Node::Insert(_) => "INSERT",
        Node::Update(_) => "UPDATE",
        Node::Delete(_) => "DELETE",
        _ => "SELECT",
    }
}

/// True if functions of the statement may ask for any table of the catalog, which nothing shows before it runs.
/// Errs on the side of reading more.
fn reads_catalog(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["pg_", "information_schema", "regclass", "regtype", "to_reg", "_privilege"]
        .iter()
        .any(|word| text.contains(word))
}
