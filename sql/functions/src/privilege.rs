//! Who may do what: everybody everything, on what there is.
//!
//! Roles and grants do not exist yet, so the answer is always true; but a role, an object or a privilege that does not
//! exist is the error that PostgreSQL gives, and an oid of nothing is NULL.

use sql_catalog::system;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};

use super::signature::*;
use super::system::{reg_missing, reg_oid, relation};
use super::{EvalContext, Function};

const TABLE: &[&str] =
    &["select", "insert", "update", "delete", "truncate", "references", "trigger", "rule"];
const COLUMN: &[&str] = &["select", "insert", "update", "references"];
const SCHEMA: &[&str] = &["create", "usage"];
const DATABASE: &[&str] = &["create", "temporary", "temp", "connect"];
const ROLE: &[&str] = &["usage", "member"];

/// Checks a list of privileges: `select, insert with grant option`.
fn check_privileges(text: &str, known: &[&str], option: &str) -> SqlResult<()> {
    for part in text.split(',') {
        let part = part.trim();
        let lower = part.to_ascii_lowercase();
        let bare = lower.strip_suffix(option).unwrap_or(&lower).trim_end();
        if !known.contains(&bare) {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{part}\""),
            ));
        }
    }
    Ok(())
}

const GRANT: &str = " with grant option";
const ADMIN: &str = " with admin option";

/// A role's name must be one's own: there are no others.
fn check_role(ctx: &EvalContext<'_>, name: &str) -> SqlResult<()> {
    if name == ctx.catalog.user() {
        return Ok(());
    }
    let message = format!("role \"{name}\" does not exist");
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
}

/// The privileges that are asked for stand last, the object before them, a role before that.
fn privileges_of(args: &[Datum], known: &[&str]) -> SqlResult<()> {
    check_privileges(text(args, args.len().saturating_sub(1))?, known, GRANT)
}

/// Of a table by name or oid, at `at`: NULL if the oid is of nothing.
fn on_table(ctx: &EvalContext<'_>, args: &[Datum], at: usize, known: &[&str]) -> SqlResult<Datum> {
    let exists = match args.get(at) {
        Some(Datum::Text(name)) => {
            if reg_oid(ctx, SqlType::RegClass, name)?.is_none() {
                return Err(reg_missing(ctx, SqlType::RegClass, name));
            }
            true
        }
        _ => relation(ctx, oid(args, at)?)?.is_some(),
    };
    privileges_of(args, known)?;
    Ok(if exists { Datum::Bool(true) } else { Datum::Null })
}

fn table(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    on_table(ctx, args, 0, TABLE)
}

fn role_table(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    check_role(ctx, text(args, 0)?)?;
    on_table(ctx, args, 1, TABLE)
}

fn any_column(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    on_table(ctx, args, 0, COLUMN)
}

fn column(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let found = match args.first() {
        Some(Datum::Text(name)) => {
            let found = reg_oid(ctx, SqlType::RegClass, name)?;
            Some(found.ok_or_else(|| reg_missing(ctx, SqlType::RegClass, name))?)
        }
        _ => Some(oid(args, 0)?),
    };
    let table = match found {
        Some(found) => relation(ctx, found)?,
        None => None,
    };
    let Some((table, _)) = table else { return Ok(Datum::Null) };
    let exists = match args.get(1) {
        Some(Datum::Text(name)) => {
            if !table.columns.iter().any(|column| !column.hidden && column.name == **name) {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
                ));
            }
            true
        }
        _ => {
            let number = int(args, 1)?;
            table.columns.iter().any(|column| i64::from(column.id.0) == number)
        }
    };
    privileges_of(args, COLUMN)?;
    Ok(if exists { Datum::Bool(true) } else { Datum::Null })
}

fn on_schema(ctx: &EvalContext<'_>, args: &[Datum], at: usize) -> SqlResult<Datum> {
    let exists = match args.get(at) {
        Some(Datum::Text(name)) if !system::exists(name) => {
            let message = format!("schema \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
        }
        Some(Datum::Text(_)) => true,
        _ => super::system::reg_name(ctx, SqlType::RegNamespace, oid(args, at)?)?.is_some(),
    };
    privileges_of(args, SCHEMA)?;
    Ok(if exists { Datum::Bool(true) } else { Datum::Null })
}

fn schema(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    on_schema(ctx, args, 0)
}

fn role_schema(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    check_role(ctx, text(args, 0)?)?;
    on_schema(ctx, args, 1)
}

fn on_database(ctx: &EvalContext<'_>, args: &[Datum], at: usize) -> SqlResult<Datum> {
    let name = text(args, at)?;
    if name != ctx.catalog.database() {
        let message = format!("database \"{name}\" does not exist");
        return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, message));
    }
    privileges_of(args, DATABASE)?;
    Ok(Datum::Bool(true))
}

fn database(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    on_database(ctx, args, 0)
}

fn role_database(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    check_role(ctx, text(args, 0)?)?;
    on_database(ctx, args, 1)
}

fn has_role(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    check_role(ctx, text(args, 0)?)?;
    check_privileges(text(args, 1)?, ROLE, ADMIN)?;
    Ok(Datum::Bool(true))
}

/// Inquiries about privileges, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(1922, "has_table_privilege", &[NAME, TEXT, TEXT], BOOL, role_table).stable(),
    scalar(1923, "has_table_privilege", &[NAME, OID, TEXT], BOOL, role_table).stable(),
    scalar(1926, "has_table_privilege", &[TEXT, TEXT], BOOL, table).stable(),
    scalar(1927, "has_table_privilege", &[OID, TEXT], BOOL, table).stable(),
    scalar(2250, "has_database_privilege", &[NAME, TEXT, TEXT], BOOL, role_database).stable(),
    scalar(2254, "has_database_privilege", &[TEXT, TEXT], BOOL, database).stable(),
    scalar(2268, "has_schema_privilege", &[NAME, TEXT, TEXT], BOOL, role_schema).stable(),
    scalar(2272, "has_schema_privilege", &[TEXT, TEXT], BOOL, schema).stable(),
    scalar(2273, "has_schema_privilege", &[OID, TEXT], BOOL, schema).stable(),
    scalar(2709, "pg_has_role", &[NAME, TEXT], BOOL, has_role).stable(),
    scalar(3020, "has_column_privilege", &[TEXT, TEXT, TEXT], BOOL, column).stable(),
    scalar(3022, "has_column_privilege", &[OID, TEXT, TEXT], BOOL, column).stable(),
    scalar(3028, "has_any_column_privilege", &[TEXT, TEXT], BOOL, any_column).stable(),
    scalar(3029, "has_any_column_privilege", &[OID, TEXT], BOOL, any_column).stable(),
];
