//! How the rows of a table are locked. As SQL says it: what it means to a transaction is the executor's affair.

/// What a lock keeps out, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockStrength {
    /// FOR UPDATE.
    Update,
    /// FOR NO KEY UPDATE.
    NoKeyUpdate,
    /// FOR SHARE.
    Share,
    /// FOR KEY SHARE.
    KeyShare,
}

/// What to do about the locks of others, the least patient first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitPolicy {
    /// Fail (NOWAIT).
    Error,
    /// Leave the row out (SKIP LOCKED).
    Skip,
    /// Wait.
    Block,
}

/// How a read locks its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLock {
    /// What the lock keeps out.
    pub strength: LockStrength,
    /// What to do about locks of others.
    pub policy: WaitPolicy,
}

impl RowLock {
    /// SELECT FOR UPDATE.
    pub const UPDATE: RowLock =
        RowLock { strength: LockStrength::Update, policy: WaitPolicy::Block };
}
