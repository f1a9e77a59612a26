//! Functions about the session and the catalog.

use std::sync::Arc;

use sql_catalog::descriptor::{IndexDescriptor, TableDescriptor, TableId};
use sql_catalog::system;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};

use super::identifier::quoted_identifier;
use super::io;
use super::signature::*;
use super::{EvalContext, Function};

/// The release whose behaviour this is: clients branch on it.
pub(super) const SERVER_VERSION: &str = "15.0";

/// Oids of the schemas that always exist.
const SCHEMAS: [(&str, u32); 2] = [("pg_catalog", 11), ("public", 2200)];

/// The only role, until there are more.
const BOOTSTRAP_ROLE: u32 = 10;

/// A table or index with this oid: the table, and the index if it is one.
pub(super) fn relation(
    ctx: &EvalContext<'_>,
    oid: u32,
) -> SqlResult<Option<(Arc<TableDescriptor>, Option<usize>)>> {
    if let Some(table) = ctx.catalog.table_by_id(TableId(oid))? {
        return Ok(Some((table, None)));
    }
    for schema in ctx.catalog.search_path() {
        for table in ctx.catalog.tables(&schema)? {
            if let Some(at) = table.indexes.iter().position(|index| index.oid == oid) {
                return Ok(Some((table, Some(at))));
            }
        }
    }
    Ok(None)
}

fn visible(ctx: &EvalContext<'_>, table: &TableDescriptor) -> SqlResult<bool> {
    Ok(ctx.catalog.table(None, &table.name)?.is_some_and(|found| found.id == table.id))
}

fn qualified(ctx: &EvalContext<'_>, table: &TableDescriptor, name: &str) -> SqlResult<String> {
    let name = quoted_identifier(name);
    if visible(ctx, table)? {
        return Ok(name);
    }
    Ok(format!("{}.{name}", quoted_identifier(&table.schema)))
}

/// The name that a value of a `reg` type shows; None if it shows its number or is of another type.
pub(super) fn reg_name(ctx: &EvalContext<'_>, ty: SqlType, oid: u32) -> SqlResult<Option<String>> {
    match ty {
        SqlType::RegClass => match relation(ctx, oid)? {
            Some((table, index)) => {
                let name = index.map_or(&table.name, |at| &table.indexes[at].name);
                qualified(ctx, &table, name).map(Some)
            }
            None => Ok(None),
        },
        SqlType::RegProc => {
            let name = ctx.functions.function(oid).map(|function| function.name);
            Ok(name.or_else(|| io::name_of(oid)).map(str::to_owned))
        }
        SqlType::RegNamespace => {
            let known = SCHEMAS.iter().find(|(_, known)| *known == oid);
            Ok(known.map(|(name, _)| (*name).to_owned()))
        }
        SqlType::RegType => row_type_name(ctx, oid),
        _ => Ok(None),
    }
}

/// The name of the type of a table's rows, or of arrays of them, if it is such.
fn row_type_name(ctx: &EvalContext<'_>, oid: u32) -> SqlResult<Option<String>> {
    let Some((table, is_array)) = system::table_of_row_type(oid) else { return Ok(None) };
    let Some(table) = ctx.catalog.table_by_id(TableId(table))? else { return Ok(None) };
    let name = qualified(ctx, &table, &table.name)?;
    Ok(Some(if is_array { name + "[]" } else { name }))
}

/// The oid of the type of a table's rows, or of arrays of them, by its name.
fn row_type_named(ctx: &EvalContext<'_>, name: &str) -> SqlResult<Option<u32>> {
    let (element, is_array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name, false),
    };
    let (schema, name) = split_name(ctx, element)?;
    let table = ctx.catalog.table(schema.as_deref(), &name)?;
    Ok(table.map(|table| system::row_type(&table) | u32::from(is_array)))
}

