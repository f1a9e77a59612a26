//! raft-rs's messages as ours and back. Of a snapshot only its index is said: the store sends it by itself, in parts.

use std::collections::BTreeMap;

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
        index: match message.msg_type {
            MessageType::MsgSnapshot => message.get_snapshot().get_metadata().index,
            _ => message.index,
        },
        entries: message.entries.into_iter().map(encode_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        request_snapshot: message.request_snapshot,
        // The store says who lives where.
        ..RaftMessage::default()
    }
}

/// Makes one message of those to one replica of which each goes on where the one before ends: raft-rs makes one of each
/// proposal, and the receiver would answer each. `max_bytes` of entries in one, unless one alone has more.
pub(crate) fn join_appends(messages: Vec<Message>, max_bytes: usize) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::with_capacity(messages.len());
    // Where the last append to a replica is, and its bytes.
    let mut last: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for message in messages {
        if message.msg_type != MessageType::MsgAppend {
            joined.push(message);
            continue;
        }
        let bytes: usize = message.entries.iter().map(super::bytes_of).sum();
        if let Some((at, before)) = last.get_mut(&message.to) {
            let earlier = &mut joined[*at];
            let end = earlier.index + earlier.entries.len() as u64;
            let goes_on = earlier.term == message.term && end == message.index;
            if goes_on && *before + bytes <= max_bytes {
                earlier.entries.extend(message.entries);
                earlier.commit = earlier.commit.max(message.commit);
                *before += bytes;
                continue;
            }
        }
        last.insert(message.to, (joined.len(), bytes));
        joined.push(message);
    }
    joined
}

/// True iff the message hands over a leadership.
pub(crate) fn hands_over(message: &RaftMessage) -> bool {
    message.kind == MessageType::MsgTimeoutNow.value()
}

/// raft-rs's form. `None` when the type is unknown or local: then it is not a message of this version.
pub(crate) fn decode(message: RaftMessage) -> Option<Message> {
    let kind = MessageType::from_i32(message.kind)?;
    let is_none = matches!(kind, MessageType::MsgPropose | MessageType::MsgSnapshot);
    if raft::raw_node::is_local_msg(kind) || is_none {
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

    #[test]
    fn appends_that_go_on_are_one_message_and_others_are_left_alone() {
        let append = |to, term, index: u64, count: u64, commit| {
            let entry = |n| Entry { term, index: index + n, ..Entry::default() };
            let entries: Vec<_> = (1..=count).map(entry).collect();
            let msg_type = MessageType::MsgAppend;
            Message {
                msg_type,
                to,
                term,
                index,
                commit,
                entries: entries.into(),
                ..Message::default()
            }
        };
        let beat = Message { msg_type: MessageType::MsgHeartbeat, to: 2, ..Message::default() };
        let messages = vec![
            append(2, 5, 10, 1, 8),
            append(3, 5, 10, 1, 8),
            append(2, 5, 11, 2, 9),
            beat.clone(),
            append(2, 5, 13, 0, 10),
            // A probe from further back; what follows follows that one; another term.
            append(2, 5, 9, 0, 10),
            append(2, 5, 13, 1, 10),
            append(2, 6, 14, 1, 10),
        ];
        let shown: Vec<_> = join_appends(messages, 1 << 20)
            .iter()
            .map(|m| {
                (m.msg_type == MessageType::MsgAppend, m.to, m.index, m.entries.len(), m.commit)
            })
            .collect();
        let expected = [
            (true, 2, 10, 3, 10),
            (true, 3, 10, 1, 8),
            (false, 2, 0, 0, 0),
            (true, 2, 9, 0, 10),
            (true, 2, 13, 1, 10),
            (true, 2, 14, 1, 10),
        ];
        assert_eq!(shown, expected);
        let large = vec![append(2, 5, 10, 1, 8), append(2, 5, 11, 1, 8)];
        assert_eq!(join_appends(large, 200).len(), 2, "no more than fits a message");
    }
}
