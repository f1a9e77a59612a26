//! Every function with arguments as large as they come: what it makes is counted, and it stops when it is asked to.

use sql_catalog::function::{Body, EvalContext, NoSession, ParamType};
use sql_values::error::SqlState;
use sql_values::interrupt::{Interrupt, Reason};
use sql_values::memory::{Pool, heap_bytes};
use sql_values::types::{Datum, Form, Numeric, SqlType, TextFormat, TypeId};

use super::golden::NoCatalog;
use super::*;
use crate::{cast as run_cast, input, output};

/// Bytes of a long argument.
const LONG: usize = 1 << 18;
/// A function that does not stop goes on for hours; the machine may be busy.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// What is not worth counting.
const SLACK: usize = 4 << 10;
/// Rows taken of a set.
const ROWS: usize = 1_000;

pub(crate) fn context<'a>(interrupt: &'a Interrupt, memory: &'a Pool) -> EvalContext<'a> {
    EvalContext {
        statement_time: 0,
        transaction_time: 0,
        clock: &|| 0,
        random: &|| 7,
        time_zone: "America/New_York",
        style: sql_values::types::TextStyle::DEFAULT,
        catalog: &NoCatalog,
        functions: registry(),
        session: &NoSession,
        backend_pid: 0,
        interrupt,
        memory,
    }
}

/// Extreme values of a type: the n-th of a few.
fn extreme(ty: SqlType, nth: usize) -> Datum {
    let long = |piece: &str| Datum::text(piece.repeat(LONG / piece.len()));
    match ty {
        SqlType::Bool => Datum::Bool(nth == 0),
        SqlType::Int2 => Datum::Int2([i16::MAX, i16::MIN, 3][nth]),
        SqlType::Int4 => Datum::Int4([i32::MAX, i32::MIN, 1_000_000][nth]),
        SqlType::Int8 => Datum::Int8([i64::MAX, i64::MIN, 1_000_000][nth]),
        SqlType::Float4 => Datum::Float4([f32::MAX, f32::MIN_POSITIVE, 1e6][nth]),
        SqlType::Float8 => Datum::Float8([f64::MAX, f64::MIN_POSITIVE, 1e6][nth]),
        SqlType::Numeric(_) => {
            let text = ["9".repeat(131_000), format!("0.{}", "7".repeat(16_000)), "70000.5".into()];
            Datum::Numeric(Numeric::parse(&text[nth]).unwrap())
        }
        SqlType::Bytea => Datum::Bytea(vec![[0xff, b'\\', b'7'][nth]; LONG].into()),
        SqlType::Date => Datum::Date([i32::MAX, i32::MIN, 0][nth]),
        SqlType::Time(_) => Datum::Time([86_400_000_000, 0, 1][nth]),
        SqlType::Timestamp(_) => Datum::Timestamp([i64::MAX, i64::MIN, 0][nth]),
        SqlType::TimestampTz(_) => Datum::TimestampTz([i64::MAX, i64::MIN, 0][nth]),
        SqlType::Interval(_) => Datum::Interval {
            months: [i32::MAX, i32::MIN, 0][nth],
            days: [i32::MAX, i32::MIN, 0][nth],
            micros: [i64::MAX, i64::MIN, 1][nth],
        },
        SqlType::Uuid => Datum::Uuid([0xff; 16]),
        ty if ty.is_oid() => Datum::Oid([u32::MAX, 0, 1259][nth]),
        ty if ty.form() == Form::Packed => {
            let examples = ty.def().examples;
            Datum::parse_text(ty, examples[nth % examples.len()], &TextFormat::UTC).unwrap()
        }
        SqlType::Record => Datum::Record(vec![Datum::Int4(1); 10_000].into()),
        ty => match ty.element() {
            Some(element) => {
                let item = match element {
                    SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Datum::text("ab"),
                    SqlType::Bytea => Datum::Bytea(vec![7].into()),
                    SqlType::Numeric(_) => Datum::Numeric(Numeric::parse("1e131000").unwrap()),
                    other => extreme(other, nth),
                };
                // Numbers of which a few bytes are much text.
                let count = if matches!(item, Datum::Numeric(_)) { 1_000 } else { 20_000 };
                Datum::Array(vec![item; count].into())
            }
            None => long(["ab", "%a_", "1,"][nth]),
        },
    }
}

