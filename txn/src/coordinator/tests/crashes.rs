//! Gateways that die at every moment of a commit: others see all of it or nothing, and go on.

use std::sync::Arc;
use std::time::Duration;

use kv::env::{Env, TaskScope};

use super::end_to_end::{bytes, db, get};
use crate::db::{Config, Db, TxnOptions};
use crate::testing::{LocalCluster, Mortal};

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_of_a_commit_leaves_all_or_nothing() {
    let mut seen = [0; 2];
    for moment in 0..24 {
        let cluster = LocalCluster::with_splits(&["m"]);
        cluster.set_apply_delay(Duration::from_millis(50));
        let scope = Arc::new(Mortal::default());
        let env = Env { tasks: scope.clone(), ..cluster.env.clone() };
        let gateway = Db::new(env, cluster.clone(), Config::default());
        scope.spawn(
            "client",
            Box::pin(async move {
                let mut txn = gateway.begin(TxnOptions::default());
                for key in ["a", "z"] {
                    txn.put(key.into(), bytes(1)).expect("small");
                }
                let _ = txn.commit().await;
            }),
        );
        tokio::time::sleep(Duration::from_millis(moment * 10 + 5)).await;
        scope.crash();

        let others = db(&cluster);
        let begun = tokio::time::Instant::now();
        let found = get(&others, "a").await;
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        assert_eq!(get(&others, "z").await, found, "crashed after {} ms", moment * 10 + 5);
        seen[found as usize] += 1;

        let mut txn = others.begin(TxnOptions::default());
        for key in ["a", "z"] {
            txn.put(key.into(), bytes(2)).expect("small");
        }
        txn.commit().await.expect("nothing is in the way");
        assert_eq!((get(&others, "a").await, get(&others, "z").await), (2, 2));
    }
    assert!(seen.iter().all(|n| *n > 3), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_locks_of_a_crashed_gateway_are_given_up() {
    let cluster = LocalCluster::new();
    let scope = Arc::new(Mortal::default());
    let env = Env { tasks: scope.clone(), ..cluster.env.clone() };
    let gateway = Db::new(env, cluster.clone(), Config::default());
    let mut txn = gateway.begin(TxnOptions::default());
    txn.get_for_update("a".into()).await.expect("free");
    tokio::time::sleep(Duration::from_secs(3)).await;
    scope.crash();

    let others = db(&cluster);
    let mut other = others.begin(TxnOptions::default());
    let begun = tokio::time::Instant::now();
    other.get_for_update("a".into()).await.expect("given up");
    assert!(begun.elapsed() > Duration::from_secs(3), "it had shown signs of life");
    other.put("a".into(), bytes(1)).expect("small");
    other.commit().await.expect("committed");
    // The dead one comes back.
    txn.put("a".into(), bytes(2)).expect("small");
    assert!(txn.commit().await.expect_err("it was given up").is_retry());
    assert_eq!(get(&others, "a").await, 1);
}