/// Takes a name apart: `schema.name`, each quoted or in any case.
fn split_name(ctx: &EvalContext<'_>, text: &str) -> SqlResult<(Option<String>, String)> {
    let invalid = || SqlError::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { return Err(invalid()) };
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if !quoted && c.is_whitespace() => {
                // Blanks may only stand beside a dot.
                if chars.by_ref().any(|c| !c.is_whitespace()) {
                    return Err(invalid());
                }
            }
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    if quoted || parts.iter().any(String::is_empty) {
        return Err(invalid());
    }
    let name = parts.pop().ok_or_else(invalid)?;
    let schema = parts.pop();
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Ok((schema, name)),
        (Some(other), true) if other == ctx.catalog.database() => Ok((schema, name)),
        (Some(_), true) => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: \"{}\"", text.trim()),
        )),
        (Some(_), false) => Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("improper relation name (too many dotted names): {}", text.trim()),
        )),
    }
}

/// The relation that a text names; 42P01 if there is none.
pub(super) fn table_of_text(ctx: &EvalContext<'_>, text: &str) -> SqlResult<Arc<TableDescriptor>> {
    let (schema, name) = split_name(ctx, text)?;
    let found = ctx.catalog.table(schema.as_deref(), &name)?;
    found.ok_or_else(|| reg_missing(ctx, SqlType::RegClass, text))
}

/// A relation's name with its schema.
pub(super) fn qualified_in_full(table: &TableDescriptor) -> String {
    format!("{}.{}", quoted_identifier(&table.schema), quoted_identifier(&table.name))
}

/// True iff the text of a `reg` type is an oid in figures, or `-` for none.
pub(super) fn is_number(text: &str) -> bool {
    let bare = text.trim();
    bare == "-" || (!bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()))
}

/// Why a text of a `reg` type names nothing.
pub(super) fn reg_missing(ctx: &EvalContext<'_>, ty: SqlType, text: &str) -> SqlError {
    let bare = text.trim();
    if let Ok((Some(schema), _)) = split_name(ctx, bare)
        && !system::exists(&schema)
    {
        let message = format!("schema \"{schema}\" does not exist");
        return SqlError::new(SqlState::INVALID_SCHEMA_NAME, message);
    }
    if ty == SqlType::RegType {
        return match ctx.catalog.type_named(bare) {
            Err(error) => SqlError { position: None, ..error },
            Ok(_) => SqlError::internal("a type that is there and is not"),
        };
    }
    let shown = match split_name(ctx, bare) {
        Ok((Some(schema), name)) => format!("{schema}.{name}"),
        Ok((None, name)) => name,
        Err(error) => return error,
    };
    let (state, what) = match ty {
        SqlType::RegProc => (SqlState::UNDEFINED_FUNCTION, "function"),
        SqlType::RegNamespace => (SqlState::INVALID_SCHEMA_NAME, "schema"),
        _ => (SqlState::UNDEFINED_TABLE, "relation"),
    };
    SqlError::new(state, format!("{what} \"{shown}\" does not exist"))
}

/// The oid that a text of a `reg` type names; None if it is for the type's own input.
pub(super) fn reg_oid(ctx: &EvalContext<'_>, ty: SqlType, text: &str) -> SqlResult<Option<u32>> {
    if is_number(text) {
        return Ok(None);
    }
    let bare = text.trim();
    match ty {
        SqlType::RegClass => {
            let (schema, name) = split_name(ctx, bare)?;
            if let Some(table) = ctx.catalog.table(schema.as_deref(), &name)? {
                return Ok(Some(table.id.0));
            }
            let schemas = schema.map_or_else(|| ctx.catalog.search_path(), |schema| vec![schema]);
            for schema in schemas {
                for table in ctx.catalog.tables(&schema)? {
                    if let Some(index) = table.indexes.iter().find(|index| index.name == name) {
                        return Ok(Some(index.oid));
                    }
                }
            }
            Ok(None)
        }
        SqlType::RegProc => {
            let (_, name) = split_name(ctx, bare)?;
            match ctx.functions.functions(&name) {
                [] => Ok(io::named(&name)),
                [single] => Ok(Some(single.oid)),
                _ => Err(SqlError::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one function named \"{bare}\""),
                )),
            }
        }
        SqlType::RegNamespace => {
            let (None, name) = split_name(ctx, bare)? else {
                return Err(SqlError::new(SqlState::INVALID_NAME, "invalid name syntax"));
            };
            Ok(SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid))
        }
        SqlType::RegType => match ctx.catalog.type_named(bare) {
            Ok(ty) => Ok(Some(ty.oid())),
            Err(error) if error.state == SqlState::UNDEFINED_OBJECT => row_type_named(ctx, bare),
            Err(error) => Err(SqlError { position: None, ..error }),
        },
        _ => Ok(None),
    }
}

