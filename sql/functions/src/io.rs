//! The names of types' input and output functions. No query calls them here; drivers look them up to learn which types
//! have a binary form (`typreceive`) and what a type's array is.

use sql_values::types::SqlType;

/// A type's functions in `pg_type`, by oid; zero is none.
#[derive(Clone, Copy, Default)]
pub struct TypeFunctions {
    /// `typinput`.
    pub input: u32,
    /// `typoutput`.
    pub output: u32,
    /// `typreceive`.
    pub receive: u32,
    /// `typsend`.
    pub send: u32,
    /// `typmodin`.
    pub modifier_in: u32,
    /// `typmodout`.
    pub modifier_out: u32,
    /// `typanalyze`.
    pub analyze: u32,
    /// `typsubscript`.
    pub subscript: u32,
}

/// A function that exists by its name.
pub struct NamedFunction {
    /// Its oid in `pg_proc`.
    pub oid: u32,
    /// Its name.
    pub name: &'static str,
    /// Oid of the result's type.
    pub result: u32,
    /// Oids of the arguments' types.
    pub args: &'static [u32],
}

const ARRAY_ANALYZE: u32 = 3816;
const ARRAY_SUBSCRIPT: u32 = 6179;
const RAW_ARRAY_SUBSCRIPT: u32 = 6180;

/// The functions of a type.
pub fn of_type(ty: SqlType) -> TypeFunctions {
    if let SqlType::Array(element) = ty {
        let element = of_type(element.scalar());
        return TypeFunctions {
            input: 750,
            output: 751,
            receive: 2400,
            send: 2401,
            analyze: ARRAY_ANALYZE,
            subscript: ARRAY_SUBSCRIPT,
            ..element
        };
    }
    let [input, output, receive, send, modifier_in, modifier_out] = ty.io_functions();
    let subscript = match ty {
        SqlType::Name => RAW_ARRAY_SUBSCRIPT,
        SqlType::Int2Vector | SqlType::OidVector => ARRAY_SUBSCRIPT,
        _ => 0,
    };
    TypeFunctions { input, output, receive, send, modifier_in, modifier_out, analyze: 0, subscript }
}

/// All functions of types.
pub fn functions() -> impl Iterator<Item = NamedFunction> {
    FUNCTIONS.iter().map(|(oid, name, result, args)| NamedFunction {
        oid: *oid,
        name,
        result: *result,
        args,
    })
}

/// The name of one.
pub(super) fn name_of(oid: u32) -> Option<&'static str> {
    let at = FUNCTIONS.binary_search_by_key(&oid, |(oid, ..)| *oid).ok()?;
    Some(FUNCTIONS[at].1)
}

/// The one of a name.
pub(super) fn named(name: &str) -> Option<u32> {
    FUNCTIONS.iter().find(|(_, known, ..)| *known == name).map(|(oid, ..)| *oid)
}

type Row = (u32, &'static str, u32, &'static [u32]);

