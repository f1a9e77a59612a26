//! Registers: one row each, most of the time without an index, so that most commits take one phase.

use super::link::Link;
use super::outcome::Trouble;
use super::statement::Param;
use crate::client::Answer;

const READ: &str = "SELECT v FROM register WHERE k = $1";
const BY_VALUE: &str = "SELECT k FROM register WHERE v = $1";
const UPSERT: &str =
    "INSERT INTO register (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";

/// Reads a register.
pub(super) async fn read(link: &mut Link, key: u64) -> Result<Answer, Trouble> {
    let key = [Param::key(key)];
    if link.roll(10) > 0 {
        return Ok(Answer::Register(link.run(READ, &key).await?.value()));
    }
    link.begin().await?;
    let value = link.run(READ, &key).await?.value();
    let named = match value {
        Some(value) => Some(link.run(BY_VALUE, &[Param::Big(value)]).await?),
        None => None,
    };
    link.commit().await?;
    // Now and then there is an index over the values; none is ever written twice.
    if let (Some(named), [Param::Int(key)]) = (named, key)
        && named.rows != [[Some(i64::from(key))]]
    {
        link.complain(format!("register {key} holds {value:?}, which {named:?} hold"));
    }
    Ok(Answer::Register(value))
}

/// Sets a register.
pub(super) async fn write(link: &mut Link, key: u64, value: i64) -> Result<Answer, Trouble> {
    let params = [Param::key(key), Param::Big(value)];
    match link.roll(10) {
        0 => {
            let [key, value] = [key.to_string(), value.to_string()];
            let upsert = UPSERT.replace("$1", &key).replace("$2", &value);
            link.run_block(&format!("BEGIN; {upsert}; COMMIT")).await?;
        }
        1..=3 => {
            link.begin().await?;
            link.detour("DELETE FROM register WHERE k = $1", &params[..1]).await?;
            let update = "UPDATE register SET v = $2 WHERE k = $1 RETURNING v";
            let updated = link.run(update, &params).await?;
            if updated.rows.is_empty() {
                link.run("INSERT INTO register (k, v) VALUES ($1, $2)", &params).await?;
            } else if updated.value() != Some(value) {
                link.complain(format!("{updated:?} is not what was just written: {value}"));
            }
            link.commit().await?;
        }
        _ => {
            let count = link.run(UPSERT, &params).await?.count;
            if count != 1 {
                link.complain(format!("an upsert of one row wrote {count}"));
            }
        }
    }
    Ok(Answer::Done)
}

/// Sets a register if it holds `old`.
pub(super) async fn cas(link: &mut Link, key: u64, old: i64, new: i64) -> Result<Answer, Trouble> {
    let mismatch = || Trouble::Fail("mismatch".into());
    let params = [Param::key(key), Param::Big(old), Param::Big(new)];
    if link.roll(2) == 0 {
        let cas = "UPDATE register SET v = $3 WHERE k = $1 AND v = $2";
        return match link.run(cas, &params).await?.count {
            0 => Err(mismatch()),
            _ => Ok(Answer::Done),
        };
    }
    link.begin().await?;
    let locking = "SELECT v FROM register WHERE k = $1 FOR UPDATE";
    let text = if link.roll(2) == 0 { READ } else { locking };
    if link.run(text, &params[..1]).await?.value() != Some(old) {
        return Err(mismatch());
    }
    let params = [params[0], params[2]];
    let count = link.run("UPDATE register SET v = $2 WHERE k = $1", &params).await?.count;
    if count != 1 {
        link.complain(format!("an update of a row that was read wrote {count}"));
    }
    link.commit().await?;
    Ok(Answer::Done)
}
