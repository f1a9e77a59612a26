//! The sync loop: makes what was applied durable in the background, and tells the log how far, so that it may be cut.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::env::Env;
use crate::store::shared::{Shared, SharedRef, Unsynced};

/// Syncs the engine now and then, and tells the core how far each range is durable.
pub(crate) async fn sync_loop(
    env: Env,
    engine: Arc<dyn Engine>,
    shared: SharedRef,
    interval: Duration,
) {
    while shared.failure.get().is_none() {
        env.clock.sleep(interval).await;
        // What is published is in the engine already, so the sync covers it.
        let unsynced = shared.take_unsynced();
        if let Err(error) = engine.sync().await {
            shared.fail((&error).into());
            return;
        }
        tell(&shared, unsynced);
    }
}

/// The engine is durable with this: the core hears of it.
pub(crate) fn tell(shared: &Shared, unsynced: Unsynced) {
    if !unsynced.is_empty() {
        shared.notify(|notices| {
            notices.durable.extend(unsynced.applied);
            notices.staged.extend(unsynced.staged);
            notices.installed.extend(unsynced.installed);
        });
    }
}