fn version(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    let meridian = env!("CARGO_PKG_VERSION");
    Ok(Datum::text(format!("PostgreSQL {SERVER_VERSION} (Meridian {meridian})")))
}

fn current_database(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(ctx.catalog.database()))
}

fn current_user(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(ctx.catalog.user()))
}

fn current_schema(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    let path = ctx.catalog.search_path();
    let first = path.iter().find(|schema| *schema != "pg_catalog");
    Ok(first.map_or(Datum::Null, |schema| Datum::text(schema.as_str())))
}

fn current_schemas(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let implicit = boolean(args, 0)?;
    let path = ctx.catalog.search_path();
    let shown = path.iter().filter(|schema| implicit || *schema != "pg_catalog");
    Ok(Datum::Array(shown.map(|schema| Datum::text(schema.as_str())).collect()))
}

fn current_setting(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let name = text(args, 0)?;
    let missing_ok = args.len() > 1 && boolean(args, 1)?;
    match ctx.session.setting(name) {
        Some(value) => Ok(Datum::text(value)),
        None if missing_ok => Ok(Datum::Null),
        None => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

fn backend_pid(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(ctx.backend_pid))
}

fn table_is_visible(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match relation(ctx, oid(args, 0)?)? {
        Some((table, _)) => visible(ctx, &table).map(Datum::Bool),
        None => Ok(Datum::Null),
    }
}

fn always_false(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(false))
}

fn always_null(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Null)
}

fn type_is_visible(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let oid = oid(args, 0)?;
    if SqlType::from_oid(oid).is_some() {
        return Ok(Datum::Bool(true));
    }
    // What is not visible is shown with its schema.
    let name = row_type_name(ctx, oid)?;
    Ok(name.map_or(Datum::Null, |name| Datum::Bool(!name.contains('.'))))
}

fn function_is_visible(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(ctx.functions.function(oid(args, 0)?).map_or(Datum::Null, |_| Datum::Bool(true)))
}

fn format_type(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if args.first().is_none_or(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let oid = oid(args, 0)?;
    if oid == 0 {
        return Ok(Datum::text("-"));
    }
    let Some(ty) = SqlType::from_oid(oid) else {
        return Ok(Datum::text(row_type_name(ctx, oid)?.unwrap_or_else(|| "???".to_owned())));
    };
    let typmod = match args.get(1) {
        Some(Datum::Null) | None => return Ok(Datum::text(ty.name())),
        Some(_) => int4(args, 1)?,
    };
    // Without a length it is not SQL's character, which has one character.
    if ty == SqlType::Char(None) && typmod < 0 {
        return Ok(Datum::text("bpchar"));
    }
    Ok(Datum::text(ty.with_typmod(typmod).name()))
}

/// Expressions are kept as text already.
fn get_expr(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    text(args, 0).map(Datum::text)
}

fn get_userbyid(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let oid = oid(args, 0)?;
    if oid == BOOTSTRAP_ROLE {
        return Ok(Datum::text(ctx.catalog.user()));
    }
    Ok(Datum::text(format!("unknown (OID={oid})")))
}

fn encoding_to_char(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(match int(args, 0)? {
        0 => "SQL_ASCII",
        6 => "UTF8",
        _ => "",
    }))
}

fn char_to_encoding(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let name = text(args, 0)?.to_ascii_uppercase();
    Ok(Datum::Int4(match name.replace(['-', '_'], "").as_str() {
        "UTF8" | "UNICODE" => 6,
        "SQLASCII" => 0,
        _ => -1,
    }))
}

