//! Comparisons of every type with itself, and of those that PostgreSQL compares across.

use std::cmp::Ordering;
use std::sync::LazyLock;

use sql_catalog::function::Kernel::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
use sql_values::error::SqlResult;
use sql_values::types::{Comparison, Datum, Named, SqlType, TypeId, datetime};

use super::signature::*;
use super::{EvalContext, Function, Operator, ParamType, ScalarFn, operators};

/// How two arguments are ordered.
trait Order {
    fn order(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Ordering>;
}

/// By value, numbers of different types too.
struct Plain;

impl Order for Plain {
    fn order(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Ordering> {
        match args {
            [a, b] => Ok(a.compare(b)),
            _ => Ok(Ordering::Equal),
        }
    }
}

/// Without blanks at the end.
struct Padded;

impl Order for Padded {
    fn order(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Ordering> {
        match args {
            [a, b] => Ok(SqlType::Char(None).compare(a, b)),
            _ => Ok(Ordering::Equal),
        }
    }
}

/// Dates and timestamps without zone.
struct Local;

impl Order for Local {
    fn order(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Ordering> {
        Ok(local(args, 0)?.cmp(&local(args, 1)?))
    }
}

/// Dates or timestamps with instants, in the session's zone.
struct Zoned;

impl Order for Zoned {
    fn order(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Ordering> {
        let zone = ctx.zone();
        let instant = |at: usize| -> SqlResult<i128> {
            if let Some(Datum::TimestampTz(micros)) = args.get(at) {
                return Ok(i128::from(*micros));
            }
            let local = local(args, at)?;
            // Beyond the range of timestamps an offset decides nothing.
            match i64::try_from(local) {
                Ok(near) if !datetime::is_infinite(near) => {
                    let offset = i128::from(zone.offset_for_local(near));
                    Ok(local - offset * i128::from(datetime::SECOND))
                }
                _ => Ok(local),
            }
        };
        Ok(instant(0)?.cmp(&instant(1)?))
    }
}

/// Local microseconds, of dates too; those reach further than timestamps.
fn local(args: &[Datum], at: usize) -> SqlResult<i128> {
    match args.get(at) {
        Some(Datum::Date(i32::MIN)) => Ok(i128::from(i64::MIN)),
        Some(Datum::Date(i32::MAX)) => Ok(i128::from(i64::MAX)),
        // No date is beyond infinity.
        Some(Datum::Date(days)) => Ok((i128::from(*days) * i128::from(datetime::DAY))
            .clamp(i128::from(i64::MIN) + 1, i128::from(i64::MAX) - 1)),
        _ => micros(args, at).map(i128::from),
    }
}

fn eq<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_eq()))
}

fn ne<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_ne()))
}

fn lt<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_lt()))
}

fn le<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_le()))
}

fn gt<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_gt()))
}

fn ge<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(O::order(ctx, args)?.is_ge()))
}

/// -1, 0 or 1: the support functions of indexes.
fn cmp<O: Order>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(O::order(ctx, args)? as i32))
}

