//! raft-rs's messages as ours and back. Snapshots are not carried: logs are only truncated where every
//! replica already has the entries.

use protobuf::ProtobufEnum;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use crate::ids::RangeId;
use crate::rpc::{LogEntry, RaftMessage};

/// Our form of a message of `range`.
pub(crate) fn encode(range: RangeId, message: Message) -> RaftMessage {
    RaftMessage {
        range_id: range.0,
        from: message.from,
        to: message.to,
        kind: message.msg_type.value(),
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(encode_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        request_snapshot: message.request_snapshot,
    }
}

/// raft-rs's form. `None` when the type is unknown or local: then it is not a message of this version.
pub(crate) fn decode(message: RaftMessage) -> Option<Message> {
    let kind = MessageType::from_i32(message.kind)?;
    if raft::raw_node::is_local_msg(kind) || kind == MessageType::MsgPropose {
        return None;
    }
    let entries: Option<Vec<Entry>> = message.entries.into_iter().map(decode_entry).collect();
    let mut out = Message::default();
    out.msg_type = kind;
    out.from = message.from;
    out.to = message.to;
    out.term = message.term;
    out.log_term = message.log_term;
    out.index = message.index;
    out.entries = entries?.into();
    out.commit = message.commit;
    out.commit_term = message.commit_term;
    out.reject = message.reject;
    out.reject_hint = message.reject_hint;
    out.context = message.context;
    out.priority = message.priority;
    out.request_snapshot = message.request_snapshot;
    Some(out)
}

fn encode_entry(entry: Entry) -> LogEntry {
    LogEntry {
        kind: entry.entry_type.value(),
        term: entry.term,
        index: entry.index,
        data: entry.data,
        context: entry.context,
    }
}

fn decode_entry(entry: LogEntry) -> Option<Entry> {
    let mut out = Entry::default();
    out.entry_type = EntryType::from_i32(entry.kind)?;
    out.term = entry.term;
    out.index = entry.index;
    out.data = entry.data;
    out.context = entry.context;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_local_ones_are_refused() {
        let mut entry = Entry::default();
        entry.term = 3;
        entry.index = 11;
        entry.data = vec![1, 2, 3].into();
        let mut message = Message::default();
        message.msg_type = MessageType::MsgAppend;
        message.from = 1;
        message.to = 2;
        message.term = 3;
        message.log_term = 2;
        message.index = 10;
        message.commit = 9;
        message.entries = vec![entry].into();
        let ours = encode(RangeId(7), message.clone());
        assert_eq!(ours.range_id, 7);
        assert_eq!(decode(ours.clone()), Some(message));
        for kind in [MessageType::MsgHup as i32, MessageType::MsgPropose as i32, 99] {
            assert_eq!(decode(RaftMessage { kind, ..ours.clone() }), None);
        }
    }
}