fn column_name(table: &TableDescriptor, id: sql_catalog::descriptor::ColumnId) -> String {
    let found = table.position(id).and_then(|at| table.columns.get(at));
    found.map_or(String::new(), |column| quoted_identifier(&column.name))
}

fn key_columns(table: &TableDescriptor, index: &IndexDescriptor) -> Vec<String> {
    let shown = |(id, descending): &(_, bool)| {
        let order = if *descending { " DESC" } else { "" };
        format!("{}{order}", column_name(table, *id))
    };
    index.key.iter().map(shown).collect()
}

fn get_indexdef(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some((table, Some(at))) = relation(ctx, oid(args, 0)?)? else { return Ok(Datum::Null) };
    let index = &table.indexes[at];
    let columns = key_columns(&table, index);
    if args.len() > 1 && int(args, 1)? != 0 {
        let nth = usize::try_from(int(args, 1)? - 1).ok();
        let column = nth.and_then(|nth| index.key.get(nth));
        return Ok(Datum::text(column.map_or(String::new(), |(id, _)| column_name(&table, *id))));
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    Ok(Datum::text(format!(
        "CREATE {unique}INDEX {} ON {}.{} USING btree ({})",
        quoted_identifier(&index.name),
        quoted_identifier(&table.schema),
        quoted_identifier(&table.name),
        columns.join(", ")
    )))
}

/// The definition of the constraint that an index stands for: its oid is the index's.
fn get_constraintdef(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if let Some(check) = super::describe::check_definition(ctx, oid(args, 0)?)? {
        return Ok(Datum::text(check));
    }
    let Some((table, Some(at))) = relation(ctx, oid(args, 0)?)? else { return Ok(Datum::Null) };
    let index = &table.indexes[at];
    let columns: Vec<String> = index.key.iter().map(|(id, _)| column_name(&table, *id)).collect();
    let kind = if at == 0 { "PRIMARY KEY" } else { "UNIQUE" };
    Ok(Datum::text(format!("{kind} ({})", columns.join(", "))))
}

fn to_regclass(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(reg_oid(ctx, SqlType::RegClass, text(args, 0)?)?.map_or(Datum::Null, Datum::Oid))
}

fn to_regproc(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(reg_oid(ctx, SqlType::RegProc, text(args, 0)?)?.map_or(Datum::Null, Datum::Oid))
}

fn to_regnamespace(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(reg_oid(ctx, SqlType::RegNamespace, text(args, 0)?)?.map_or(Datum::Null, Datum::Oid))
}

fn to_regtype(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(reg_oid(ctx, SqlType::RegType, text(args, 0)?)?.map_or(Datum::Null, Datum::Oid))
}

fn gen_random_uuid(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    let high = (ctx.random)().to_be_bytes();
    let low = (ctx.random)().to_be_bytes();
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    // RFC 9562: version 4, variant 1.
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(Datum::Uuid(bytes))
}

/// A number of bytes in the unit in which it has two to five digits, rounded half away from zero.
fn size_pretty(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let size = int(args, 0)?;
    if size.unsigned_abs() < 10 << 10 {
        return Ok(Datum::text(format!("{size} bytes")));
    }
    // In halves of the unit, so that the last step can round.
    let mut halves = size / 512;
    let mut units = ["kB", "MB", "GB", "TB"].iter();
    loop {
        match units.next() {
            Some(unit) if halves.unsigned_abs() < (20 << 10) - 1 => {
                return Ok(Datum::text(format!("{} {unit}", (halves + halves.signum()) / 2)));
            }
            Some(_) => halves /= 1024,
            None => return Ok(Datum::text(format!("{} PB", (halves + halves.signum()) / 2))),
        }
    }
}

/// No advisory lock can be taken, so none is held: pools ask for it when they take a connection back.
fn advisory_unlock_all(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(""))
}