/// By oid: name, result, arguments.
#[rustfmt::skip]
static FUNCTIONS: &[Row] = &[
    (31, "byteaout", 2275, &[17]),
    (33, "charout", 2275, &[18]),
    (34, "namein", 19, &[2275]),
    (35, "nameout", 2275, &[19]),
    (38, "int2in", 21, &[2275]),
    (39, "int2out", 2275, &[21]),
    (40, "int2vectorin", 22, &[2275]),
    (41, "int2vectorout", 2275, &[22]),
    (42, "int4in", 23, &[2275]),
    (43, "int4out", 2275, &[23]),
    (44, "regprocin", 24, &[2275]),
    (45, "regprocout", 2275, &[24]),
    (46, "textin", 25, &[2275]),
    (47, "textout", 2275, &[25]),
    (54, "oidvectorin", 30, &[2275]),
    (55, "oidvectorout", 2275, &[30]),
    (109, "unknownin", 705, &[2275]),
    (110, "unknownout", 2275, &[705]),
    (200, "float4in", 700, &[2275]),
    (201, "float4out", 2275, &[700]),
    (214, "float8in", 701, &[2275]),
    (215, "float8out", 2275, &[701]),
    (460, "int8in", 20, &[2275]),
    (461, "int8out", 2275, &[20]),
    (750, "array_in", 2277, &[2275, 26, 23]),
    (751, "array_out", 2275, &[2277]),
    (1044, "bpcharin", 1042, &[2275, 26, 23]),
    (1045, "bpcharout", 2275, &[1042]),
    (1046, "varcharin", 1043, &[2275, 26, 23]),
    (1047, "varcharout", 2275, &[1043]),
    (1084, "date_in", 1082, &[2275]),
    (1085, "date_out", 2275, &[1082]),
    (1143, "time_in", 1083, &[2275, 26, 23]),
    (1144, "time_out", 2275, &[1083]),
    (1150, "timestamptz_in", 1184, &[2275, 26, 23]),
    (1151, "timestamptz_out", 2275, &[1184]),
    (1160, "interval_in", 1186, &[2275, 26, 23]),
    (1161, "interval_out", 2275, &[1186]),
    (1242, "boolin", 16, &[2275]),
    (1243, "boolout", 2275, &[16]),
    (1244, "byteain", 17, &[2275]),
    (1245, "charin", 18, &[2275]),
    (1312, "timestamp_in", 1114, &[2275, 26, 23]),
    (1313, "timestamp_out", 2275, &[1114]),
    (1701, "numeric_in", 1700, &[2275, 26, 23]),
    (1702, "numeric_out", 2275, &[1700]),
    (1798, "oidin", 26, &[2275]),
    (1799, "oidout", 2275, &[26]),
    (2218, "regclassin", 2205, &[2275]),
    (2219, "regclassout", 2275, &[2205]),
    (2220, "regtypein", 2206, &[2275]),
    (2221, "regtypeout", 2275, &[2206]),
    (2290, "record_in", 2249, &[2275, 26, 23]),
    (2291, "record_out", 2275, &[2249]),
    (2298, "void_in", 2278, &[2275]),
    (2299, "void_out", 2275, &[2278]),
    (2400, "array_recv", 2277, &[2281, 26, 23]),
    (2401, "array_send", 17, &[2277]),
    (2402, "record_recv", 2249, &[2281, 26, 23]),
    (2403, "record_send", 17, &[2249]),
    (2404, "int2recv", 21, &[2281]),
    (2405, "int2send", 17, &[21]),
    (2406, "int4recv", 23, &[2281]),
    (2407, "int4send", 17, &[23]),
    (2408, "int8recv", 20, &[2281]),
    (2409, "int8send", 17, &[20]),
    (2410, "int2vectorrecv", 22, &[2281]),
    (2411, "int2vectorsend", 17, &[22]),
    (2412, "bytearecv", 17, &[2281]),
    (2413, "byteasend", 17, &[17]),
    (2414, "textrecv", 25, &[2281]),
    (2415, "textsend", 17, &[25]),
    (2416, "unknownrecv", 705, &[2281]),
    (2417, "unknownsend", 17, &[705]),
    (2418, "oidrecv", 26, &[2281]),
    (2419, "oidsend", 17, &[26]),
    (2420, "oidvectorrecv", 30, &[2281]),
    (2421, "oidvectorsend", 17, &[30]),
    (2422, "namerecv", 19, &[2281]),
    (2423, "namesend", 17, &[19]),
    (2424, "float4recv", 700, &[2281]),
    (2425, "float4send", 17, &[700]),
    (2426, "float8recv", 701, &[2281]),
    (2427, "float8send", 17, &[701]),
    (2430, "bpcharrecv", 1042, &[2281, 26, 23]),
    (2431, "bpcharsend", 17, &[1042]),
    (2432, "varcharrecv", 1043, &[2281, 26, 23]),
    (2433, "varcharsend", 17, &[1043]),
    (2434, "charrecv", 18, &[2281]),
    (2435, "charsend", 17, &[18]),
    (2436, "boolrecv", 16, &[2281]),
    (2437, "boolsend", 17, &[16]),
    (2444, "regprocrecv", 24, &[2281]),
    (2445, "regprocsend", 17, &[24]),
    (2452, "regclassrecv", 2205, &[2281]),
    (2453, "regclasssend", 17, &[2205]),
    (2454, "regtyperecv", 2206, &[2281]),
    (2455, "regtypesend", 17, &[2206]),
    (2460, "numeric_recv", 1700, &[2281, 26, 23]),
    (2461, "numeric_send", 17, &[1700]),
    (2468, "date_recv", 1082, &[2281]),
    (2469, "date_send", 17, &[1082]),
    (2470, "time_recv", 1083, &[2281, 26, 23]),
    (2471, "time_send", 17, &[1083]),
    (2474, "timestamp_recv", 1114, &[2281, 26, 23]),
    (2475, "timestamp_send", 17, &[1114]),
    (2476, "timestamptz_recv", 1184, &[2281, 26, 23]),
    (2477, "timestamptz_send", 17, &[1184]),
    (2478, "interval_recv", 1186, &[2281, 26, 23]),
    (2479, "interval_send", 17, &[1186]),
    (2903, "intervaltypmodin", 23, &[1263]),
    (2904, "intervaltypmodout", 2275, &[23]),
    (2905, "timestamptypmodin", 23, &[1263]),
    (2906, "timestamptypmodout", 2275, &[23]),
    (2907, "timestamptztypmodin", 23, &[1263]),
    (2908, "timestamptztypmodout", 2275, &[23]),
    (2909, "timetypmodin", 23, &[1263]),
    (2910, "timetypmodout", 2275, &[23]),
    (2913, "bpchartypmodin", 23, &[1263]),
    (2914, "bpchartypmodout", 2275, &[23]),
    (2915, "varchartypmodin", 23, &[1263]),
    (2916, "varchartypmodout", 2275, &[23]),
    (2917, "numerictypmodin", 23, &[1263]),
    (2918, "numerictypmodout", 2275, &[23]),
    (2952, "uuid_in", 2950, &[2275]),
    (2953, "uuid_out", 2275, &[2950]),
    (2961, "uuid_recv", 2950, &[2281]),
    (2962, "uuid_send", 17, &[2950]),
    (3120, "void_recv", 2278, &[2281]),
    (3121, "void_send", 17, &[2278]),
    (3816, "array_typanalyze", 16, &[2281]),
    (4084, "regnamespacein", 4089, &[2275]),
    (4085, "regnamespaceout", 2275, &[4089]),
    (4087, "regnamespacerecv", 4089, &[2281]),
    (4088, "regnamespacesend", 17, &[4089]),
    (6179, "array_subscript_handler", 2281, &[2281]),
    (6180, "raw_array_subscript_handler", 2281, &[2281]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn every_type_has_its_functions_and_they_are_known() {
        assert!(FUNCTIONS.is_sorted_by_key(|(oid, ..)| *oid));
        for ty in SqlType::all() {
            let TypeFunctions { input, output, receive, send, .. } = of_type(ty);
            for oid in [input, output, receive, send] {
                assert!(name_of(oid).is_some(), "{ty:?} {oid}");
            }
        }
        for function in functions() {
            assert!(registry().function(function.oid).is_none(), "{}", function.name);
        }
    }
}
