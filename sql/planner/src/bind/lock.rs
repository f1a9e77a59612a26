//! FOR UPDATE and its like: which tables of a FROM are locked, and how.

use sql_parse::place::Places;
use sql_parse::{Query, name};
use sql_plan::{LockStrength, RowLock, WaitPolicy};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast;

use super::Binder;
use super::scope::Scope;

/// Which tables of a FROM are locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locking(Vec<Clause>);

#[derive(Clone, Debug)]
struct Clause {
    /// None: all tables.
    of: Option<String>,
    lock: RowLock,
}

impl Locking {
    /// How a table of this name is locked. Of several clauses the strongest lock counts, and the least patience.
    pub(crate) fn of(&self, name: &str) -> Option<RowLock> {
        let clauses =
            self.0.iter().filter(|clause| clause.of.as_deref().is_none_or(|of| of == name));
        clauses.map(|clause| clause.lock).reduce(|a, b| RowLock {
            strength: a.strength.min(b.strength),
            policy: a.policy.min(b.policy),
        })
    }
}

/// As PostgreSQL's errors call a clause.
pub(crate) fn shown(lock: RowLock) -> &'static str {
    match lock.strength {
        LockStrength::Update => "FOR UPDATE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::KeyShare => "FOR KEY SHARE",
    }
}

fn strength(clause: &ast::LockClause, places: &Places) -> LockStrength {
    let is_weaker = clause.of.as_ref().is_some_and(|of| places.weaker_lock(of).is_some());
    match (&clause.lock_type, is_weaker) {
        (ast::LockType::Update, false) => LockStrength::Update,
        (ast::LockType::Update, true) => LockStrength::NoKeyUpdate,
        (ast::LockType::Share, false) => LockStrength::Share,
        (ast::LockType::Share, true) => LockStrength::KeyShare,
    }
}

/// The first clause of a query that locks rows, as PostgreSQL's errors call it.
pub fn first_lock(query: &Query) -> Option<&'static str> {
    let ast::Statement::Query(ast) = &*query.ast else { return None };
    let clause = ast.locks.first()?;
    let strength = strength(clause, &query.places);
    Some(shown(RowLock { strength, policy: WaitPolicy::Block }))
}

impl Binder<'_> {
    /// What a clause locks, by name unless it is all, and how.
    fn row_lock(&self, clause: &ast::LockClause) -> SqlResult<Clause> {
        let weaker = clause.of.as_ref().and_then(|of| self.places.weaker_lock(of));
        let strength = strength(clause, &self.places);
        let policy = match &clause.nonblock {
            None => WaitPolicy::Block,
            Some(ast::NonBlock::Nowait) => WaitPolicy::Error,
            Some(ast::NonBlock::SkipLocked) => WaitPolicy::Skip,
        };
        let lock = RowLock { strength, policy };
        let of = match clause.of.as_ref().filter(|_| weaker != Some(true)) {
            None => None,
            Some(of) => {
                let name = name::object(of, &self.places)?;
                if name.schema.is_some() {
                    let text = format!("{} must specify unqualified relation names", shown(lock));
                    let error = SqlError::new(SqlState::SYNTAX_ERROR, text);
                    return Err(error.at_if(name.position));
                }
                Some(name.name)
            }
        };
        Ok(Clause { of, lock })
    }

    /// Locks that apply to a FROM: those of the query around it that name no table, and its own.
    pub(crate) fn note_locks(&mut self, locks: &[ast::LockClause]) -> SqlResult<()> {
        self.locking.0.retain(|clause| clause.of.is_none());
        for lock in locks {
            let clause = self.row_lock(lock)?;
            self.locking.0.push(clause);
        }
        Ok(())
    }

    /// Every name after OF is a table of the FROM.
    pub(crate) fn check_locks(&self, locks: &[ast::LockClause], scope: &Scope) -> SqlResult<()> {
        for lock in locks {
            let Clause { of: Some(of), lock: row_lock } = self.row_lock(lock)? else { continue };
            let position = lock.of.as_ref().and_then(|name| self.places.of_name(name));
            let what = shown(row_lock);
            match scope.items.iter().find(|item| item.name == of) {
                Some(item) if item.table.is_some() => {}
                Some(_) => {
                    let error = SqlError::unsupported(format!("{what} of what is no table"));
                    return Err(error.at_if(position));
                }
                None => {
                    let text =
                        format!("relation \"{of}\" in {what} clause not found in FROM clause");
                    return Err(SqlError::new(SqlState::UNDEFINED_TABLE, text).at_if(position));
                }
            }
        }
        Ok(())
    }

    /// 0A000: rows of such a query have no row of a table to lock.
    pub(crate) fn locks_refused(&self, locks: &[ast::LockClause], what: &str) -> SqlError {
        let clause = locks.first().and_then(|lock| self.row_lock(lock).ok());
        let clause = clause.map_or("FOR UPDATE", |clause| shown(clause.lock));
        let text = format!("{clause} is not allowed with {what}");
        SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text)
    }
}
