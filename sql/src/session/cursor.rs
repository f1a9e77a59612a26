//! Cursors: DECLARE, FETCH, MOVE, and what becomes of them when a transaction writes, goes back or ends.
//!
//! A cursor gives the rows that there were when it was declared. They are read as they are asked for, until the
//! transaction writes: before that the rest is read ahead ([`Session::read_ahead`]). A cursor WITH HOLD is read to its end
//! by the commit. What is kept has a bound for all cursors of a session ([`KEPT_BYTES_MAX`]): beyond it a cursor ends with
//! 53200 where its rows end.
//!
//! [`KEPT_BYTES_MAX`]: super::kept::KEPT_BYTES_MAX

use std::sync::Arc;

use sql_parse::{DeclareCursor, FetchDirection, Statement};
use sql_planner::bind;
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::kept::Scroll;
use super::portal::Portal;
use super::statement::Mode;
use super::{ResultSink, Session};
use crate::work::sinks::give;

/// Rows read ahead at a time.
const PORTION: usize = 1_024;

impl Session {
    /// DECLARE.
    pub(super) async fn declare(
        &mut self,
        declare: &DeclareCursor,
        mode: Mode<'_>,
    ) -> SqlResult<String> {
        let name = &declare.name;
        if declare.binary {
            return Err(SqlError::unsupported("DECLARE BINARY CURSOR"));
        }
        check_locks(declare)?;
        if !declare.hold {
            self.require_transaction("DECLARE CURSOR")?;
        }
        if self.portals.contains_key(name) {
            let text = format!("cursor \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, text));
        }
        let query = (*declare.query).clone();
        let prepared = self.prepare(Some(query), mode.types.to_vec()).await?;
        if prepared.types.len() > mode.params.len() {
            let text = format!("there is no parameter ${}", mode.params.len() + 1);
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, text));
        }
        let mut portal = Portal::new(Arc::new(prepared), mode.params.to_vec());
        portal.scroll = match declare.scroll {
            Some(false) => Scroll::Never,
            None => Scroll::AtHand,
            Some(true) => Scroll::Always,
        };
        portal.hold = declare.hold;
        self.keep_portal(name, portal)?;
        Ok("DECLARE CURSOR".into())
    }

    /// FETCH and MOVE. A number of rows is the last step's, as in PostgreSQL.
    pub(super) async fn fetch_cursor(
        &mut self,
        name: &str,
        direction: FetchDirection,
        only_move: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        let mut portal = self.take_portal(name)?;
        let sink = if only_move {
            None
        } else {
            sink.columns(&portal.prepared.columns.clone().unwrap_or_default())?;
            Some(sink)
        };
        let count = self.fetch_from(&mut portal, direction, sink).await?;
        self.portals.insert(name.to_owned(), portal);
        Ok(format!("{} {count}", if only_move { "MOVE" } else { "FETCH" }))
    }

    async fn fetch_from(
        &mut self,
        portal: &mut Portal,
        direction: FetchDirection,
        sink: Option<&mut dyn ResultSink>,
    ) -> SqlResult<u64> {
        use FetchDirection as D;
        match direction {
            D::All => self.forward(portal, None, sink).await,
            D::BackwardAll if sink.is_none() => {
                let passed = portal.at.saturating_sub(1);
                portal.go_back_to(0)?;
                Ok(passed)
            }
            D::BackwardAll => portal.backward(u64::MAX, sink),
            D::Relative(0) | D::RelativeRow(0) => portal.present(sink),
            D::Relative(count) if count > 0 => {
                self.forward(portal, Some(count.unsigned_abs()), sink).await
            }
            D::Relative(count) => portal.backward(count.unsigned_abs(), sink),
            D::RelativeRow(count) if count > 0 => {
                self.forward(portal, Some(count.unsigned_abs() - 1), None).await?;
                self.forward(portal, Some(1), sink).await
            }
            D::RelativeRow(count) => {
                portal.backward(count.unsigned_abs() - 1, None)?;
                portal.backward(1, sink)
            }
            D::Absolute(0) => portal.go_back_to(0).map(|()| 0),
            D::Absolute(number) if number > 0 => {
                let before = number.unsigned_abs() - 1;
                if before < portal.at {
                    portal.go_back_to(before)?;
                } else {
                    self.forward(portal, Some(before - portal.at), None).await?;
                }
                self.forward(portal, Some(1), sink).await
            }
            D::Absolute(from_end) => {
                if portal.scroll == Scroll::Never {
                    return Err(forward_only());
                }
                self.forward(portal, None, None).await?;
                portal.backward(from_end.unsigned_abs() - 1, None)?;
                portal.backward(1, sink)
            }
        }
    }

    /// Before the transaction writes: reads the rows of open cursors, which must not see it. What goes wrong with a
    /// cursor is told to whoever fetches from it.
    pub(super) async fn read_ahead(&mut self) -> SqlResult<()> {
        let open = self.portals.iter().filter(|(_, portal)| portal.is_open_query());
        let names: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut portal = self.take_portal(&name)?;
            let read = Box::pin(self.read_to_end(&mut portal)).await;
            match read {
                Ok(()) => {}
                Err(error) if error.asks_for_another_attempt() => return Err(error),
                Err(error) => {
                    portal.run = None;
                    portal.end = Some(Err(error));
                }
            }
            self.portals.insert(name, portal);
        }
        Ok(())
    }

    async fn read_to_end(&mut self, portal: &mut Portal) -> SqlResult<()> {
        while portal.end.is_none() {
            self.read_on(portal, PORTION).await?;
        }
        Ok(())
    }

    /// Before a commit: reads the rows of the cursors WITH HOLD that were declared in the transaction.
    pub(super) async fn read_held(&mut self) -> SqlResult<()> {
        let fresh = |portal: &Portal| portal.hold && !portal.held && !portal.is_broken();
        let found = self.portals.iter().filter(|(_, portal)| fresh(portal));
        let names: Vec<String> = found.map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut portal = self.take_portal(&name)?;
            self.read_to_end(&mut portal).await?;
            if let Some(Err(error)) = &portal.end {
                return Err(error.clone());
            }
            portal.run = None;
            self.portals.insert(name, portal);
        }
        Ok(())
    }

    /// The transaction has ended: cursors that are held stay.
    pub(super) fn end_cursors(&mut self, committed: bool) {
        for portal in self.portals.values_mut() {
            if committed && portal.hold && !portal.is_broken() {
                (portal.held, portal.depth) = (true, 0);
            }
        }
        self.portals.retain(|_, portal| portal.held);
    }

    /// ROLLBACK TO the savepoint of this place: what was declared since is gone.
    pub(super) fn roll_back_cursors(&mut self, savepoint: usize) {
        self.portals.retain(|_, portal| portal.held || portal.depth <= savepoint);
    }

    /// RELEASE of the savepoint of this place, and of those after it.
    pub(super) fn release_cursors(&mut self, savepoint: usize) {
        for portal in self.portals.values_mut() {
            portal.depth = portal.depth.min(savepoint);
        }
    }
}

