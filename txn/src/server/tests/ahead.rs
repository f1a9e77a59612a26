//! Many writes in one batch, whose keys are looked at by scans: whatever is there, they find what each by itself would.

use kv::keys::Space;

use super::*;
use crate::testing::LocalCluster;

/// Of the keys of a batch, every third is new, and between each two of them lie `gap` others.
fn names(gap: usize) -> Vec<String> {
    (0..200).map(|n| format!("k{:06}", n * (gap + 1))).collect()
}

async fn with_old(keys: &[String], gap: usize) -> Arc<LocalCluster> {
    let cluster = LocalCluster::new();
    let there = keys.iter().enumerate().filter(|(n, _)| n % 3 > 0);
    let mut old: Vec<String> = there.map(|(_, key)| key.clone()).collect();
    old.extend((0..200 * gap).map(|n| format!("k{n:06}x")));
    old.sort_unstable();
    let writes: Vec<(&str, &str)> = old.iter().map(|key| (&key[..], "old")).collect();
    let mut txn = Txn::new(&cluster, 100);
    txn.can_forward = true;
    txn.commit(&writes).await.unwrap();
    cluster
}

fn of<'k>(keys: &'k [String], value: &'k str) -> Vec<(&'k str, &'k str)> {
    keys.iter().map(|key| (&key[..], value)).collect()
}

/// What a reader finds of the keys.
async fn values(cluster: &Arc<LocalCluster>, keys: &[String]) -> Vec<Option<Bytes>> {
    let mut reader = Txn::new(cluster, 99);
    let mut values = Vec::new();
    for key in keys {
        values.push(reader.get(key).await.unwrap());
    }
    values
}

#[tokio::test(start_paused = true)]
async fn old_versions_move_into_the_history_however_many_keys_lie_between() {
    for gap in [0, 1, 10] {
        let keys = names(gap);
        let cluster = with_old(&keys, gap).await;
        let before = cluster.count(Space::Data);
        let mut txn = Txn::new(&cluster, 1);
        let begun = txn.meta.read_ts;
        txn.commit(&of(&keys, "new")).await.unwrap();
        let superseded = keys.len() - keys.len().div_ceil(3);
        assert_eq!(cluster.count(Space::History), superseded, "{gap} between");
        assert_eq!(cluster.count(Space::Data), before + keys.len() - superseded);
        assert!(values(&cluster, &keys).await.iter().all(|value| value.as_deref() == Some(b"new")));
        let mut past = Txn::at(&cluster, 2, Timestamp::from_raw(begun - 1));
        past.meta.global_limit = begun - 1;
        assert_eq!(past.get(&keys[0]).await.unwrap(), None);
        assert_eq!(past.get(&keys[1]).await.unwrap().unwrap(), "old");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_written_twice_has_its_last_value() {
    let keys = names(0);
    let cluster = with_old(&keys, 0).await;
    let mut txn = Txn::new(&cluster, 1);
    let mut request = txn.one_phase(&of(&keys, "new"));
    let again = RequestKind::Put(Put { key: key(&keys[7]), value: None, sequence: 1_000 });
    request.requests.insert(8, Request { kind: Some(again) });
    txn.send_raw(&keys[0], request).await.unwrap();
    let found = values(&cluster, &keys).await;
    assert_eq!(found.iter().filter(|value| value.is_none()).count(), 1);
    assert_eq!(found[7], None);
}

#[tokio::test(start_paused = true)]
async fn intents_and_locks_of_others_are_in_the_way() {
    // On keys with a version, and without one.
    for n in [0, 1, 63, 199] {
        let keys = names(1);
        let cluster = with_old(&keys, 1).await;
        let mut other = Txn::new(&cluster, 1);
        other.put(&keys[n], "theirs").await.unwrap();
        let mut txn = Txn::new(&cluster, 2);
        let request = BatchRequest { max_wait_ms: Some(1), ..txn.one_phase(&of(&keys, "new")) };
        let sent = cluster.try_send(b"k", request.clone()).await.unwrap();
        assert_eq!(sent.error.map(|error| error.kind()), Some(ErrorKind::Waiting), "intent {n}");
        other.resolve(&[&keys[n]], 0).await;
        other.lock(&keys[n]).await.expect_err("it is over");

        let mut locker = Txn::new(&cluster, 3);
        locker.lock(&keys[n]).await.unwrap();
        let sent = cluster.try_send(b"k", request).await.unwrap();
        assert_eq!(sent.error.map(|error| error.kind()), Some(ErrorKind::Waiting), "lock {n}");
        assert_eq!(cluster.count(Space::History), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_own_intents_are_added_to() {
    let keys = names(0);
    let cluster = with_old(&keys, 0).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.put(&keys[5], "first").await.unwrap();
    txn.put(&keys[6], "first").await.unwrap();
    let mut kinds = Vec::new();
    for name in &keys {
        txn.meta.sequence += 1;
        kinds.push(put(name, "second", txn.meta.sequence));
    }
    txn.send(&keys[0], kinds).await.unwrap();
    assert_eq!(cluster.count(Space::Lock), keys.len());
    let all: Vec<&str> = keys.iter().map(|key| &key[..]).collect();
    let record = txn.commit_two_phase(&all).await.unwrap();
    txn.resolve(&all, record.commit_ts).await;
    assert!(values(&cluster, &keys).await.iter().all(|value| value.as_deref() == Some(b"second")));
}

#[tokio::test(start_paused = true)]
async fn a_read_of_any_key_by_another_moves_the_writes_above_it_and_the_own_does_not() {
    let keys = names(0);
    let cluster = with_old(&keys, 0).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.scan(&keys[0], "l", 0).await.unwrap();
    let begun = txn.meta.write_ts;
    let mut alone = txn.clone();
    alone.commit(&of(&keys, "alone")).await.unwrap();
    assert_eq!(alone.meta.write_ts, begun, "it may write where only it has read");

    let mut txn = Txn::new(&cluster, 2);
    let mut reader = Txn::new(&cluster, 3);
    reader.get(&keys[77]).await.unwrap();
    let error = txn.commit(&of(&keys, "new")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryAt);
    assert!(error.retry_ts > reader.meta.read_ts);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_of_any_key_moves_the_writes_above_it() {
    for n in [0, 100, 199] {
        let keys = names(0);
        let cluster = with_old(&keys, 0).await;
        let mut txn = Txn::new(&cluster, 1);
        seed(&cluster, &keys[n], "newer").await;
        let error = txn.commit(&of(&keys, "mine")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RetryAt, "key {n}");
        assert!(error.retry_ts > txn.meta.write_ts);
        txn.can_forward = true;
        txn.commit(&of(&keys, "mine")).await.unwrap();
        assert_eq!(txn.meta.write_ts, txn.meta.read_ts);
        assert_eq!(values(&cluster, &keys[n..=n]).await, [Some(key("mine"))]);
    }
}
