//! Debris: the keys of indexes and tables that the catalog does not know any more, until they are deleted.
//!
//! Who drops an index or a table names its keys in a row of the catalog, in the same transaction, however many they are.
//! Behind the commit they are deleted, some at a time; by the node that dropped them, or by any other that finds the row
//! a while later.
//!
//! - R1. Ids are never given twice, and whoever still uses the old version cannot commit: nobody writes there any more.
//! - R2. The row goes with the last of the keys. To delete them twice does no harm.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sql_exec::row::prefix_span;
use txn::Timestamp;
use txn::db::{Txn, TxnError, TxnOptions};

use super::codec::{self, Debris};
use super::keys;
use super::lease::{Leases, invalid};

/// Keys that are deleted by one transaction.
const BATCH: usize = 500;
/// Who deletes says so as often.
const SIGN: Duration = Duration::from_secs(5);
/// Whose deletion nobody has heard of for so long is taken over.
const ABANDONED: Duration = Duration::from_secs(30);
/// Rows that a sweep looks at.
const MAX_SWEPT: usize = 100;

/// Names the keys that begin with a prefix, in the transaction after which nobody uses them.
pub(super) fn leave(leases: &Leases, txn: &mut Txn, prefix: &[u8]) -> Result<(), TxnError> {
    txn.put(keys::debris(prefix), sign(leases))
}

fn sign(leases: &Leases) -> Bytes {
    codec::encode(&Debris { since: leases.env().clock.now().raw() })
}

/// Deletes the keys in the background, unless this node is at it.
pub(super) fn clear(leases: &Arc<Leases>, prefix: Bytes) {
    if !leases.begin_clearing(&prefix) {
        return;
    }
    let leases = leases.clone();
    let tasks = leases.env().tasks.clone();
    let task = async move {
        if let Err(error) = delete(&leases, &prefix).await {
            tracing::debug!(%error, "what a dropped table or index has left stays for a while");
        }
        leases.end_clearing(&prefix);
    };
    tasks.spawn("debris", Box::pin(task));
}

async fn delete(leases: &Leases, prefix: &Bytes) -> Result<(), TxnError> {
    let row = keys::debris(prefix);
    let span = prefix_span(prefix);
    let mut start = span.start;
    let mut signed = leases.env().clock.monotonic();
    loop {
        let now = leases.env().clock.monotonic();
        let is_due = now.saturating_sub(signed) >= SIGN;
        if is_due {
            signed = now;
        }
        let sign = is_due.then(|| sign(leases));
        let (row, from, end) = (row.clone(), start.clone(), span.end.clone());
        let deleted = leases.db().run(TxnOptions::default(), move |txn| {
            let (row, from, end, sign) = (row.clone(), from.clone(), end.clone(), sign.clone());
            Box::pin(async move {
                // The transaction that named them was rolled back, or somebody has done it.
                if txn.get(row.clone()).await?.is_none() {
                    return Ok::<_, TxnError>(None);
                }
                let entries = txn.scan(from, end, BATCH).await?;
                let last = entries.last().filter(|_| entries.len() == BATCH);
                let next = last.map(|entry| sql_exec::store::after(&entry.key));
                for entry in entries {
                    txn.delete(entry.key)?;
                }
                match (&next, sign) {
                    (None, _) => txn.delete(row)?,
                    (Some(_), Some(sign)) => txn.put(row, sign)?,
                    (Some(_), None) => {}
                }
                Ok(next)
            })
        });
        match deleted.await? {
            Some(next) => start = next,
            None => return Ok(()),
        }
    }
}

/// Takes over what nobody is at.
pub(super) async fn sweep(leases: &Arc<Leases>) -> Result<(), TxnError> {
    let mut txn = leases.db().begin(TxnOptions::default());
    let (start, end) = keys::all_debris();
    for entry in txn.scan(start, end, MAX_SWEPT).await? {
        let debris: Debris = codec::decode(&entry.value).map_err(invalid)?;
        let since = Timestamp::from_raw(debris.since);
        if since.saturating_add(ABANDONED) < txn.read_ts() {
            clear(leases, keys::prefix_of_debris(&entry.key));
        }
    }
    Ok(())
}