fn arguments(function: &Function, nth: usize) -> Vec<Datum> {
    let value = |param: &ParamType| match param {
        ParamType::Exact(ty) => extreme(*ty, nth),
        ParamType::AnyArray | ParamType::AnyCompatibleArray => extreme(TypeId::Int4.array(), nth),
        ParamType::AnyElement | ParamType::AnyNonArray | ParamType::AnyCompatible => {
            extreme(SqlType::Int4, nth)
        }
        ParamType::Any => extreme(SqlType::Text, nth),
    };
    let mut args: Vec<Datum> = function.args.iter().map(value).collect();
    if function.variadic {
        args.extend(vec![args[args.len() - 1].clone(); 5]);
    }
    args
}

/// Runs a call, and returns what it has made: `Err` is the error's SQLSTATE.
fn call(
    function: &Function,
    ctx: &EvalContext<'_>,
    args: &[Datum],
) -> Result<Vec<Datum>, SqlState> {
    let made = match function.body {
        Body::Scalar(body) => body(ctx, args).map(|value| vec![value]),
        Body::Set(body, _) => body(ctx, args).and_then(|rows| {
            let rows: Result<Vec<Vec<Datum>>, _> = rows.take(ROWS).collect();
            Ok(rows?.into_iter().flatten().collect())
        }),
        Body::Sequence(body) => body(ctx, args).map(|_| Vec::new()),
        Body::Aggregate(make) => {
            let mut state = make();
            (|| {
                for _ in 0..8 {
                    state.add(ctx, args)?;
                }
                let held = state.held();
                let value = state.finish(ctx)?;
                assert!(heap_bytes(&value) <= held + SLACK, "{}: {held}", function.name);
                Ok(vec![Datum::Null])
            })()
        }
    };
    made.map_err(|error| error.state)
}

/// Fails if it takes long.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn timed<R>(what: &str, run: impl FnOnce() -> R) -> R {
    let begun = std::time::Instant::now();
    let result = run();
    assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", begun.elapsed());
    result
}

#[test]
fn what_functions_make_is_counted_and_all_of_them_end() {
    // So much work that a loop that counts is seen to end.
    const WORK: u32 = 20_000;
    for function in registry().all_functions() {
        for nth in 0..3 {
            let args = arguments(function, nth);
            let what = format!("{} ({}), arguments {nth}", function.name, function.oid);
            let pool = Pool::new(16 * LONG);
            let interrupt = Interrupt::bounded(WORK);
            let ctx = context(&interrupt, &pool);
            let Ok(made) = timed(&what, || call(function, &ctx, &args)) else { continue };
            // Numbers have a bound of their own, and are counted by the evaluator.
            let is_text = |value: &&Datum| !matches!(value, Datum::Numeric(_));
            let made: usize = made.iter().filter(is_text).map(heap_bytes).sum();
            let given: usize = args.iter().map(heap_bytes).max().unwrap_or(0);
            let is_set = matches!(function.body, Body::Set(..));
            let allowed = if is_set { ROWS * 64 } else { pool.scratch() };
            // Shares of an argument cost nothing.
            let is_share = made <= given && pool.scratch() == 0;
            assert!(made <= allowed + SLACK || is_share, "{what}: {made} bytes of {allowed}");
        }
    }
}

#[test]
fn functions_stop_when_they_are_asked_to() {
    let interrupt = Interrupt::bounded(u32::MAX);
    interrupt.raise(Reason::User);
    for function in registry().all_functions() {
        for nth in 0..3 {
            let args = arguments(function, nth);
            let pool = Pool::new(usize::MAX);
            let ctx = context(&interrupt, &pool);
            let what = format!("{} ({}), arguments {nth}", function.name, function.oid);
            // They fail, or are through at once: a pass over an argument.
            let _ = timed(&what, || call(function, &ctx, &args));
        }
    }
}