/// Functions about session and catalog, by oid. Sizes are unknown (NULL): nobody measures them.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(89, "version", &[], TEXT, version).stable(),
    scalar(745, "current_user", &[], NAME, current_user).stable(),
    scalar(746, "session_user", &[], NAME, current_user).stable(),
    scalar(861, "current_database", &[], NAME, current_database).stable(),
    scalar(1081, "format_type", &[OID, INT4], TEXT, format_type).stable().lenient(),
    scalar(1215, "obj_description", &[OID, NAME], TEXT, always_null).stable(),
    scalar(1216, "col_description", &[OID, INT4], TEXT, always_null).stable(),
    scalar(1264, "pg_char_to_encoding", &[NAME], INT4, char_to_encoding).stable(),
    scalar(1348, "obj_description", &[OID], TEXT, always_null).stable(),
    scalar(1387, "pg_get_constraintdef", &[OID], TEXT, get_constraintdef).stable(),
    scalar(1402, "current_schema", &[], NAME, current_schema).stable(),
    scalar(1403, "current_schemas", &[BOOL], NAME_ARRAY, current_schemas).stable(),
    scalar(1573, "pg_get_ruledef", &[OID], TEXT, always_null).stable(),
    scalar(1597, "pg_encoding_to_char", &[INT4], NAME, encoding_to_char).stable(),
    scalar(1641, "pg_get_viewdef", &[OID], TEXT, always_null).stable(),
    scalar(1642, "pg_get_userbyid", &[OID], NAME, get_userbyid).stable(),
    scalar(1643, "pg_get_indexdef", &[OID], TEXT, get_indexdef).stable(),
    scalar(1662, "pg_get_triggerdef", &[OID], TEXT, always_null).stable(),
    scalar(1716, "pg_get_expr", &[TEXT, OID], TEXT, get_expr).stable(),
    scalar(1993, "shobj_description", &[OID, NAME], TEXT, always_null).stable(),
    scalar(2026, "pg_backend_pid", &[], INT4, backend_pid).stable(),
    scalar(2077, "current_setting", &[TEXT], TEXT, current_setting).stable(),
    scalar(2079, "pg_table_is_visible", &[OID], BOOL, table_is_visible).stable(),
    scalar(2080, "pg_type_is_visible", &[OID], BOOL, type_is_visible).stable(),
    scalar(2081, "pg_function_is_visible", &[OID], BOOL, function_is_visible).stable(),
    scalar(2286, "pg_total_relation_size", &[REGCLASS], INT8, always_null).volatile(),
    scalar(2288, "pg_size_pretty", &[INT8], TEXT, size_pretty),
    scalar(2324, "pg_database_size", &[OID], INT8, always_null).volatile(),
    scalar(2325, "pg_relation_size", &[REGCLASS], INT8, always_null).volatile(),
    scalar(2506, "pg_get_viewdef", &[OID, BOOL], TEXT, always_null).stable(),
    scalar(2507, "pg_get_indexdef", &[OID, INT4, BOOL], TEXT, get_indexdef).stable(),
    scalar(2508, "pg_get_constraintdef", &[OID, BOOL], TEXT, get_constraintdef).stable(),
    scalar(2509, "pg_get_expr", &[TEXT, OID, BOOL], TEXT, get_expr).stable(),
    scalar(2892, "pg_advisory_unlock_all", &[], VOID, advisory_unlock_all).volatile(),
    scalar(2997, "pg_table_size", &[REGCLASS], INT8, always_null).volatile(),
    scalar(2998, "pg_indexes_size", &[REGCLASS], INT8, always_null).volatile(),
    scalar(3294, "current_setting", &[TEXT, BOOL], TEXT, current_setting).stable(),
    scalar(3432, "gen_random_uuid", &[], UUID, gen_random_uuid).volatile(),
    scalar(3493, "to_regtype", &[TEXT], REGTYPE, to_regtype).stable(),
    scalar(3494, "to_regproc", &[TEXT], REGPROC, to_regproc).stable(),
    scalar(3495, "to_regclass", &[TEXT], REGCLASS, to_regclass).stable(),
    scalar(3810, "pg_is_in_recovery", &[], BOOL, always_false).volatile(),
    scalar(4086, "to_regnamespace", &[TEXT], REGNAMESPACE, to_regnamespace).stable(),
    scalar(6121, "pg_relation_is_publishable", &[REGCLASS], BOOL, always_false).stable(),
];
