//! One committed version of a key, and how its value is stored.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kv::clock::Timestamp;
use kv::engine::EngineError;

const FORMAT: u8 = 1;
const FLAG_TOMBSTONE: u8 = 1;
const FLAG_LOCAL_TS: u8 = 2;

/// One committed version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it takes effect: the commit timestamp of its transaction.
    pub ts: Timestamp,
    /// The lease holder's clock when it was written, at most `ts`. A reader who took a reading of that clock
    /// before has begun before the write was acknowledged.
    pub local_ts: Timestamp,
    /// The value; none says that the key was deleted.
    pub value: Option<Bytes>,
}

/// When a version was written: its two timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// As [`Version::ts`].
    pub ts: Timestamp,
    /// As [`Version::local_ts`].
    pub local_ts: Timestamp,
}

impl Times {
    /// As [`Version::new`].
    pub fn new(ts: Timestamp, clock: Timestamp) -> Self {
        Times { ts, local_ts: clock.min(ts) }
    }
}

impl Version {
    /// A deletion.
    pub(super) fn tombstone(Times { ts, local_ts }: Times) -> Self {
        Version { ts, local_ts, value: None }
    }

    pub(super) fn times(&self) -> Times {
        Times { ts: self.ts, local_ts: self.local_ts }
    }

    /// A version written at `ts` while the lease holder's clock showed `clock`. A clock beyond `ts` is
    /// recorded as `ts`: that makes the version look older than it is, which costs a reader a needless retry
    /// at worst, and most versions eight bytes less.
    pub fn new(ts: Timestamp, clock: Timestamp, value: Option<Bytes>) -> Self {
        Version { ts, local_ts: clock.min(ts), value }
    }

    /// Format byte, flags, timestamp, local timestamp if it differs, payload.
    pub fn encode(&self) -> Bytes {
        let payload = self.value.as_ref().map_or(0, Bytes::len);
        let mut out = BytesMut::with_capacity(18 + payload);
        let mut flags = 0;
        if self.value.is_none() {
            flags |= FLAG_TOMBSTONE;
        }
        if self.local_ts != self.ts {
            flags |= FLAG_LOCAL_TS;
        }
        out.put_u8(FORMAT);
        out.put_u8(flags);
        out.put_u64(self.ts.raw());
        if self.local_ts != self.ts {
            out.put_u64(self.local_ts.raw());
        }
        if let Some(value) = &self.value {
            out.put_slice(value);
        }
        out.freeze()
    }

    /// The inverse of [`Version::encode`]; the payload shares the buffer.
    pub fn decode(stored: Bytes) -> Result<Self, EngineError> {
        let seen = Seen::of(&stored)?;
        let value = seen.value.map(|value| stored.slice_ref(value));
        Ok(Version { ts: seen.ts, local_ts: seen.local_ts, value })
    }
}

/// A [`Version`] as it is stored, looked at where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) ts: Timestamp,
    pub(super) local_ts: Timestamp,
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(mut stored: &'a [u8]) -> Result<Self, EngineError> {
        let damaged = || EngineError::Corrupt("undecodable version".into());
        if stored.len() < 10 || stored.get_u8() != FORMAT {
            return Err(damaged());
        }
        let flags = stored.get_u8();
        let ts = Timestamp::from_raw(stored.get_u64());
        let local_ts = if flags & FLAG_LOCAL_TS != 0 {
            Timestamp::from_raw(stored.try_get_u64().map_err(|_| damaged())?)
        } else {
            ts
        };
        Ok(Seen { ts, local_ts, value: (flags & FLAG_TOMBSTONE == 0).then_some(stored) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_round_trip_and_damage_is_an_error() {
        let ts = Timestamp::from_raw;
        for version in [
            Version::new(ts(10), ts(20), Some(Bytes::from_static(b"v"))),
            Version::new(ts(10), ts(5), Some(Bytes::new())),
            Version::new(ts(10), ts(5), None),
        ] {
            let stored = version.encode();
            assert_eq!(Version::decode(stored.clone()).unwrap(), version);
            for cut in 0..10 {
                assert!(Version::decode(stored.slice(..cut)).is_err());
            }
        }
        assert_eq!(Version::new(ts(10), ts(20), None).local_ts, ts(10));
    }
}
