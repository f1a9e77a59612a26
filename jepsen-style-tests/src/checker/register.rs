//! The model of a register, and how a history speaks of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Call, History, Kind, Process};
use crate::value::Value;

/// What a register holds; nothing at first.
pub(super) type State = Option<i64>;

/// One operation on a register, with the result that a read was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A read that returned this.
    Read(State),
    /// A write.
    Write(i64),
    /// A compare-and-set that matched: old and new.
    Cas(i64, i64),
}

impl Action {
    /// The state after the action, or `None` when it cannot happen in this one.
    pub(super) fn step(self, state: State) -> Option<State> {
        match self {
            Action::Read(value) => (value == state).then_some(state),
            Action::Write(value) => Some(Some(value)),
            Action::Cas(old, new) => (state == Some(old)).then_some(Some(new)),
        }
    }

    /// The state that the action proves to have existed just before it; `None` if it would go through in any.
    pub(super) fn observes(self) -> Option<State> {
        match self {
            Action::Read(value) => Some(value),
            Action::Write(_) => None,
            Action::Cas(old, _) => Some(Some(old)),
        }
    }

    /// The value that the action leaves behind; `None` for a read.
    pub(super) fn writes(self) -> Option<i64> {
        match self {
            Action::Read(_) => None,
            Action::Write(value) | Action::Cas(_, value) => Some(value),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Read(None) => f.write_str("read nothing"),
            Action::Read(Some(value)) => write!(f, "read {value}"),
            Action::Write(value) => write!(f, "write {value}"),
            Action::Cas(old, new) => write!(f, "cas {old} to {new}"),
        }
    }
}

/// An operation that took effect, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Index of the invocation in the history.
    pub(super) invoked: u64,
    /// Index of the `ok`. `None`: the outcome is unknown, so it may happen at any time after, or never.
    pub(super) returned: Option<u64>,
    /// Who.
    pub(super) process: Process,
    /// What.
    pub(super) action: Action,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returned {
            Some(returned) => write!(f, "[{}..{}] ", self.invoked, returned)?,
            None => write!(f, "[{}..?] ", self.invoked)?,
        }
        write!(f, "{}: {}", self.process, self.action)
    }
}

/// The operations that count, by key. Failed ones and reads without an answer say nothing and are left out.
pub(super) fn events_by_key(history: &History) -> Result<BTreeMap<i64, Vec<Event>>, String> {
    let mut keys: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    for call in history.calls() {
        let (key, action) = parse(&call).ok_or_else(|| {
            format!("not an operation on a register: {}", call.invoke.to_value().edn())
        })?;
        // A key whose operations all failed is still a key.
        let events = keys.entry(key).or_default();
        let returned = match (call.outcome(), call.completion) {
            (Kind::Ok, Some(completion)) => Some(completion.index),
            (Kind::Fail, _) => continue,
            _ if matches!(action, Action::Read(_)) => continue,
            _ => None,
        };
        let process = call.invoke.process;
        events.push(Event { invoked: call.invoke.index, returned, process, action });
    }
    Ok(keys)
}

fn parse(call: &Call<'_>) -> Option<(i64, Action)> {
    let source = match call.completion {
        Some(completion) if completion.kind == Kind::Ok => completion,
        _ => call.invoke,
    };
    let (key, value) = source.value.as_two()?;
    let action = match source.f {
        "read" if *value == Value::Nil => Action::Read(None),
        "read" => Action::Read(Some(value.as_int()?)),
        "write" => Action::Write(value.as_int()?),
        "cas" => {
            let (old, new) = value.as_two()?;
            Action::Cas(old.as_int()?, new.as_int()?)
        }
        _ => return None,
    };
    Some((key.as_int()?, action))
}
