//! Reads: the buffer over the server's rows, ranges, and moving in time.

use bytes::Bytes;
use kv::mutant::Mutant;
use kv::seam::SendError;

use super::fake::{Fate, World, ends_with};
use crate::api::{ErrorKind, RequestKind, Row};
use crate::db::{Config, TxnError, TxnOptions};

fn b(text: &'static str) -> Bytes {
    text.into()
}

fn show(rows: &[Row]) -> String {
    let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
    rows.iter()
        .map(|r| format!("{}={}", text(&r.key), text(&r.value)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_read_before_anything_is_sent() {
    let world = World::new(&["m"]);
    world.write("a", "1");
    let mut txn = world.db().begin(TxnOptions::default());
    assert_eq!(txn.get(b("a")).await, Ok(Some(b("1"))));
    txn.put(b("a"), b("2")).expect("small");
    assert_eq!(txn.get(b("a")).await, Ok(Some(b("2"))));
    txn.delete(b("a")).expect("small");
    assert_eq!(txn.get(b("a")).await, Ok(None));
    assert_eq!(world.take_log(), ["get@1"]);
    assert_eq!(txn.get(b("z")).await, Ok(None));
    assert!(matches!(txn.get(b("")).await, Err(TxnError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn scans_merge_the_buffer_and_keep_their_limit_over_ranges() {
    let world = World::new(&["c", "e"]);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "6")] {
        world.write(key, value);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    for key in ["a", "b", "d"] {
        txn.delete(b(key)).expect("small");
    }
    txn.put(b("bb"), b("new")).expect("small");
    txn.put(b("c"), b("over")).expect("small");
    assert_eq!(show(&txn.scan(b("a"), b("z"), 3).await.expect("fine")), "bb=new c=over e=5");
    assert_eq!(show(&txn.scan(b("a"), b("z"), 1).await.expect("fine")), "bb=new");
    assert_eq!(show(&txn.scan(b("cc"), b("e"), 9).await.expect("fine")), "");
    assert_eq!(show(&txn.scan(b(""), b("z"), 99).await.expect("fine")), "bb=new c=over e=5 f=6");
    assert_eq!(show(&txn.scan(b("z"), b("a"), 99).await.expect("fine")), "");
    assert_eq!(show(&txn.scan(b("a"), b("z"), 0).await.expect("fine")), "");
}

#[tokio::test(start_paused = true)]
async fn reverse_scans_merge_the_buffer_and_keep_their_limit_over_ranges() {
    let world = World::new(&["c", "e"]);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "6")] {
        world.write(key, value);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    for key in ["a", "d", "f"] {
        txn.delete(b(key)).expect("small");
    }
    txn.put(b("bb"), b("new")).expect("small");
    txn.put(b("c"), b("over")).expect("small");
    let mut all = async |start, end, limit| {
        show(&txn.scan_reverse(b(start), b(end), limit).await.expect("fine"))
    };
    assert_eq!(all("a", "z", 3).await, "e=5 c=over bb=new");
    assert_eq!(all("a", "z", 1).await, "e=5");
    assert_eq!(all("cc", "e", 9).await, "");
    assert_eq!(all("", "z", 99).await, "e=5 c=over bb=new b=2");
    assert_eq!(all("", "bb", 99).await, "b=2");
    assert_eq!(all("z", "a", 99).await, "");
    assert_eq!(all("a", "z", 0).await, "");
}

/// A scan that had enough has read no further: what is written before its last row does not stand against it.
#[tokio::test(start_paused = true)]
async fn a_limited_reverse_scan_has_read_as_far_as_its_last_row() {
    let world = World::new(&["c"]);
    for key in ["a", "b", "d", "e"] {
        world.write(key, key);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    assert_eq!(show(&txn.scan_reverse(b("a"), b("z"), 2).await.expect("fine")), "e=e d=d");
    assert_eq!(world.take_log(), ["scan@2"], "one range");
    world.write("cc", "beyond");
    // The read of a newer version moves the transaction.
    world.write("b", "newer");
    assert_eq!(txn.get(b("b")).await, Ok(Some(b("newer"))));
    world.write("dd", "phantom");
    world.write("b", "newest");
    assert!(txn.get(b("b")).await.is_err(), "what the scan has read is not the same any more");
}

#[tokio::test(start_paused = true)]
async fn a_reverse_scan_follows_ranges_that_move_under_it() {
    let world = World::new(&["c"]);
    for key in ["a", "b", "c", "d"] {
        world.write(key, key);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    let (mover, mut scans) = (world.clone(), 0);
    world.hook(move |batch| {
        scans += usize::from(ends_with(batch, "scan"));
        if scans == 2 {
            mover.split(&["b", "d"]);
        }
        Fate::Normal
    });
    let rows = txn.scan_reverse(b("a"), b("z"), 99).await.expect("fine");
    assert_eq!(show(&rows), "d=d c=c b=b a=a");
    // The second was refused: the first range is another by then, and two hold what is left.
    assert_eq!(world.take_log(), ["scan@2", "scan@1", "scan@2", "scan@1"]);
}

/// A range may begin at any key, also right before the end of a scan.
#[tokio::test(start_paused = true)]
async fn a_reverse_scan_finds_the_range_that_ends_it() {
    let splits = ["c", "c\0", "c\0\0", "cz", "d", "d\0"];
    let world = World::new(&splits);
    for key in splits {
        world.write(key, "1");
    }
    let ends = ["c", "c\0", "c\0\0", "c\0\0\0", "ca", "cz", "cz\0", "d", "d\0", "d\u{1}", "e"];
    for end in ends {
        let mut txn = world.db().begin(TxnOptions::default());
        let rows = txn.scan_reverse(b("a"), b(end), 99).await.expect("fine");
        let keys: Vec<Bytes> = rows.into_iter().map(|row| row.key).collect();
        let below: Vec<Bytes> =
            splits.iter().rev().filter(|key| **key < end).map(|k| b(k)).collect();
        assert_eq!(keys, below, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_follows_ranges_that_move_under_it() {
    let world = World::new(&["c"]);
    for key in ["a", "b", "c", "d"] {
        world.write(key, key);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    let (mover, mut scans) = (world.clone(), 0);
    world.hook(move |batch| {
        scans += usize::from(ends_with(batch, "scan"));
        if scans == 2 {
            mover.split(&["b", "d"]);
        }
        Fate::Normal
    });
    assert_eq!(show(&txn.scan(b("a"), b("z"), 99).await.expect("fine")), "a=a b=b c=c d=d");
    assert_eq!(world.take_log(), ["scan@1", "scan@2", "scan@2", "scan@3"]);
}

#[tokio::test(start_paused = true)]
async fn a_range_that_never_stops_moving_ends_at_the_deadline() {
    let world = World::new(&[]);
    world.hook(|_| Fate::Lost(SendError::Moved));
    let mut txn = world.db().begin(TxnOptions::default());
    assert_eq!(txn.get(b("a")).await, Err(TxnError::Unavailable));
    let spent = world.env.clock.monotonic().as_secs();
    assert!((9..=10).contains(&spent), "{spent} s");
}

#[tokio::test(start_paused = true)]
async fn an_uncertain_first_read_just_moves() {
    let world = World::new(&[]);
    let mut txn = world.db().begin(TxnOptions::default());
    let before = txn.read_ts();
    world.write("a", "1");
    assert_eq!(txn.get(b("a")).await, Ok(Some(b("1"))));
    assert!(txn.read_ts() > before);
    assert_eq!(world.take_log(), ["get@1"]);
}

#[tokio::test(start_paused = true)]
async fn a_later_uncertain_read_refreshes_the_earlier_ones_on_every_range() {
    let world = World::new(&["c", "e"]);
    world.write("a", "1");
    let mut txn = world.db().begin(TxnOptions::default());
    txn.get(b("a")).await.expect("fine");
    txn.scan(b("b"), b("d"), 9).await.expect("fine");
    world.write("f", "2");
    assert_eq!(txn.get(b("f")).await, Ok(Some(b("2"))));
    assert_eq!(
        world.take_log(),
        ["get@1", "scan@1", "scan@2", "get@3", "refresh@1", "refresh@1", "refresh@2", "get@3"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_read_fails_the_refresh_and_the_transaction() {
    let world = World::new(&[]);
    world.write("a", "1");
    let mut txn = world.db().begin(TxnOptions::default());
    txn.get(b("a")).await.expect("fine");
    world.write("a", "2");
    world.write("b", "2");
    assert!(txn.get(b("b")).await.expect_err("skewed").is_retry());
    assert!(txn.get(b("c")).await.expect_err("dead").is_retry());
    assert!(txn.commit().await.expect_err("dead").is_retry());

    let mutated = world.clone().with_mutant(Mutant::SkipReadRefresh);
    let mut txn = mutated.db().begin(TxnOptions::default());
    txn.get(b("a")).await.expect("fine");
    world.write("a", "3");
    world.write("b", "3");
    assert_eq!(txn.get(b("b")).await, Ok(Some(b("3"))), "the mutant does not notice");
}

#[tokio::test(start_paused = true)]
async fn moving_in_time_is_bounded_per_request() {
    let world = World::new(&[]);
    let env = world.env.clone();
    world.hook(move |_| Fate::Refused(ErrorKind::RetryAt, env.clock.now().raw()));
    let mut txn = world.db().begin(TxnOptions::default());
    assert!(txn.get(b("a")).await.expect_err("never settles").is_retry());
    assert_eq!(world.take_log().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn observed_timestamps_are_the_first_of_each_node() {
    let world = World::new(&["m"]);
    let mut txn = world.db().begin(TxnOptions::default());
    let begun = txn.read_ts().raw();
    for key in ["a", "z", "b", "y"] {
        txn.get(b(key)).await.expect("fine");
    }
    let log = std::mem::take(&mut world.state.lock().expect("no panic").log);
    let seen: Vec<Vec<u64>> =
        log.iter().map(|(_, batch)| batch.observed.iter().map(|o| o.node_id).collect()).collect();
    assert_eq!(seen, [vec![99], vec![1, 99], vec![1, 2, 99], vec![1, 2, 99]]);
    assert_eq!(log[3].1.observed[2].ts, begun);
    assert_eq!(log[2].1.observed[0], log[3].1.observed[0]);
    assert!(log.iter().all(|(_, batch)| batch.observed_ts == 0));
    assert!(log[0].1.can_forward && !log[1].1.can_forward);
}

#[tokio::test(start_paused = true)]
async fn many_read_spans_are_condensed_but_still_covered() {
    let world = World::new(&[]);
    let db = world.db_with(Config { max_read_spans: 2, ..Config::default() });
    let mut txn = db.begin(TxnOptions::default());
    for key in ["a", "c", "e", "g", "i"] {
        txn.get(b(key)).await.expect("fine");
    }
    world.take_log();
    world.write("z", "1");
    txn.get(b("z")).await.expect("fine");
    let log = std::mem::take(&mut world.state.lock().expect("no panic").log);
    let refreshed: Vec<_> =
        log[1].1.requests.iter().map(|r| r.kind.clone().expect("a kind")).collect();
    assert!(refreshed.len() <= 2);
    for key in ["a", "c", "e", "g", "i"] {
        let covers = |kind: &RequestKind| matches!(kind, RequestKind::Refresh(r) if r.span.start <= key && b(key) < r.span.end);
        assert!(refreshed.iter().any(covers), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_key_outside_of_the_span_is_refused() {
    use crate::api::{BatchRequest, BatchResponse, Batches, Response};
    struct Liar(World);
    impl kv::seam::Routing<Batches> for Liar {
        fn lookup(
            &self,
            key: Bytes,
            deadline: std::time::Duration,
        ) -> futures::future::BoxFuture<
            'static,
            Result<kv::range::descriptor::RangeDescriptor, SendError>,
        > {
            self.0.lookup(key, deadline)
        }
        fn send(
            &self,
            _: kv::range::descriptor::RangeDescriptor,
            _: std::sync::Arc<BatchRequest>,
            _: bool,
            _: std::time::Duration,
        ) -> futures::future::BoxFuture<'static, Result<(BatchResponse, kv::ids::NodeId), SendError>>
        {
            let response = Response { resume: b("a"), ..Response::default() };
            let response = BatchResponse { responses: vec![response], ..BatchResponse::default() };
            Box::pin(async move { Ok((response, kv::ids::NodeId(1))) })
        }
    }
    let world = World::new(&[]);
    let routing = std::sync::Arc::new(Liar(world.clone()));
    let db = crate::db::Db::new(world.env.clone(), routing, Config::default());
    let scanned = db.begin(TxnOptions::default()).scan(b("a"), b("c"), 5).await;
    assert!(matches!(scanned, Err(TxnError::Invalid(_))));
    let scanned = db.begin(TxnOptions::default()).scan_reverse(b("a"), b("c"), 5).await;
    assert!(matches!(scanned, Err(TxnError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn many_keys_cost_a_request_for_each_range() {
    let world = World::new(&["m"]);
    for key in ["a", "b", "n", "o"] {
        world.write(key, key);
    }
    let mut txn = world.db().begin(TxnOptions::default());
    txn.put(b("b"), b("own")).expect("small");
    txn.delete(b("o")).expect("small");
    let keys: Vec<Bytes> = ["n", "a", "c", "b", "a", "o", "x"].map(b).into();
    let found = txn.get_many(&keys).await.expect("fine");
    let some = |text| Some(b(text));
    assert_eq!(found, [some("n"), some("a"), None, some("own"), some("a"), None, None]);
    let batches = world.take_batches();
    assert_eq!(batches, ["get get@1", "get get@2"], "buffered keys are not asked for");
    assert_eq!(txn.get_many(&[]).await, Ok(vec![]));
    assert_eq!(world.take_batches(), [""; 0]);
    // A locked key is asked for even if it is written, once.
    txn.get_many_for_update(&keys).await.expect("fine");
    assert_eq!(world.take_batches(), ["lock lock lock@1", "lock lock lock@2"]);
    txn.get_many_for_update(&[b("b"), b("o")]).await.expect("fine");
    assert_eq!(world.take_batches(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_keys_follow_ranges_that_move_and_keep_the_bounds_of_a_batch() {
    let world = World::new(&[]);
    let mut txn = world
        .db_with(Config { batch_requests: 3, ..Config::default() })
        .begin(TxnOptions::default());
    let (mover, mut batches) = (world.clone(), 0);
    world.hook(move |_| {
        batches += 1;
        if batches == 2 {
            mover.split(&["e"]);
        }
        Fate::Normal
    });
    let keys: Vec<Bytes> = ["a", "b", "c", "d", "e", "f", "g"].map(b).into();
    assert_eq!(txn.get_many(&keys).await, Ok(vec![None; 7]));
    let expected = ["get get get@1", "get get get@1", "get@1", "get get get@2"];
    assert_eq!(world.take_batches(), expected, "the second one was refused");
}

#[tokio::test(start_paused = true)]
async fn too_many_locks_are_refused_before_any_is_taken() {
    let world = World::new(&[]);
    let db = world.db_with(Config { max_locks: 2, ..Config::default() });
    let mut txn = db.begin(TxnOptions::default());
    txn.get_many_for_update(&[b("a"), b("b"), b("a")]).await.expect("two");
    world.take_log();
    assert_eq!(txn.get_many_for_update(&[b("b"), b("c")]).await, Err(TxnError::TooLarge));
    assert_eq!(world.take_log(), [""; 0]);
}