impl Portal {
    /// The present row once more, if it is on one.
    fn present(&mut self, sink: Option<&mut dyn ResultSink>) -> SqlResult<u64> {
        if self.at == 0 || self.is_past_end() {
            return Ok(0);
        }
        let Some(sink) = sink else { return Ok(1) };
        match self.kept.get(self.at) {
            Some(row) if self.scroll != Scroll::Never => {
                give(sink, self.prepared.shown(), row).map(|()| 1)
            }
            _ => Err(forward_only()),
        }
    }

    /// Goes back by so many rows, to before the first at most, and gives them, the nearest first.
    fn backward(&mut self, count: u64, mut sink: Option<&mut dyn ResultSink>) -> SqlResult<u64> {
        let (from, to) = (self.at, self.at.saturating_sub(count));
        if self.scroll == Scroll::Never {
            return Err(forward_only());
        }
        self.go_back_to(to)?;
        let mut given = 0;
        for number in (to.max(1)..from).rev() {
            let row = self.kept.get(number).ok_or_else(forward_only)?;
            given += 1;
            if let Some(sink) = &mut sink {
                give(*sink, self.prepared.shown(), row)?;
            }
        }
        Ok(given)
    }

    /// 55000 if it cannot.
    fn go_back_to(&mut self, number: u64) -> SqlResult<()> {
        // On a row, that row must be there; before the first, all of them must.
        let is_kept = number > self.kept.before() || self.kept.before() == 0;
        if number < self.at && (self.scroll == Scroll::Never || !is_kept) {
            return Err(forward_only());
        }
        self.at = number;
        Ok(())
    }
}

fn forward_only() -> SqlError {
    let text = "cursor can only scan forward";
    SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
        .hint("Declare it with SCROLL option to enable backward scan.")
}

/// 0A000 for a cursor that locks its rows, and cannot.
fn check_locks(declare: &DeclareCursor) -> SqlResult<()> {
    let Statement::Query(query) = &declare.query.statement else { return Ok(()) };
    let Some(lock) = bind::first_lock(query) else { return Ok(()) };
    let (what, whose) = if declare.hold {
        (format!("DECLARE CURSOR WITH HOLD ... {lock} is not supported"), "Holdable")
    } else if declare.scroll == Some(true) {
        (format!("DECLARE SCROLL CURSOR ... {lock} is not supported"), "Scrollable")
    } else if declare.insensitive {
        (format!("DECLARE INSENSITIVE CURSOR ... {lock} is not valid"), "Insensitive")
    } else {
        return Ok(());
    };
    let state = if declare.insensitive && !declare.hold && declare.scroll != Some(true) {
        SqlState::INVALID_CURSOR_DEFINITION
    } else {
        SqlState::FEATURE_NOT_SUPPORTED
    };
    Err(SqlError::new(state, what).detail(format!("{whose} cursors must be READ ONLY.")))
}