#[test]
fn little_memory_is_enough_for_an_error() {
    for function in registry().all_functions() {
        for nth in 0..3 {
            let args = arguments(function, nth);
            let (pool, interrupt) = (Pool::new(64 << 10), Interrupt::bounded(10_000));
            let ctx = context(&interrupt, &pool);
            let what = format!("{} ({}), arguments {nth}", function.name, function.oid);
            let _ = timed(&what, || call(function, &ctx, &args));
            assert!(pool.scratch() <= 64 << 10, "{what}");
        }
    }
}

#[test]
fn texts_of_values_and_values_of_texts_are_counted() {
    let types: Vec<SqlType> = registry().all_casts().iter().flat_map(|c| [c.from, c.to]).collect();
    let arrays: Vec<SqlType> = types.iter().filter_map(|ty| ty.array()).collect();
    let interrupt = Interrupt::bounded(u32::MAX);
    for ty in types.into_iter().chain(arrays) {
        for nth in 0..3 {
            let pool = Pool::new(64 * LONG);
            let ctx = context(&interrupt, &pool);
            let value = extreme(ty, nth);
            let Ok(text) = timed(&format!("{ty:?}"), || output(&ctx, ty, &value)) else { continue };
            let is_number = matches!(value, Datum::Numeric(_));
            assert!(text.len() <= pool.scratch() + SLACK || is_number, "{ty:?}: {}", text.len());
        }
        for text in ["1,".repeat(LONG / 8), format!("{{{}1}}", "1,".repeat(LONG / 8))] {
            let pool = Pool::new(256 * LONG);
            let ctx = context(&interrupt, &pool);
            let value = timed(&format!("{ty:?}"), || input(&ctx, ty, &text));
            let made = value.as_ref().map_or(0, heap_bytes);
            assert!(made <= pool.scratch() + SLACK, "{ty:?}: {made} of {}", pool.scratch());
            let small = Pool::new(16 << 10);
            let ctx = context(&interrupt, &small);
            assert!(input(&ctx, ty, &text).is_err(), "{ty:?}");
        }
    }
    // An array of numbers whose text is a thousand times as long.
    let pool = Pool::new(16 * LONG);
    let ctx = context(&interrupt, &pool);
    let numbers = TypeId::Numeric.array();
    let error = output(&ctx, numbers, &extreme(numbers, 0)).unwrap_err();
    assert_eq!(error.state, SqlState::OUT_OF_MEMORY);
    let to = SqlType::Text;
    let error = run_cast(&ctx, extreme(numbers, 0), numbers, to, true).unwrap_err();
    assert_eq!(error.state, SqlState::OUT_OF_MEMORY);
}

/// PostgreSQL's own bound comes first: no setting of ours helps against it.
#[test]
fn values_beyond_a_gibibyte_are_refused_as_postgresql_does() {
    let (interrupt, pool) = (Interrupt::bounded(u32::MAX), Pool::new(usize::MAX));
    let ctx = context(&interrupt, &pool);
    let of = |name: &str, args: &[Datum]| {
        let functions = registry().functions(name);
        let function = functions.iter().find(|function| function.args.len() == args.len());
        call(function.unwrap(), &ctx, args)
    };
    let limit = Err(SqlState::PROGRAM_LIMIT_EXCEEDED);
    let (text, many) = (Datum::text("abcdefghij"), Datum::Int4(200_000_000));
    assert_eq!(of("repeat", &[text.clone(), many]), limit);
    assert_eq!(of("lpad", &[text.clone(), Datum::Int4(i32::MAX)]), limit);
    assert_eq!(of("rpad", &[text, Datum::Int4(i32::MAX)]), limit);
}
