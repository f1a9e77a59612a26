//! Pairs: two rows of one table, far apart in it, so that a pair has two ranges. A value of zero may have no row.

use std::time::Duration;

use super::link::Link;
use super::outcome::Trouble;
use super::statement::Param;
use crate::client::{Answer, ClientOp, ReadMode, Side};

/// What both rows hold, if they are there.
type Values = (Option<i64>, Option<i64>);

/// Reads both values.
pub(super) async fn read(link: &mut Link, pair: u64) -> Result<Answer, Trouble> {
    let (a, b) = match link.roll(4) {
        0 => {
            link.begin().await?;
            let values = both(link, pair, ReadMode::Plain).await?;
            link.commit().await?;
            values
        }
        _ => at_once(link, pair, ReadMode::Plain).await?,
    };
    Ok(Answer::Pair { a: a.unwrap_or(0), b: b.unwrap_or(0), wrote: None })
}

/// Runs a deposit or a withdrawal, and returns what it has read.
pub(super) async fn change(
    link: &mut Link,
    op: &ClientOp,
    pair: u64,
    side: Side,
    mode: ReadMode,
    pause: Duration,
) -> Result<(i64, i64), Trouble> {
    link.begin().await?;
    let found = both(link, pair, mode).await?;
    tokio::time::sleep(pause).await;
    let (a, b) = (found.0.unwrap_or(0), found.1.unwrap_or(0));
    if let Some(value) = op.pair_write(a, b) {
        let old = if side == Side::A { found.0 } else { found.1 };
        let row = [Param::Int(i32::from(side == Side::B)), Param::key(pair)];
        link.detour("UPDATE pair SET v = v + 1 WHERE side = $1 AND id = $2", &row).await?;
        store(link, row, old, value).await?;
    }
    link.commit().await?;
    Ok((a, b))
}

async fn both(link: &mut Link, pair: u64, mode: ReadMode) -> Result<Values, Trouble> {
    match (link.roll(4), mode) {
        (0 | 1, _) => return at_once(link, pair, mode).await,
        (2, ReadMode::Plain) => {
            let a = last_up_to(link, Param::Int(0), pair).await?;
            return Ok((a, last_up_to(link, Param::Int(1), pair).await?));
        }
        _ => {}
    }
    let text = match mode {
        ReadMode::Plain => "SELECT v FROM pair WHERE side = $1 AND id = $2",
        ReadMode::Locking => "SELECT v FROM pair WHERE side = $1 AND id = $2 FOR UPDATE",
    };
    let a = link.run(text, &[Param::Int(0), Param::key(pair)]).await?.value();
    let b = link.run(text, &[Param::Int(1), Param::key(pair)]).await?.value();
    Ok((a, b))
}

/// The value of the last row of a side up to the pair's, if that is the pair's: a scan backwards that ends at its first
/// row. Whoever writes the pair's row, or one before it that was not there, writes what was read.
async fn last_up_to(link: &mut Link, side: Param, pair: u64) -> Result<Option<i64>, Trouble> {
    let last =
        "SELECT id::bigint, v FROM pair WHERE side = $1 AND id <= $2 ORDER BY id DESC LIMIT 1";
    let rows = link.run(last, &[side, Param::key(pair)]).await?.rows;
    let mine = rows.iter().find(|row| row.first() == Some(&i64::try_from(pair).ok()));
    Ok(mine.and_then(|row| *row.get(1)?))
}

async fn at_once(link: &mut Link, pair: u64, mode: ReadMode) -> Result<Values, Trouble> {
    let text = match mode {
        ReadMode::Plain => "SELECT side, v FROM pair WHERE id = $1 AND side IN (0, 1)",
        ReadMode::Locking => "SELECT side, v FROM pair WHERE id = $1 AND side IN (0, 1) FOR UPDATE",
    };
    let rows = link.run(text, &[Param::key(pair)]).await?.rows;
    let of = |side: i64| {
        rows.iter().find(|row| row.first() == Some(&Some(side))).and_then(|row| *row.get(1)?)
    };
    if rows.len() > 2 || rows.iter().any(|row| row.len() != 2) {
        link.complain(format!("pair {pair} has the rows {rows:?}"));
    }
    Ok((of(0), of(1)))
}

/// Sets one value, of a row that was found to hold `old`.
async fn store(
    link: &mut Link,
    row: [Param; 2],
    old: Option<i64>,
    value: i64,
) -> Result<(), Trouble> {
    let [side, id] = row;
    let written = match (old, link.roll(2)) {
        (Some(_), 0) if value == 0 => {
            let delete = "DELETE FROM pair WHERE side = $1 AND id = $2 RETURNING 0::bigint";
            link.run(delete, &row).await?
        }
        (Some(old), 0) => {
            let add = "UPDATE pair SET v = v + $3 WHERE side = $1 AND id = $2 RETURNING v";
            link.run(add, &[side, id, Param::Big(value - old)]).await?
        }
        (None, 0) => {
            let insert = "INSERT INTO pair (side, id, v) VALUES ($1, $2, $3) RETURNING v";
            link.run(insert, &[side, id, Param::Big(value)]).await?
        }
        _ => {
            let upsert = "INSERT INTO pair (side, id, v) VALUES ($1, $2, $3) \
                          ON CONFLICT (side, id) DO UPDATE SET v = excluded.v RETURNING v";
            link.run(upsert, &[side, id, Param::Big(value)]).await?
        }
    };
    if written.rows != [[Some(value)]] {
        link.complain(format!("{:?} is not what was written: {value}", written.rows));
    }
    Ok(())
}
