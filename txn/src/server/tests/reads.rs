use std::time::Duration;

use kv::clock::Timestamp;

use super::*;

fn later(txn: &Txn, ms: u64) -> Timestamp {
    Timestamp::from_raw(txn.meta.min_ts).saturating_add(Duration::from_millis(ms))
}

#[tokio::test(start_paused = true)]
async fn a_version_within_the_uncertainty_interval_has_to_be_seen() {
    let cluster = LocalCluster::new();
    let mut reader = Txn::new(&cluster, 1);
    // Committed by a gateway whose clock is 300 ms ahead, before this reader's first reading of this node.
    let mut ahead = Txn::at(&cluster, 2, later(&reader, 300));
    ahead.commit(&[("k", "new")]).await.unwrap();
    let observed = cluster.env.clock.now().raw();
    let mut request =
        reader.request(vec![RequestKind::Get(Get { key: key("k"), lock: false, mode: None })]);
    // A reading of another node's clock says nothing about this one.
    request.observed = vec![
        ObservedTs { node_id: 1, ts: observed },
        ObservedTs { node_id: 2, ts: reader.meta.min_ts },
    ];
    let error = reader.send_raw("k", request.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, ahead.meta.write_ts));
    // With nothing to refresh the server moves by itself.
    request.can_forward = true;
    let answers = reader.send_raw("k", request).await.unwrap();
    assert_eq!(answers[0].rows()[0].value, "new");
    assert_eq!(reader.meta.read_ts, ahead.meta.write_ts);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_after_the_first_reading_or_beyond_the_limit_is_not_uncertain() {
    let cluster = LocalCluster::new();
    seed(&cluster, "k", "old").await;
    let mut reader = Txn::new(&cluster, 1);
    let mut ahead = Txn::at(&cluster, 2, later(&reader, 300));
    ahead.commit(&[("k", "new")]).await.unwrap();
    assert_eq!(reader.get("k").await.unwrap().unwrap(), "old", "observed before it was written");
    let mut far = Txn::at(&cluster, 3, later(&reader, 501));
    far.commit(&[("k", "far")]).await.unwrap();
    let get = RequestKind::Get(Get { key: key("k"), lock: false, mode: None });
    let mut request = reader.request(vec![get]);
    request.observed.clear();
    let error = reader.send_raw("k", request).await.unwrap_err();
    assert_eq!(error.retry_ts, ahead.meta.write_ts, "searched beneath the certain one");
}

