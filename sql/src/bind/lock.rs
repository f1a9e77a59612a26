//! FOR UPDATE and its like: which tables of a FROM are locked.

use sqlparser::ast;

use super::Binder;
use crate::error::{SqlError, SqlResult};
use crate::parse::name;

/// Which tables of a FROM are locked.
#[derive(Clone, Debug)]
pub(crate) enum Locking {
    None,
    All,
    Of(Vec<String>),
}

impl Locking {
    /// True iff a table of this name is locked.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Locking::None => false,
            Locking::All => true,
            Locking::Of(names) => names.iter().any(|n| n == name),
        }
    }
}

impl Binder<'_> {
    /// FOR UPDATE and its like: every strength locks alike.
    pub(crate) fn note_locks(&mut self, locks: &[ast::LockClause]) -> SqlResult<()> {
        if matches!(self.locking, Locking::Of(_)) {
            self.locking = Locking::None;
        }
        for lock in locks {
            match &lock.nonblock {
                None => {}
                Some(ast::NonBlock::Nowait) => return Err(SqlError::unsupported("NOWAIT")),
                Some(ast::NonBlock::SkipLocked) => {
                    return Err(SqlError::unsupported("SKIP LOCKED"));
                }
            }
            self.locking = match (&lock.of, std::mem::replace(&mut self.locking, Locking::None)) {
                (None, _) | (_, Locking::All) => Locking::All,
                (Some(of), before) => {
                    let mut names = match before {
                        Locking::Of(names) => names,
                        _ => Vec::new(),
                    };
                    names.push(name::object(of, &self.places)?.name);
                    Locking::Of(names)
                }
            };
        }
        Ok(())
    }
}
