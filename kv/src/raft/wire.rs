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

/// True iff the message hands over a leadership.
pub(crate) fn hands_over(message: &RaftMessage) -> bool {
    message.kind == MessageType::MsgTimeoutNow.value()
}

/// raft-rs's form. `None` when the type is unknown or local: then it is not a message of this version.
pub(crate) fn decode(message: RaftMessage) -> Option<Message> {
    let kind = MessageType::from_i32(message.kind)?;
    if raft::raw_node::is_local_msg(kind) || kind == MessageType::MsgPropose {
        return None;
    }
    let entries: Option<Vec<Entry>> = message.entries.into_iter().map(decode_entry).collect();
    Some(Message {
        msg_type: kind,
        from: message.from,
        to: message.to,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: entries?.into(),
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        request_snapshot: message.request_snapshot,
        ..Message::default()
    })
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
    Some(Entry {
        entry_type: EntryType::from_i32(entry.kind)?,
        term: entry.term,
        index: entry.index,
        data: entry.data,
        context: entry.context,
        ..Entry::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_local_ones_are_refused() {
        let entry = Entry { term: 3, index: 11, data: vec![1, 2, 3].into(), ..Entry::default() };
        let message = Message {
            msg_type: MessageType::MsgAppend,
            from: 1,
            to: 2,
            term: 3,
            log_term: 2,
            index: 10,
            commit: 9,
            entries: vec![entry].into(),
            ..Message::default()
        };
        let ours = encode(RangeId(7), message.clone());
        assert_eq!(ours.range_id, 7);
        assert_eq!(decode(ours.clone()), Some(message));
        for kind in [MessageType::MsgHup as i32, MessageType::MsgPropose as i32, 99] {
            assert_eq!(decode(RaftMessage { kind, ..ours.clone() }), None);
        }
    }
}
