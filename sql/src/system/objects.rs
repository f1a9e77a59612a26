//! System tables about everything but tables: types, functions, operators, casts, roles, databases, settings.

use sql_catalog::function::{
    Body, CastContext, CastMethod, EvalContext, Function, ParamType, Volatility,
};
use sql_functions::{io, registry};
use sql_values::error::SqlResult;
use sql_values::types::datetime::{SECOND, abbreviations};
use sql_values::types::{Collation, Datum, Interval, SqlType, Zone};

use super::{Builder, SystemTables, all_tables, letter, oids, relations, text};

/// Where objects of the user begin: the owner of types that tables are.
const SUPERUSER: &str = "postgres";

impl SystemTables<'_> {
    /// Rows of a table; none if it is always empty.
    pub(super) fn objects(&self, rows: &mut Builder<'_>, ctx: &EvalContext<'_>) -> SqlResult<()> {
        match rows.table.name.as_str() {
            "pg_namespace" => namespaces(rows),
            "pg_type" => {
                types(rows);
                let tables = all_tables(ctx)?.into_iter();
                for table in tables.filter(|table| table.sequence().is_none()) {
                    relations::row_types(rows, &table);
                }
            }
            "pg_timezone_names" => {
                for name in Zone::names() {
                    ctx.interrupt.spend(1)?;
                    let Some(zone) = Zone::of_setting(&name) else { continue };
                    let now = ctx.transaction_time;
                    let offset = i64::from(zone.offset_at(now)) * SECOND;
                    rows.add(&[
                        ("name", text(name.as_str())),
                        ("abbrev", text(zone.abbreviation_at(now).as_str())),
                        ("utc_offset", Interval::of_micros(offset).into()),
                        ("is_dst", Datum::Bool(zone.is_summer_at(now))),
                    ]);
                }
            }
            "pg_timezone_abbrevs" => {
                for (name, offset, summer) in abbreviations() {
                    rows.add(&[
                        ("abbrev", text(name)),
                        ("utc_offset", Interval::of_micros(offset).into()),
                        ("is_dst", Datum::Bool(summer)),
                    ]);
                }
            }
            "pg_am" => {
                for (oid, name, kind) in [(oids::HEAP, "heap", 't'), (oids::BTREE, "btree", 'i')] {
                    rows.add(&[
                        ("oid", Datum::Oid(oid)),
                        ("amname", text(name)),
                        ("amtype", letter(kind)),
                    ]);
                }
            }
            "pg_proc" => {
                registry().all_functions().iter().for_each(|f| function(rows, f));
                io::functions().iter().for_each(|function| type_function(rows, function));
            }
            "pg_aggregate" => {
                for function in registry().all_functions() {
                    if matches!(function.body, Body::Aggregate(_)) {
                        rows.add(&[
                            ("aggfnoid", Datum::Oid(function.oid)),
                            ("aggkind", letter('n')),
                        ]);
                    }
                }
            }
            "pg_operator" => self.operators(rows),
            "pg_cast" => self.casts(rows),
            "pg_database" => rows.add(&[
                ("oid", Datum::Oid(oids::DATABASE)),
                ("datname", text(ctx.catalog.database())),
                ("datdba", Datum::Oid(oids::OWNER)),
                ("encoding", Datum::Int4(6)),
                ("datlocprovider", letter('c')),
                ("datallowconn", Datum::Bool(true)),
                ("datconnlimit", Datum::Int4(-1)),
                ("dattablespace", Datum::Oid(oids::TABLESPACE)),
                ("datcollate", text("C")),
                ("datctype", text("C")),
            ]),
            "pg_roles" | "pg_authid" | "pg_user" => roles(rows, ctx),
            "pg_settings" => {
                for setting in self.settings.described() {
                    let bound = |bound: Option<i64>| {
                        bound.map_or(Datum::Null, |bound| text(bound.to_string().as_str()))
                    };
                    let values = setting.values.iter().map(|value| text(*value));
                    rows.add(&[
                        ("name", text(setting.name)),
                        ("setting", text(setting.setting.as_str())),
                        ("unit", setting.unit.map_or(Datum::Null, text)),
                        ("context", text(setting.context)),
                        ("vartype", text(setting.vartype)),
                        ("source", text(setting.source)),
                        ("min_val", bound(setting.range.map(|range| range.0))),
                        ("max_val", bound(setting.range.map(|range| range.1))),
                        (
                            "enumvals",
                            match setting.values.is_empty() {
                                true => Datum::Null,
                                false => Datum::Array(values.collect()),
                            },
                        ),
                        ("boot_val", text(setting.boot.as_str())),
                        ("reset_val", text(setting.reset.as_str())),
                        ("pending_restart", Datum::Bool(false)),
                    ]);
                }
            }
            "pg_collation" => {
                let collations = [
                    (oids::DEFAULT_COLLATION, "default", 'd', None),
                    (oids::C_COLLATION, "C", 'c', Some("C")),
                ];
                for (oid, name, provider, locale) in collations {
                    let locale = locale.map_or(Datum::Null, text);
                    rows.add(&[
                        ("oid", Datum::Oid(oid)),
                        ("collname", text(name)),
                        ("collnamespace", Datum::Oid(oids::PG_CATALOG)),
                        ("collowner", Datum::Oid(oids::OWNER)),
                        ("collprovider", letter(provider)),
                        ("collisdeterministic", Datum::Bool(true)),
                        ("collencoding", Datum::Int4(-1)),
                        ("collcollate", locale.clone()),
                        ("collctype", locale),
                    ]);
                }
            }
            "pg_language" => rows.add(&[
                ("oid", Datum::Oid(12)),
                ("lanname", text("internal")),
                ("lanowner", Datum::Oid(oids::OWNER)),
            ]),
            "pg_tablespace" => rows.add(&[
                ("oid", Datum::Oid(oids::TABLESPACE)),
                ("spcname", text("pg_default")),
                ("spcowner", Datum::Oid(oids::OWNER)),
            ]),
            "pg_views" => {
                for table in all_tables(ctx)? {
                    if table.schema != "public" && table.id.0 >= 12_000 {
                        rows.add(&[
                            ("schemaname", text(table.schema.as_str())),
                            ("viewname", text(table.name.as_str())),
                            ("viewowner", text(SUPERUSER)),
                        ]);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn operators(&self, rows: &mut Builder<'_>) {
        for operator in registry().all_operators() {
            rows.add(&[
                ("oid", Datum::Oid(operator.oid)),
                ("oprname", text(operator.name)),
                ("oprnamespace", Datum::Oid(oids::PG_CATALOG)),
                ("oprowner", Datum::Oid(oids::OWNER)),
                ("oprkind", letter(if operator.left.is_some() { 'b' } else { 'l' })),
                ("oprleft", Datum::Oid(operator.left.map_or(0, type_oid))),
                ("oprright", Datum::Oid(type_oid(operator.right))),
                ("oprresult", Datum::Oid(type_oid(operator.result))),
                ("oprcom", Datum::Oid(operator.commutator)),
                ("oprnegate", Datum::Oid(operator.negator)),
                ("oprcode", Datum::Oid(operator.function)),
            ]);
        }
    }

    fn casts(&self, rows: &mut Builder<'_>) {
        // Casts have no oids of their own here: they are counted from where PostgreSQL's begin.
        for (cast, oid) in registry().all_casts().into_iter().zip(10_000..) {
            let (function, method) = match cast.method {
                CastMethod::Function(oid) => (oid, 'f'),
                CastMethod::Binary => (0, 'b'),
                CastMethod::InOut => (0, 'i'),
            };
            let context = match cast.context {
                CastContext::Implicit => 'i',
                CastContext::Assignment => 'a',
                CastContext::Explicit => 'e',
            };
            rows.add(&[
                ("oid", Datum::Oid(oid)),
                ("castsource", Datum::Oid(cast.from.oid())),
                ("casttarget", Datum::Oid(cast.to.oid())),
                ("castfunc", Datum::Oid(function)),
                ("castcontext", letter(context)),
                ("castmethod", letter(method)),
            ]);
        }
    }
}

fn namespaces(rows: &mut Builder<'_>) {
    let schemas = [
        (oids::PG_CATALOG, "pg_catalog"),
        (oids::PUBLIC, "public"),
        (oids::INFORMATION_SCHEMA, "information_schema"),
    ];
    for (oid, name) in schemas {
        rows.add(&[
            ("oid", Datum::Oid(oid)),
            ("nspname", text(name)),
            ("nspowner", Datum::Oid(oids::OWNER)),
        ]);
    }
}

/// The oid of a collation.
pub(super) fn collation(collation: Collation) -> u32 {
    match collation {
        Collation::None => 0,
        Collation::Default => oids::DEFAULT_COLLATION,
        Collation::C => oids::C_COLLATION,
    }
}

fn types(rows: &mut Builder<'_>) {
    for ty in SqlType::all() {
        let element = ty.element().map_or(0, SqlType::oid);
        let array = ty.array_oid();
        let functions = io::of_type(ty);
        let def = ty.def();
        let collation = collation(def.collation);
        rows.add(&[
            ("oid", Datum::Oid(ty.oid())),
            ("typname", text(ty.typname())),
            ("typnamespace", Datum::Oid(oids::PG_CATALOG)),
            ("typowner", Datum::Oid(oids::OWNER)),
            ("typlen", Datum::Int2(ty.typlen())),
            ("typbyval", Datum::Bool(ty.is_by_value())),
            ("typtype", letter(if def.pseudo { 'p' } else { 'b' })),
            ("typcategory", letter(ty.category())),
            ("typispreferred", Datum::Bool(ty.preferred())),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", letter(',')),
            ("typelem", Datum::Oid(element)),
            ("typarray", Datum::Oid(array)),
            ("typsubscript", Datum::Oid(functions.subscript)),
            ("typinput", Datum::Oid(functions.input)),
            ("typoutput", Datum::Oid(functions.output)),
            ("typreceive", Datum::Oid(functions.receive)),
            ("typsend", Datum::Oid(functions.send)),
            ("typmodin", Datum::Oid(functions.modifier_in)),
            ("typmodout", Datum::Oid(functions.modifier_out)),
            ("typanalyze", Datum::Oid(functions.analyze)),
            ("typalign", letter(def.align)),
            ("typstorage", letter(if ty.typlen() < 0 { 'x' } else { 'p' })),
            ("typtypmod", Datum::Int4(-1)),
            ("typcollation", Datum::Oid(collation)),
        ]);
    }
}

/// The oid of a type, polymorphic ones included.
fn type_oid(ty: ParamType) -> u32 {
    match ty {
        ParamType::Exact(ty) => ty.oid(),
        ParamType::AnyElement => 2_283,
        ParamType::AnyArray => 2_277,
        ParamType::AnyNonArray => 2_776,
        ParamType::AnyCompatible => 5_077,
        ParamType::AnyCompatibleArray => 5_078,
        ParamType::Any => 2_276,
    }
}

fn function(rows: &mut Builder<'_>, function: &Function) {
    let args: Vec<_> = function.args.iter().map(|ty| Datum::Oid(type_oid(*ty))).collect();
    let volatility = match function.volatility {
        Volatility::Immutable => 'i',
        Volatility::Stable => 's',
        Volatility::Volatile => 'v',
    };
    let kind = if matches!(function.body, Body::Aggregate(_)) { 'a' } else { 'f' };
    let variadic = function.args.last().filter(|_| function.variadic);
    rows.add(&[
        ("oid", Datum::Oid(function.oid)),
        ("proname", text(function.name)),
        ("pronamespace", Datum::Oid(oids::PG_CATALOG)),
        ("proowner", Datum::Oid(oids::OWNER)),
        ("prolang", Datum::Oid(12)),
        ("procost", Datum::Float4(1.0)),
        ("provariadic", Datum::Oid(variadic.map_or(0, |ty| type_oid(*ty)))),
        ("prokind", letter(kind)),
        ("proleakproof", Datum::Bool(false)),
        ("proisstrict", Datum::Bool(function.strict)),
        ("proretset", Datum::Bool(matches!(function.body, Body::Set(..)))),
        ("provolatile", letter(volatility)),
        ("proparallel", letter('s')),
        ("pronargs", Datum::Int2(args.len() as i16)),
        ("prorettype", Datum::Oid(type_oid(function.result))),
        ("proargtypes", Datum::Array(args.into())),
        ("prosrc", text(function.name)),
    ]);
}

/// A function of a type, which only its name is needed of.
fn type_function(rows: &mut Builder<'_>, function: &io::NamedFunction) {
    let args: Vec<_> = function.args.iter().map(|ty| Datum::Oid(*ty)).collect();
    rows.add(&[
        ("oid", Datum::Oid(function.oid)),
        ("proname", text(function.name)),
        ("pronamespace", Datum::Oid(oids::PG_CATALOG)),
        ("proowner", Datum::Oid(oids::OWNER)),
        ("prolang", Datum::Oid(12)),
        ("procost", Datum::Float4(1.0)),
        ("provariadic", Datum::Oid(0)),
        ("prokind", letter('f')),
        ("proleakproof", Datum::Bool(false)),
        ("proisstrict", Datum::Bool(true)),
        ("proretset", Datum::Bool(false)),
        ("provolatile", letter('i')),
        ("proparallel", letter('s')),
        ("pronargs", Datum::Int2(args.len() as i16)),
        ("prorettype", Datum::Oid(function.result)),
        ("proargtypes", Datum::Array(args.into())),
        ("prosrc", text(function.name)),
    ]);
}

fn roles(rows: &mut Builder<'_>, ctx: &EvalContext<'_>) {
    let yes = Datum::Bool(true);
    rows.add(&[
        ("oid", Datum::Oid(oids::OWNER)),
        ("rolname", text(ctx.catalog.user())),
        ("rolsuper", yes.clone()),
        ("rolinherit", yes.clone()),
        ("rolcreaterole", yes.clone()),
        ("rolcreatedb", yes.clone()),
        ("rolcanlogin", yes.clone()),
        ("rolreplication", yes.clone()),
        ("rolbypassrls", yes.clone()),
        ("rolconnlimit", Datum::Int4(-1)),
        ("usename", text(ctx.catalog.user())),
        ("usesysid", Datum::Oid(oids::OWNER)),
        ("usecreatedb", yes.clone()),
        ("usesuper", yes.clone()),
        ("userepl", yes.clone()),
        ("usebypassrls", yes),
    ]);
}
