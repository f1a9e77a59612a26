//! The bank: accounts with an index over branch and balance, so that a transfer moves entries of it too. An account
//! without money may have no row.

use std::time::Duration;

use super::link::Link;
use super::outcome::Trouble;
use super::schema::branch_of;
use super::statement::{Param, Reply};
use crate::client::{Answer, ReadMode};
use crate::generator::ACCOUNTS;

const BY_TABLE: &str = "SELECT id, balance FROM account";
pub(super) const BY_INDEX: &str = "SELECT id, balance FROM account WHERE branch = $1";
const TOTAL: &str = "SELECT sum(balance)::bigint FROM account";
const ENDS: &str = "SELECT min(id), max(id) FROM account";
const RICHEST: &str = "SELECT balance FROM account WHERE branch = $1 ORDER BY balance DESC LIMIT 2";
const UPDATE: &str = "UPDATE account SET balance = $2 WHERE id = $1";
const INSERT: &str = "INSERT INTO account (id, branch, balance) VALUES ($1, $3, $2)";

/// Reads every account.
pub(super) async fn read(link: &mut Link, scan: bool) -> Result<Answer, Trouble> {
    if !scan {
        return read_one_by_one(link).await;
    }
    match link.roll(4) {
        0 => {
            let rows = link.run(BY_TABLE, &[]).await?.rows;
            Ok(answer(rows))
        }
        1 => {
            link.begin().await?;
            let rows = by_index(link).await?;
            link.commit().await?;
            Ok(answer(rows))
        }
        _ => read_every_way(link).await,
    }
}

/// By way of the table, of the index, backwards, and added up: one transaction sees one state (Q3).
pub(super) async fn read_every_way(link: &mut Link) -> Result<Answer, Trouble> {
    link.begin().await?;
    let table = link.run(&format!("{BY_TABLE} ORDER BY id"), &[]).await?.rows;
    let mut index = by_index(link).await?;
    index.sort();
    let sum = link.run(TOTAL, &[]).await?.value();
    let back = link.run(&format!("{BY_TABLE} ORDER BY id DESC LIMIT 3"), &[]).await?.rows;
    let ends = link.run(ENDS, &[]).await?.rows;
    let richest = link.run(RICHEST, &[Param::Int(1)]).await?.rows;
    link.commit().await?;
    if table != index {
        link.complain(format!("account holds {table:?}, and its index {index:?}"));
    }
    let expected: i64 = table.iter().filter_map(|row| *row.get(1)?).sum();
    if sum != Some(expected) {
        link.complain(format!("the sum over {table:?} is {sum:?}"));
    }
    let last: Vec<_> = table.iter().rev().take(3).cloned().collect();
    if back != last {
        link.complain(format!("the last rows of {table:?} are {back:?}"));
    }
    let id = |row: Option<&Vec<Option<i64>>>| row.and_then(|row| *row.first()?);
    if ends != [[id(table.first()), id(table.last())]] {
        link.complain(format!("the first and last account of {table:?} are {ends:?}"));
    }
    let odd = |row: &&Vec<Option<i64>>| id(Some(row)).is_some_and(|id| id % 2 == 1);
    let mut balances: Vec<_> = table.iter().filter(odd).map(|row| vec![row[1]]).collect();
    balances.sort_by(|a, b| b.cmp(a));
    balances.truncate(2);
    if richest != balances {
        link.complain(format!("the richest odd accounts of {table:?} have {richest:?}"));
    }
    Ok(answer(table))
}

async fn read_one_by_one(link: &mut Link) -> Result<Answer, Trouble> {
    link.begin().await?;
    let mut rows = Vec::new();
    for id in 0..ACCOUNTS {
        let balance = balance(link, id, ReadMode::Plain).await?;
        rows.push(vec![Some(id as i64), Some(balance.unwrap_or(0))]);
    }
    link.commit().await?;
    Ok(answer(rows))
}

async fn by_index(link: &mut Link) -> Result<Vec<Vec<Option<i64>>>, Trouble> {
    let mut rows = Vec::new();
    for branch in 0..=1 {
        rows.extend(link.run(BY_INDEX, &[Param::Int(branch)]).await?.rows);
    }
    Ok(rows)
}

/// The rows as they came: the checker looks for what is there twice. What has no row has no money.
fn answer(rows: Vec<Vec<Option<i64>>>) -> Answer {
    let account = |row: Vec<Option<i64>>| {
        let id = row.first().copied().flatten().and_then(|id| u64::try_from(id).ok());
        (id.unwrap_or(u64::from(u32::MAX)), row.get(1).copied().flatten())
    };
    let mut accounts: Vec<(u64, Option<i64>)> = rows.into_iter().map(account).collect();
    for id in 0..ACCOUNTS {
        if accounts.iter().all(|(known, _)| *known != id) {
            accounts.push((id, Some(0)));
        }
    }
    Answer::Accounts(accounts)
}