#[tokio::test(start_paused = true)]
async fn the_mutant_that_ignores_uncertainty_misses_the_version() {
    let cluster = LocalCluster::with_mutant(kv::mutant::Mutant::IgnoreUncertainty);
    let mut reader = Txn::new(&cluster, 1);
    Txn::at(&cluster, 2, later(&reader, 300)).commit(&[("k", "new")]).await.unwrap();
    let get = RequestKind::Get(Get { key: key("k"), lock: false, mode: None });
    let mut request = reader.request(vec![get]);
    request.observed.clear();
    assert!(reader.send_raw("k", request).await.unwrap()[0].rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_uncertain_intent_is_waited_for() {
    let cluster = LocalCluster::new();
    let mut reader = Txn::new(&cluster, 1);
    let mut writer = Txn::at(&cluster, 2, later(&reader, 300));
    writer.put("k", "new").await.unwrap();
    let get = RequestKind::Get(Get { key: key("k"), lock: false, mode: None });
    let mut request = reader.request(vec![get]);
    request.observed.clear();
    request.can_forward = true;
    let read = tokio::spawn(async move { reader.send_raw("k", request).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!read.is_finished());
    let commit_ts = writer.commit_two_phase(&["k"]).await.unwrap().commit_ts;
    writer.resolve(&["k"], commit_ts).await;
    assert_eq!(read.await.unwrap().unwrap()[0].rows()[0].value, "new");
}

#[tokio::test(start_paused = true)]
async fn a_write_lands_above_every_read_of_its_key_but_the_own() {
    let cluster = LocalCluster::new();
    let mut writer = Txn::new(&cluster, 1);
    let mut reader = Txn::new(&cluster, 2);
    assert_eq!(reader.get("k").await.unwrap(), None);
    writer.put("k", "v").await.unwrap();
    assert!(writer.meta.write_ts > reader.meta.read_ts);
    let mut own = Txn::new(&cluster, 3);
    own.get("x").await.unwrap();
    own.put("x", "v").await.unwrap();
    assert_eq!(own.meta.write_ts, own.meta.read_ts);
}

#[tokio::test(start_paused = true)]
async fn write_skew_is_refused() {
    let cluster = LocalCluster::new();
    seed(&cluster, "a", "1").await;
    seed(&cluster, "b", "1").await;
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    for txn in [&mut one, &mut two] {
        txn.get("a").await.unwrap();
        txn.get("b").await.unwrap();
    }
    // The earlier one writes under the later one's read: it would have to move up.
    let error = one.commit(&[("a", "0")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryAt);
    two.commit(&[("b", "0")]).await.unwrap();
    let from = one.meta.read_ts;
    one.meta.read_ts = error.retry_ts.max(two.meta.write_ts);
    assert_eq!(kind_of(one.refresh("b", "c", from).await), ErrorKind::RefreshFailed);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_fails_on_versions_and_live_intents_and_else_holds() {
    let cluster = LocalCluster::new();
    seed(&cluster, "a", "1").await;
    let mut txn = Txn::new(&cluster, 1);
    let from = txn.meta.read_ts;
    txn.get("a").await.unwrap();
    seed(&cluster, "c", "1").await;
    txn.meta.read_ts = cluster.env.clock.now().raw();
    txn.meta.write_ts = txn.meta.read_ts;
    txn.refresh("a", "b", from).await.unwrap();
    let mut late = Txn::at(&cluster, 2, Timestamp::from_raw(from));
    late.put("a", "2").await.unwrap();
    assert!(late.meta.write_ts > txn.meta.read_ts, "a refresh is a read");
    assert_eq!(kind_of(txn.refresh("a", "d", from).await), ErrorKind::RefreshFailed);
    // A live intent at or below the new timestamp may yet commit there.
    let from = txn.meta.read_ts;
    txn.meta.read_ts = cluster.env.clock.now().raw();
    txn.meta.write_ts = txn.meta.read_ts;
    assert_eq!(kind_of(txn.refresh("a", "b", from).await), ErrorKind::RefreshFailed);
    // A finished one is resolved on the spot.
    late.meta.read_ts = late.meta.write_ts;
    late.send("a", vec![end(false, false, &["a"])]).await.unwrap();
    txn.refresh("a", "b", from).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limited_scan_marks_only_what_it_returned() {
    let cluster = LocalCluster::new();
    for at in ["a", "b", "c"] {
        seed(&cluster, at, "1").await;
    }
    let mut reader = Txn::new(&cluster, 1);
    let mut writer = Txn::at(&cluster, 2, Timestamp::from_raw(reader.meta.read_ts));
    let page = reader.scan("a", "z", 2).await.unwrap();
    assert_eq!(page.rows().iter().map(|r| &r.key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(page.resume, "b\0");
    writer.put("c", "2").await.unwrap();
    assert_eq!(writer.meta.write_ts, writer.meta.read_ts);
    writer.put("b", "2").await.unwrap();
    assert!(writer.meta.write_ts > writer.meta.read_ts);
}

/// What a descending scan has not reached is free; a key that comes into what it has read is not.
#[tokio::test(start_paused = true)]
async fn a_limited_reverse_scan_marks_only_what_it_returned() {
    let cluster = LocalCluster::new();
    for at in ["a", "c", "e"] {
        seed(&cluster, at, "1").await;
    }
    let mut reader = Txn::new(&cluster, 1);
    let begin = Timestamp::from_raw(reader.meta.read_ts);
    let page = reader.scan_reverse("a", "z", 2).await.unwrap();
    assert_eq!(page.rows().iter().map(|r| &r.key[..]).collect::<Vec<_>>(), [b"e", b"c"]);
    assert_eq!(page.resume, "c");
    for (id, at, is_free) in
        [(2, "a", true), (3, "b", true), (4, "c", false), (5, "d", false), (6, "y", false)]
    {
        let mut writer = Txn::at(&cluster, id, begin);
        writer.put(at, "2").await.unwrap();
        assert_eq!(writer.meta.write_ts == writer.meta.read_ts, is_free, "{at}");
    }
    let rest = reader.scan_reverse("a", "c", 2).await.unwrap();
    assert_eq!(rest.rows().iter().map(|r| &r.key[..]).collect::<Vec<_>>(), [b"a"]);
    assert!(rest.resume.is_empty());
}

/// Of every key: the same as an ascending scan sees, at any time, with old versions, deletions, own writes (of several
/// sequence numbers, of the same batch), and pages of any size.
#[tokio::test(start_paused = true)]
async fn a_reverse_scan_sees_what_an_ascending_one_sees() {
    let cluster = LocalCluster::new();
    let keys: Vec<String> = (0..40).map(|n| format!("k{n:02}")).collect();
    let mut readers = Vec::new();
    for round in 0..4u8 {
        for (n, at) in keys.iter().enumerate() {
            match (n + 7 * usize::from(round)) % 5 {
                0 | 1 => seed(&cluster, at, &format!("{round}")).await,
                2 => {
                    let mut txn = Txn::new(&cluster, 100 + round);
                    txn.meta.id = Bytes::from(format!("{round:08}{n:08}"));
                    txn.can_forward = true;
                    let mut request = txn.one_phase(&[(at, "gone")]);
                    if let Some(RequestKind::Put(put)) = &mut request.requests[0].kind {
                        put.value = None;
                    }
                    txn.send_raw(at, request).await.unwrap();
                }
                _ => {}
            }
        }
        readers.push(Txn::new(&cluster, round));
    }
    let mut own = Txn::new(&cluster, 50);
    for n in [0, 3, 9, 10, 39] {
        own.put(&keys[n], "own").await.unwrap();
    }
    own.put(&keys[9], "again").await.unwrap();
    let mut earlier = own.clone();
    earlier.meta.sequence = 3;
    // The readers are older than the writes.
    readers.extend([own, earlier]);
    for mut reader in readers {
        let mut expected = reader.scan("a", "z", 0).await.unwrap().rows();
        expected.reverse();
        for limit in [1, 3, 100] {
            let (mut seen, mut to) = (Vec::new(), "z".to_string());
            loop {
                let page = reader.scan_reverse("a", &to, limit).await.unwrap();
                seen.extend(page.rows());
                if page.resume.is_empty() {
                    break;
                }
                to = String::from_utf8(page.resume.to_vec()).unwrap();
            }
            assert_eq!(seen, expected, "limit {limit}");
        }
    }
}

/// An intent within reach is in the way, one beyond is not; a newer version within reach moves the reader.
#[tokio::test(start_paused = true)]
async fn a_reverse_scan_minds_intents_and_newer_versions_within_its_reach() {
    let cluster = LocalCluster::new();
    for at in ["a", "c", "e"] {
        seed(&cluster, at, "1").await;
    }
    let mut writer = Txn::new(&cluster, 1);
    writer.put("b", "new").await.unwrap();
    let mut reader = Txn::new(&cluster, 2);
    let page = reader.scan_reverse("a", "z", 2).await.unwrap();
    assert_eq!(page.resume, "c", "not blocked");
    let mut blocked = Txn::new(&cluster, 3);
    let scan = tokio::spawn(async move { blocked.scan_reverse("a", "z", 3).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!scan.is_finished());
    let commit_ts = writer.commit_two_phase(&["b"]).await.unwrap().commit_ts;
    writer.resolve(&["b"], commit_ts).await;
    let rows = scan.await.unwrap().unwrap().rows();
    assert_eq!(rows.iter().map(|r| &r.key[..]).collect::<Vec<_>>(), [b"e", b"c", b"b"]);
    // Committed by a gateway whose clock is ahead, before the reader's first reading of this node.
    let mut reader = Txn::new(&cluster, 4);
    let mut ahead = Txn::at(&cluster, 5, later(&reader, 300));
    ahead.commit(&[("d", "new")]).await.unwrap();
    let scan = |limit| {
        RequestKind::Scan(Scan { span: span("a", "z"), limit, reverse: true, ..Scan::default() })
    };
    let mut request = reader.request(vec![scan(1)]);
    request.observed.clear();
    assert_eq!(reader.send_raw("a", request.clone()).await.unwrap()[0].rows()[0].key, "e");
    request.requests[0].kind = Some(scan(2));
    let error = reader.send_raw("a", request).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, ahead.meta.write_ts));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_up_to_the_sequence_and_merged_into_scans() {
    let cluster = LocalCluster::new();
    seed(&cluster, "b", "old").await;
    let mut txn = Txn::new(&cluster, 1);
    // There is a savepoint behind the first write.
    txn.meta.keep = 1;
    txn.put("a", "1").await.unwrap();
    txn.put("b", "2").await.unwrap();
    txn.put("a", "3").await.unwrap();
    let values =
        |page: Response| -> Vec<Bytes> { page.rows().into_iter().map(|r| r.value).collect() };
    assert_eq!(values(txn.scan("a", "z", 0).await.unwrap()), ["3", "2"]);
    let mut earlier = txn.clone();
    earlier.meta.sequence = 1;
    assert_eq!(values(earlier.scan("a", "z", 0).await.unwrap()), ["1", "old"]);
    // A read after a write in one batch sees it.
    let get = RequestKind::Get(Get { key: key("c"), lock: false, mode: None });
    txn.meta.sequence = 4;
    let answers = txn.send("c", vec![put("c", "4", 4), get]).await.unwrap();
    assert_eq!(answers[1].rows()[0].value, "4");
}

#[tokio::test(start_paused = true)]
async fn old_versions_are_read_from_the_history() {
    let cluster = LocalCluster::new();
    let mut readers = Vec::new();
    for n in 0..5u8 {
        seed(&cluster, "k", &n.to_string()).await;
        readers.push(Txn::new(&cluster, n));
    }
    for (n, reader) in readers.iter_mut().enumerate() {
        assert_eq!(reader.get("k").await.unwrap().unwrap(), n.to_string());
        assert_eq!(reader.scan("a", "z", 0).await.unwrap().rows()[0].value, n.to_string());
    }
    assert_eq!(cluster.count(kv::keys::Space::Data), 1);
    assert_eq!(cluster.count(kv::keys::Space::History), 4);
}

fn gets(keys: &[&str], lock: bool) -> Vec<RequestKind> {
    keys.iter().map(|at| RequestKind::Get(Get { key: key(at), lock, mode: None })).collect()
}

/// One move for all of them, and all locks are kept meanwhile.
#[tokio::test(start_paused = true)]
async fn many_locking_reads_move_once() {
    let cluster = LocalCluster::new();
    let mut locker = Txn::new(&cluster, 1);
    locker.anchor("a");
    let mut newest = 0;
    for at in ["a", "b", "c"] {
        let mut writer = Txn::new(&cluster, 2);
        writer.commit(&[(at, "new")]).await.unwrap();
        newest = writer.meta.write_ts;
    }
    let error = locker.send("a", gets(&["a", "b", "c"], true)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, newest));
    assert_eq!(cluster.server().locked_keys(), 3);
    locker.meta.read_ts = newest;
    let answers = locker.send("a", gets(&["a", "b", "c"], true)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.rows()[0].value == "new"));
}

/// An answer is bounded: what does not fit is neither read nor locked.
#[tokio::test(start_paused = true)]
async fn a_full_answer_leaves_the_rest_to_be_asked_again() {
    let cluster = LocalCluster::new();
    let large = "v".repeat(3 << 20);
    for at in ["a", "b", "c", "d"] {
        seed(&cluster, at, &large).await;
    }
    let mut locker = Txn::new(&cluster, 1);
    locker.anchor("a");
    let answers = locker.send("a", gets(&["a", "b", "c", "d"], true)).await.unwrap();
    let read: Vec<_> = answers.iter().map(|answer| answer.rows().len()).collect();
    assert_eq!(read, [1, 1, 0, 0]);
    assert_eq!((&answers[2].resume, &answers[3].resume), (&key("c"), &key("d")));
    assert_eq!(cluster.server().locked_keys(), 2);
    let db = crate::db::Db::new(cluster.env.clone(), cluster.clone(), crate::db::Config::default());
    let mut txn = db.begin(crate::db::TxnOptions::default());
    let keys = ["d", "x", "c", "b", "a"].map(key);
    let found = txn.get_many(&keys).await.unwrap();
    let lengths: Vec<_> = found.iter().map(|value| value.as_ref().map_or(0, |v| v.len())).collect();
    assert_eq!(lengths, [3 << 20, 0, 3 << 20, 3 << 20, 3 << 20]);
}

/// Keys of a record stay in it.
#[tokio::test(start_paused = true)]
async fn a_record_keeps_its_keys_to_itself() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("a");
    txn.send("a", vec![put("a", "1", 1)]).await.unwrap();
    let mut answers = txn.send("a", vec![end(true, false, &["a"])]).await.unwrap();
    let record = answers.remove(0).record.unwrap();
    assert_eq!((record.status(), record.keys.len()), (TxnStatus::Committed, 0));
}

/// Promise 5: nodes are replaced by those of a later build one by one. A gateway of an earlier one knows rows as a list.
#[tokio::test(start_paused = true)]
async fn a_gateway_of_an_earlier_build_gets_its_rows_as_a_list() {
    let cluster = LocalCluster::new();
    Txn::new(&cluster, 1).commit(&[("a", "1"), ("b", "2")]).await.unwrap();
    for packs_rows in [false, true] {
        let mut reader = Txn::new(&cluster, 2);
        let scan = Scan { span: span("a", "z"), ..Scan::default() };
        let get = Get { key: key("b"), lock: false, mode: None };
        for (kind, rows) in [(RequestKind::Scan(scan), 2), (RequestKind::Get(get), 1)] {
            let request = BatchRequest { packs_rows, ..reader.request(vec![kind]) };
            let answer = reader.send_raw("a", request).await.unwrap().remove(0);
            assert_eq!(answer.listed.len(), if packs_rows { 0 } else { rows });
            assert_eq!(answer.rows.is_empty(), !packs_rows);
            assert_eq!(answer.rows().last(), Some(&Row { key: key("b"), value: "2".into() }));
        }
    }
}