/// Comparisons, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(56, "boollt", &[BOOL, BOOL], BOOL, lt::<Plain>),
    scalar(57, "boolgt", &[BOOL, BOOL], BOOL, gt::<Plain>),
    scalar(60, "booleq", &[BOOL, BOOL], BOOL, eq::<Plain>),
    scalar(61, "chareq", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, eq::<Plain>),
    scalar(62, "nameeq", &[NAME, NAME], BOOL, eq::<Plain>),
    scalar(63, "int2eq", &[INT2, INT2], BOOL, eq::<Plain>).kernel(Equal),
    scalar(64, "int2lt", &[INT2, INT2], BOOL, lt::<Plain>).kernel(Less),
    scalar(65, "int4eq", &[INT4, INT4], BOOL, eq::<Plain>).kernel(Equal),
    scalar(66, "int4lt", &[INT4, INT4], BOOL, lt::<Plain>).kernel(Less),
    scalar(67, "texteq", &[TEXT, TEXT], BOOL, eq::<Plain>).kernel(Equal),
    scalar(70, "charne", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, ne::<Plain>),
    scalar(72, "charle", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, le::<Plain>),
    scalar(73, "chargt", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, gt::<Plain>),
    scalar(74, "charge", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, ge::<Plain>),
    scalar(84, "boolne", &[BOOL, BOOL], BOOL, ne::<Plain>),
    scalar(144, "int4ne", &[INT4, INT4], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(145, "int2ne", &[INT2, INT2], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(146, "int2gt", &[INT2, INT2], BOOL, gt::<Plain>).kernel(Greater),
    scalar(147, "int4gt", &[INT4, INT4], BOOL, gt::<Plain>).kernel(Greater),
    scalar(148, "int2le", &[INT2, INT2], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(149, "int4le", &[INT4, INT4], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(150, "int4ge", &[INT4, INT4], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(151, "int2ge", &[INT2, INT2], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(157, "textne", &[TEXT, TEXT], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(158, "int24eq", &[INT2, INT4], BOOL, eq::<Plain>),
    scalar(159, "int42eq", &[INT4, INT2], BOOL, eq::<Plain>),
    scalar(160, "int24lt", &[INT2, INT4], BOOL, lt::<Plain>),
    scalar(161, "int42lt", &[INT4, INT2], BOOL, lt::<Plain>),
    scalar(162, "int24gt", &[INT2, INT4], BOOL, gt::<Plain>),
    scalar(163, "int42gt", &[INT4, INT2], BOOL, gt::<Plain>),
    scalar(164, "int24ne", &[INT2, INT4], BOOL, ne::<Plain>),
    scalar(165, "int42ne", &[INT4, INT2], BOOL, ne::<Plain>),
    scalar(166, "int24le", &[INT2, INT4], BOOL, le::<Plain>),
    scalar(167, "int42le", &[INT4, INT2], BOOL, le::<Plain>),
    scalar(168, "int24ge", &[INT2, INT4], BOOL, ge::<Plain>),
    scalar(169, "int42ge", &[INT4, INT2], BOOL, ge::<Plain>),
    scalar(184, "oideq", &[OID, OID], BOOL, eq::<Plain>).kernel(Equal),
    scalar(185, "oidne", &[OID, OID], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(240, "nameeqtext", &[NAME, TEXT], BOOL, eq::<Plain>),
    scalar(241, "namelttext", &[NAME, TEXT], BOOL, lt::<Plain>),
    scalar(242, "nameletext", &[NAME, TEXT], BOOL, le::<Plain>),
    scalar(243, "namegetext", &[NAME, TEXT], BOOL, ge::<Plain>),
    scalar(244, "namegttext", &[NAME, TEXT], BOOL, gt::<Plain>),
    scalar(245, "namenetext", &[NAME, TEXT], BOOL, ne::<Plain>),
    scalar(247, "texteqname", &[TEXT, NAME], BOOL, eq::<Plain>),
    scalar(248, "textltname", &[TEXT, NAME], BOOL, lt::<Plain>),
    scalar(249, "textlename", &[TEXT, NAME], BOOL, le::<Plain>),
    scalar(250, "textgename", &[TEXT, NAME], BOOL, ge::<Plain>),
    scalar(251, "textgtname", &[TEXT, NAME], BOOL, gt::<Plain>),
    scalar(252, "textnename", &[TEXT, NAME], BOOL, ne::<Plain>),
    scalar(287, "float4eq", &[FLOAT4, FLOAT4], BOOL, eq::<Plain>),
    scalar(288, "float4ne", &[FLOAT4, FLOAT4], BOOL, ne::<Plain>),
    scalar(289, "float4lt", &[FLOAT4, FLOAT4], BOOL, lt::<Plain>),
    scalar(290, "float4le", &[FLOAT4, FLOAT4], BOOL, le::<Plain>),
    scalar(291, "float4gt", &[FLOAT4, FLOAT4], BOOL, gt::<Plain>),
    scalar(292, "float4ge", &[FLOAT4, FLOAT4], BOOL, ge::<Plain>),
    scalar(293, "float8eq", &[FLOAT8, FLOAT8], BOOL, eq::<Plain>),
    scalar(294, "float8ne", &[FLOAT8, FLOAT8], BOOL, ne::<Plain>),
    scalar(295, "float8lt", &[FLOAT8, FLOAT8], BOOL, lt::<Plain>),
    scalar(296, "float8le", &[FLOAT8, FLOAT8], BOOL, le::<Plain>),
    scalar(297, "float8gt", &[FLOAT8, FLOAT8], BOOL, gt::<Plain>),
    scalar(298, "float8ge", &[FLOAT8, FLOAT8], BOOL, ge::<Plain>),
    scalar(299, "float48eq", &[FLOAT4, FLOAT8], BOOL, eq::<Plain>),
    scalar(300, "float48ne", &[FLOAT4, FLOAT8], BOOL, ne::<Plain>),
    scalar(301, "float48lt", &[FLOAT4, FLOAT8], BOOL, lt::<Plain>),
    scalar(302, "float48le", &[FLOAT4, FLOAT8], BOOL, le::<Plain>),
    scalar(303, "float48gt", &[FLOAT4, FLOAT8], BOOL, gt::<Plain>),
    scalar(304, "float48ge", &[FLOAT4, FLOAT8], BOOL, ge::<Plain>),
    scalar(305, "float84eq", &[FLOAT8, FLOAT4], BOOL, eq::<Plain>),
    scalar(306, "float84ne", &[FLOAT8, FLOAT4], BOOL, ne::<Plain>),
    scalar(307, "float84lt", &[FLOAT8, FLOAT4], BOOL, lt::<Plain>),
    scalar(308, "float84le", &[FLOAT8, FLOAT4], BOOL, le::<Plain>),
    scalar(309, "float84gt", &[FLOAT8, FLOAT4], BOOL, gt::<Plain>),
    scalar(310, "float84ge", &[FLOAT8, FLOAT4], BOOL, ge::<Plain>),
    scalar(350, "btint2cmp", &[INT2, INT2], INT4, cmp::<Plain>),
    scalar(351, "btint4cmp", &[INT4, INT4], INT4, cmp::<Plain>),
    scalar(354, "btfloat4cmp", &[FLOAT4, FLOAT4], INT4, cmp::<Plain>),
    scalar(355, "btfloat8cmp", &[FLOAT8, FLOAT8], INT4, cmp::<Plain>),
    scalar(356, "btoidcmp", &[OID, OID], INT4, cmp::<Plain>),
    scalar(359, "btnamecmp", &[NAME, NAME], INT4, cmp::<Plain>),
    scalar(360, "bttextcmp", &[TEXT, TEXT], INT4, cmp::<Plain>),
    scalar(390, "array_ne", &[ANY_ARRAY, ANY_ARRAY], BOOL, ne::<Plain>),
    scalar(391, "array_lt", &[ANY_ARRAY, ANY_ARRAY], BOOL, lt::<Plain>),
    scalar(392, "array_gt", &[ANY_ARRAY, ANY_ARRAY], BOOL, gt::<Plain>),
    scalar(393, "array_le", &[ANY_ARRAY, ANY_ARRAY], BOOL, le::<Plain>),
    scalar(396, "array_ge", &[ANY_ARRAY, ANY_ARRAY], BOOL, ge::<Plain>),
    scalar(467, "int8eq", &[INT8, INT8], BOOL, eq::<Plain>).kernel(Equal),
    scalar(468, "int8ne", &[INT8, INT8], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(469, "int8lt", &[INT8, INT8], BOOL, lt::<Plain>).kernel(Less),
    scalar(470, "int8gt", &[INT8, INT8], BOOL, gt::<Plain>).kernel(Greater),
    scalar(471, "int8le", &[INT8, INT8], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(472, "int8ge", &[INT8, INT8], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(474, "int84eq", &[INT8, INT4], BOOL, eq::<Plain>),
    scalar(475, "int84ne", &[INT8, INT4], BOOL, ne::<Plain>),
    scalar(476, "int84lt", &[INT8, INT4], BOOL, lt::<Plain>),
    scalar(477, "int84gt", &[INT8, INT4], BOOL, gt::<Plain>),
    scalar(478, "int84le", &[INT8, INT4], BOOL, le::<Plain>),
    scalar(479, "int84ge", &[INT8, INT4], BOOL, ge::<Plain>),
    scalar(619, "oidvectorne", &[OIDVECTOR, OIDVECTOR], BOOL, ne::<Plain>),
    scalar(655, "namelt", &[NAME, NAME], BOOL, lt::<Plain>),
    scalar(656, "namele", &[NAME, NAME], BOOL, le::<Plain>),
    scalar(657, "namegt", &[NAME, NAME], BOOL, gt::<Plain>),
    scalar(658, "namege", &[NAME, NAME], BOOL, ge::<Plain>),
    scalar(659, "namene", &[NAME, NAME], BOOL, ne::<Plain>),
    scalar(677, "oidvectorlt", &[OIDVECTOR, OIDVECTOR], BOOL, lt::<Plain>),
    scalar(678, "oidvectorle", &[OIDVECTOR, OIDVECTOR], BOOL, le::<Plain>),
    scalar(679, "oidvectoreq", &[OIDVECTOR, OIDVECTOR], BOOL, eq::<Plain>),
    scalar(680, "oidvectorge", &[OIDVECTOR, OIDVECTOR], BOOL, ge::<Plain>),
    scalar(681, "oidvectorgt", &[OIDVECTOR, OIDVECTOR], BOOL, gt::<Plain>),
    scalar(716, "oidlt", &[OID, OID], BOOL, lt::<Plain>).kernel(Less),
    scalar(717, "oidle", &[OID, OID], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(740, "text_lt", &[TEXT, TEXT], BOOL, lt::<Plain>).kernel(Less),
    scalar(741, "text_le", &[TEXT, TEXT], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(742, "text_gt", &[TEXT, TEXT], BOOL, gt::<Plain>).kernel(Greater),
    scalar(743, "text_ge", &[TEXT, TEXT], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(744, "array_eq", &[ANY_ARRAY, ANY_ARRAY], BOOL, eq::<Plain>),
    scalar(842, "btint8cmp", &[INT8, INT8], INT4, cmp::<Plain>),
    scalar(852, "int48eq", &[INT4, INT8], BOOL, eq::<Plain>),
    scalar(853, "int48ne", &[INT4, INT8], BOOL, ne::<Plain>),
    scalar(854, "int48lt", &[INT4, INT8], BOOL, lt::<Plain>),
    scalar(855, "int48gt", &[INT4, INT8], BOOL, gt::<Plain>),
    scalar(856, "int48le", &[INT4, INT8], BOOL, le::<Plain>),
    scalar(857, "int48ge", &[INT4, INT8], BOOL, ge::<Plain>),
    scalar(1048, "bpchareq", &[BPCHAR, BPCHAR], BOOL, eq::<Padded>),
    scalar(1049, "bpcharlt", &[BPCHAR, BPCHAR], BOOL, lt::<Padded>),
    scalar(1050, "bpcharle", &[BPCHAR, BPCHAR], BOOL, le::<Padded>),
    scalar(1051, "bpchargt", &[BPCHAR, BPCHAR], BOOL, gt::<Padded>),
    scalar(1052, "bpcharge", &[BPCHAR, BPCHAR], BOOL, ge::<Padded>),
    scalar(1053, "bpcharne", &[BPCHAR, BPCHAR], BOOL, ne::<Padded>),
    scalar(1086, "date_eq", &[DATE, DATE], BOOL, eq::<Plain>).kernel(Equal),
    scalar(1087, "date_lt", &[DATE, DATE], BOOL, lt::<Plain>).kernel(Less),
    scalar(1088, "date_le", &[DATE, DATE], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(1089, "date_gt", &[DATE, DATE], BOOL, gt::<Plain>).kernel(Greater),
    scalar(1090, "date_ge", &[DATE, DATE], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(1091, "date_ne", &[DATE, DATE], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(1092, "date_cmp", &[DATE, DATE], INT4, cmp::<Plain>),
    scalar(1102, "time_lt", &[TIME, TIME], BOOL, lt::<Plain>).kernel(Less),
    scalar(1103, "time_le", &[TIME, TIME], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(1104, "time_gt", &[TIME, TIME], BOOL, gt::<Plain>).kernel(Greater),
    scalar(1105, "time_ge", &[TIME, TIME], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(1106, "time_ne", &[TIME, TIME], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(1107, "time_cmp", &[TIME, TIME], INT4, cmp::<Plain>),
    scalar(1145, "time_eq", &[TIME, TIME], BOOL, eq::<Plain>).kernel(Equal),
    scalar(1152, "timestamptz_eq", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, eq::<Plain>).kernel(Equal),
    scalar(1153, "timestamptz_ne", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(1154, "timestamptz_lt", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, lt::<Plain>).kernel(Less),
    scalar(1155, "timestamptz_le", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(1156, "timestamptz_ge", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(1157, "timestamptz_gt", &[TIMESTAMPTZ, TIMESTAMPTZ], BOOL, gt::<Plain>).kernel(Greater),
    scalar(1162, "interval_eq", &[INTERVAL, INTERVAL], BOOL, eq::<Plain>),
    scalar(1163, "interval_ne", &[INTERVAL, INTERVAL], BOOL, ne::<Plain>),
    scalar(1164, "interval_lt", &[INTERVAL, INTERVAL], BOOL, lt::<Plain>),
    scalar(1165, "interval_le", &[INTERVAL, INTERVAL], BOOL, le::<Plain>),
    scalar(1166, "interval_ge", &[INTERVAL, INTERVAL], BOOL, ge::<Plain>),
    scalar(1167, "interval_gt", &[INTERVAL, INTERVAL], BOOL, gt::<Plain>),
    scalar(1246, "charlt", &[INTERNAL_CHAR, INTERNAL_CHAR], BOOL, lt::<Plain>),
    scalar(1314, "timestamptz_cmp", &[TIMESTAMPTZ, TIMESTAMPTZ], INT4, cmp::<Plain>),
    scalar(1315, "interval_cmp", &[INTERVAL, INTERVAL], INT4, cmp::<Plain>),
    scalar(1638, "oidgt", &[OID, OID], BOOL, gt::<Plain>).kernel(Greater),
    scalar(1639, "oidge", &[OID, OID], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(1691, "boolle", &[BOOL, BOOL], BOOL, le::<Plain>),
    scalar(1692, "boolge", &[BOOL, BOOL], BOOL, ge::<Plain>),
    scalar(1693, "btboolcmp", &[BOOL, BOOL], INT4, cmp::<Plain>),
    scalar(1718, "numeric_eq", &[NUMERIC, NUMERIC], BOOL, eq::<Plain>),
    scalar(1719, "numeric_ne", &[NUMERIC, NUMERIC], BOOL, ne::<Plain>),
    scalar(1720, "numeric_gt", &[NUMERIC, NUMERIC], BOOL, gt::<Plain>),
    scalar(1721, "numeric_ge", &[NUMERIC, NUMERIC], BOOL, ge::<Plain>),
    scalar(1722, "numeric_lt", &[NUMERIC, NUMERIC], BOOL, lt::<Plain>),
    scalar(1723, "numeric_le", &[NUMERIC, NUMERIC], BOOL, le::<Plain>),
    scalar(1769, "numeric_cmp", &[NUMERIC, NUMERIC], INT4, cmp::<Plain>),
    scalar(1850, "int28eq", &[INT2, INT8], BOOL, eq::<Plain>),
    scalar(1851, "int28ne", &[INT2, INT8], BOOL, ne::<Plain>),
    scalar(1852, "int28lt", &[INT2, INT8], BOOL, lt::<Plain>),
    scalar(1853, "int28gt", &[INT2, INT8], BOOL, gt::<Plain>),
    scalar(1854, "int28le", &[INT2, INT8], BOOL, le::<Plain>),
    scalar(1855, "int28ge", &[INT2, INT8], BOOL, ge::<Plain>),
    scalar(1856, "int82eq", &[INT8, INT2], BOOL, eq::<Plain>),
    scalar(1857, "int82ne", &[INT8, INT2], BOOL, ne::<Plain>),
    scalar(1858, "int82lt", &[INT8, INT2], BOOL, lt::<Plain>),
    scalar(1859, "int82gt", &[INT8, INT2], BOOL, gt::<Plain>),
    scalar(1860, "int82le", &[INT8, INT2], BOOL, le::<Plain>),
    scalar(1861, "int82ge", &[INT8, INT2], BOOL, ge::<Plain>),
    scalar(1948, "byteaeq", &[BYTEA, BYTEA], BOOL, eq::<Plain>),
    scalar(1949, "bytealt", &[BYTEA, BYTEA], BOOL, lt::<Plain>),
    scalar(1950, "byteale", &[BYTEA, BYTEA], BOOL, le::<Plain>),
    scalar(1951, "byteagt", &[BYTEA, BYTEA], BOOL, gt::<Plain>),
    scalar(1952, "byteage", &[BYTEA, BYTEA], BOOL, ge::<Plain>),
    scalar(1953, "byteane", &[BYTEA, BYTEA], BOOL, ne::<Plain>),
    scalar(1954, "byteacmp", &[BYTEA, BYTEA], INT4, cmp::<Plain>),
    scalar(2045, "timestamp_cmp", &[TIMESTAMP, TIMESTAMP], INT4, cmp::<Plain>),
    scalar(2052, "timestamp_eq", &[TIMESTAMP, TIMESTAMP], BOOL, eq::<Plain>).kernel(Equal),
    scalar(2053, "timestamp_ne", &[TIMESTAMP, TIMESTAMP], BOOL, ne::<Plain>).kernel(NotEqual),
    scalar(2054, "timestamp_lt", &[TIMESTAMP, TIMESTAMP], BOOL, lt::<Plain>).kernel(Less),
    scalar(2055, "timestamp_le", &[TIMESTAMP, TIMESTAMP], BOOL, le::<Plain>).kernel(LessEqual),
    scalar(2056, "timestamp_ge", &[TIMESTAMP, TIMESTAMP], BOOL, ge::<Plain>).kernel(GreaterEqual),
    scalar(2057, "timestamp_gt", &[TIMESTAMP, TIMESTAMP], BOOL, gt::<Plain>).kernel(Greater),
    scalar(2338, "date_lt_timestamp", &[DATE, TIMESTAMP], BOOL, lt::<Local>),
    scalar(2339, "date_le_timestamp", &[DATE, TIMESTAMP], BOOL, le::<Local>),
    scalar(2340, "date_eq_timestamp", &[DATE, TIMESTAMP], BOOL, eq::<Local>),
    scalar(2341, "date_gt_timestamp", &[DATE, TIMESTAMP], BOOL, gt::<Local>),
    scalar(2342, "date_ge_timestamp", &[DATE, TIMESTAMP], BOOL, ge::<Local>),
    scalar(2343, "date_ne_timestamp", &[DATE, TIMESTAMP], BOOL, ne::<Local>),
    scalar(2351, "date_lt_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, lt::<Zoned>).stable(),
    scalar(2352, "date_le_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, le::<Zoned>).stable(),
    scalar(2353, "date_eq_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, eq::<Zoned>).stable(),
    scalar(2354, "date_gt_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, gt::<Zoned>).stable(),
    scalar(2355, "date_ge_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, ge::<Zoned>).stable(),
    scalar(2356, "date_ne_timestamptz", &[DATE, TIMESTAMPTZ], BOOL, ne::<Zoned>).stable(),
    scalar(2364, "timestamp_lt_date", &[TIMESTAMP, DATE], BOOL, lt::<Local>),
    scalar(2365, "timestamp_le_date", &[TIMESTAMP, DATE], BOOL, le::<Local>),
    scalar(2366, "timestamp_eq_date", &[TIMESTAMP, DATE], BOOL, eq::<Local>),
    scalar(2367, "timestamp_gt_date", &[TIMESTAMP, DATE], BOOL, gt::<Local>),
    scalar(2368, "timestamp_ge_date", &[TIMESTAMP, DATE], BOOL, ge::<Local>),
    scalar(2369, "timestamp_ne_date", &[TIMESTAMP, DATE], BOOL, ne::<Local>),
    scalar(2377, "timestamptz_lt_date", &[TIMESTAMPTZ, DATE], BOOL, lt::<Zoned>).stable(),
    scalar(2378, "timestamptz_le_date", &[TIMESTAMPTZ, DATE], BOOL, le::<Zoned>).stable(),
    scalar(2379, "timestamptz_eq_date", &[TIMESTAMPTZ, DATE], BOOL, eq::<Zoned>).stable(),
    scalar(2380, "timestamptz_gt_date", &[TIMESTAMPTZ, DATE], BOOL, gt::<Zoned>).stable(),
    scalar(2381, "timestamptz_ge_date", &[TIMESTAMPTZ, DATE], BOOL, ge::<Zoned>).stable(),
    scalar(2382, "timestamptz_ne_date", &[TIMESTAMPTZ, DATE], BOOL, ne::<Zoned>).stable(),
    scalar(2520, "timestamp_lt_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, lt::<Zoned>).stable(),
    scalar(2521, "timestamp_le_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, le::<Zoned>).stable(),
    scalar(2522, "timestamp_eq_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, eq::<Zoned>).stable(),
    scalar(2523, "timestamp_gt_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, gt::<Zoned>).stable(),
    scalar(2524, "timestamp_ge_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, ge::<Zoned>).stable(),
    scalar(2525, "timestamp_ne_timestamptz", &[TIMESTAMP, TIMESTAMPTZ], BOOL, ne::<Zoned>).stable(),
    scalar(2527, "timestamptz_lt_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, lt::<Zoned>).stable(),
    scalar(2528, "timestamptz_le_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, le::<Zoned>).stable(),
    scalar(2529, "timestamptz_eq_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, eq::<Zoned>).stable(),
    scalar(2530, "timestamptz_gt_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, gt::<Zoned>).stable(),
    scalar(2531, "timestamptz_ge_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, ge::<Zoned>).stable(),
    scalar(2532, "timestamptz_ne_timestamp", &[TIMESTAMPTZ, TIMESTAMP], BOOL, ne::<Zoned>).stable(),
    scalar(2981, "record_eq", &[RECORD, RECORD], BOOL, eq::<Plain>),
    scalar(2982, "record_ne", &[RECORD, RECORD], BOOL, ne::<Plain>),
    scalar(2983, "record_lt", &[RECORD, RECORD], BOOL, lt::<Plain>),
    scalar(2984, "record_gt", &[RECORD, RECORD], BOOL, gt::<Plain>),
    scalar(2985, "record_le", &[RECORD, RECORD], BOOL, le::<Plain>),
    scalar(2986, "record_ge", &[RECORD, RECORD], BOOL, ge::<Plain>),
];

/// The arguments of what compares a type with itself, by type.
static SIDES: LazyLock<Vec<[ParamType; 2]>> =
    LazyLock::new(|| TypeId::ALL.iter().map(|id| [ParamType::Exact(id.def().ty); 2]).collect());

/// The functions of those types whose definitions have them.
pub(super) static OF_TYPES: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let mut functions = Vec::new();
    for (id, sides) in TypeId::ALL.iter().zip(SIDES.iter()) {
        let Some(comparisons) = id.def().comparisons else { continue };
        let mut add = |(oid, name): Named, result: ParamType, body: ScalarFn| {
            functions.push(scalar(oid, name, sides, result, body));
        };
        let truths: [(Comparison, ScalarFn); 6] = [
            (comparisons.less, lt::<Plain>),
            (comparisons.less_equal, le::<Plain>),
            (comparisons.equal, eq::<Plain>),
            (comparisons.greater_equal, ge::<Plain>),
            (comparisons.greater, gt::<Plain>),
            (comparisons.not_equal, ne::<Plain>),
        ];
        for ((oid, name, _), body) in truths {
            add((oid, name), BOOL, body);
        }
        add(comparisons.order, INT4, cmp::<Plain>);
    }
    functions
});

/// Their operators.
pub(super) static OPERATORS_OF_TYPES: LazyLock<Vec<Operator>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for id in TypeId::ALL {
        let Some(of) = id.def().comparisons else { continue };
        // With the commutator and the negator.
        let named = [
            ("<", of.less, of.greater, of.greater_equal),
            ("<=", of.less_equal, of.greater_equal, of.greater),
            ("=", of.equal, of.equal, of.not_equal),
            (">=", of.greater_equal, of.less_equal, of.less),
            (">", of.greater, of.less, of.less_equal),
            ("<>", of.not_equal, of.not_equal, of.equal),
        ];
        let side = ParamType::Exact(id.def().ty);
        for (name, (function, _, oid), (.., commutator), (.., negator)) in named {
            let others = (commutator, negator);
            all.push(operators::infix(oid, name, (side, side), BOOL, function, others));
        }
    }
    all
});