/// The sum of all balances.
pub(super) async fn total(link: &mut Link) -> Result<Answer, Trouble> {
    Ok(Answer::Total(link.run(TOTAL, &[]).await?.value().unwrap_or(0)))
}

/// Moves money, in one of three ways: a statement for both accounts, statements that add and subtract, or what was read
/// is written back. Who waits for seconds between reads and writes has read first.
pub(super) async fn transfer(
    link: &mut Link,
    accounts: (u64, u64),
    amount: i64,
    mode: ReadMode,
    pause: Duration,
) -> Result<Answer, Trouble> {
    match (link.roll(10), mode) {
        (0, _) if pause.is_zero() => transfer_at_once(link, accounts, amount).await,
        (1..=5, ReadMode::Locking) => transfer_by_adding(link, accounts, amount).await,
        _ => transfer_by_reading(link, accounts, amount, mode, pause).await,
    }
}

async fn transfer_at_once(
    link: &mut Link,
    (from, to): (u64, u64),
    amount: i64,
) -> Result<Answer, Trouble> {
    let text = "UPDATE account SET balance = balance + CASE id WHEN $1 THEN 0 - $3 ELSE $3 END \
                WHERE id IN ($1, $2) \
                AND (SELECT count(*) FROM account WHERE id IN ($1, $2)) = 2";
    let params = [Param::key(from), Param::key(to), Param::Big(amount)];
    match link.run(text, &params).await?.count {
        0 => Err(Trouble::Fail("an account has no row".into())),
        2 => Ok(Answer::Done),
        count => {
            link.complain(format!("a transfer between two accounts changed {count}"));
            Ok(Answer::Done)
        }
    }
}

async fn transfer_by_adding(
    link: &mut Link,
    (from, to): (u64, u64),
    amount: i64,
) -> Result<Answer, Trouble> {
    link.begin().await?;
    let take = "UPDATE account SET balance = balance - $2 WHERE id = $1 RETURNING balance";
    let left = link.run(take, &[Param::key(from), Param::Big(amount)]).await?;
    match left.value() {
        None => return Err(Trouble::Fail("insufficient funds".into())),
        Some(0) => delete(link, from).await?,
        Some(_) => {}
    }
    let give = format!(
        "{INSERT} ON CONFLICT (id) DO UPDATE SET balance = account.balance + excluded.balance"
    );
    link.run(&give, &[Param::key(to), Param::Big(amount), branch_of(to)]).await?;
    link.commit().await?;
    Ok(Answer::Done)
}

async fn transfer_by_reading(
    link: &mut Link,
    (from, to): (u64, u64),
    amount: i64,
    mode: ReadMode,
    pause: Duration,
) -> Result<Answer, Trouble> {
    link.begin().await?;
    let paying = balance(link, from, mode).await?;
    let receiving = balance(link, to, mode).await?;
    tokio::time::sleep(pause).await;
    let left = paying.unwrap_or(0) - amount;
    if left < 0 {
        return Err(Trouble::Fail("insufficient funds".into()));
    }
    let wrong = "UPDATE account SET balance = balance + 1000 WHERE id = $1";
    link.detour(wrong, &[Param::key(to)]).await?;
    store(link, from, paying.is_some(), left).await?;
    store(link, to, receiving.is_some(), receiving.unwrap_or(0) + amount).await?;
    link.commit().await?;
    Ok(Answer::Done)
}

async fn balance(link: &mut Link, id: u64, mode: ReadMode) -> Result<Option<i64>, Trouble> {
    let text = match mode {
        ReadMode::Plain => "SELECT balance FROM account WHERE id = $1",
        ReadMode::Locking => "SELECT balance FROM account WHERE id = $1 FOR UPDATE",
    };
    Ok(link.run(text, &[Param::key(id)]).await?.value())
}

/// Sets a balance, of an account that was found to have a row or not.
async fn store(link: &mut Link, id: u64, exists: bool, balance: i64) -> Result<(), Trouble> {
    let params = [Param::key(id), Param::Big(balance), branch_of(id)];
    let Reply { count, .. } = match (exists, link.roll(2)) {
        (true, _) if balance == 0 => return delete(link, id).await,
        (true, 0) => link.run(UPDATE, &params[..2]).await?,
        (false, 0) => link.run(INSERT, &params).await?,
        _ => {
            let upsert =
                format!("{INSERT} ON CONFLICT (id) DO UPDATE SET balance = excluded.balance");
            link.run(&upsert, &params).await?
        }
    };
    if count != 1 {
        link.complain(format!("account {id} was set by {count} writes"));
    }
    Ok(())
}

async fn delete(link: &mut Link, id: u64) -> Result<(), Trouble> {
    let Reply { count, .. } =
        link.run("DELETE FROM account WHERE id = $1", &[Param::key(id)]).await?;
    if count != 1 {
        link.complain(format!("account {id} was there, and {count} rows of it were deleted"));
    }
    Ok(())
}
