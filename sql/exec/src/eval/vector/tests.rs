//! Batches mean what rows mean, for expressions made at random.

use kv::env::Rng;
use sql_catalog::function::{Body, Function, ParamType};
use sql_functions::registry;
use sql_plan::Expr;
use sql_values::memory::Pool;
use txn::testing::TestRng;

use super::*;
use crate::batch::BatchBuilder;
use crate::batch::column;
use crate::row::Row;
use crate::tests::support::Session;

const TYPES: [SqlType; 12] = [
    SqlType::Int4,
    SqlType::Bool,
    SqlType::Int8,
    SqlType::Text,
    SqlType::Int2,
    SqlType::Float8,
    SqlType::Date,
    SqlType::Timestamp(None),
    SqlType::Oid,
    SqlType::Int4,
    SqlType::Bool,
    SqlType::TimestampTz(None),
];

struct Maker {
    rng: TestRng,
}

impl Maker {
    fn below(&self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// Small numbers mostly, so that they meet, and extremes.
    fn number(&self, min: i64, max: i64) -> i64 {
        match self.below(12) {
            0 => min,
            1 => max,
            2 => 0,
            _ => self.below(7) as i64 - if min < 0 { 3 } else { 0 },
        }
    }

    fn datum(&self, ty: SqlType) -> Datum {
        if self.below(5) == 0 {
            return Datum::Null;
        }
        match ty {
            SqlType::Bool => Datum::Bool(self.below(2) == 0),
            SqlType::Int2 => Datum::Int2(self.number(-32_768, 32_767) as i16),
            SqlType::Int4 => Datum::Int4(self.number(i32::MIN.into(), i32::MAX.into()) as i32),
            SqlType::Int8 => Datum::Int8(self.number(i64::MIN, i64::MAX)),
            SqlType::Float8 => {
                let odd = [f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, 1.5];
                Datum::Float8(odd[self.below(6) as usize])
            }
            SqlType::Text => Datum::text(["", "a", "ab", "b", "é", "Z"][self.below(6) as usize]),
            SqlType::Date => Datum::Date(self.number(i32::MIN.into(), i32::MAX.into()) as i32),
            SqlType::Timestamp(_) => Datum::Timestamp(self.number(i64::MIN, i64::MAX)),
            SqlType::TimestampTz(_) => Datum::TimestampTz(self.number(i64::MIN, i64::MAX)),
            SqlType::Oid => Datum::Oid(self.number(0, u32::MAX.into()) as u32),
            other => panic!("no values of {other:?}"),
        }
    }

    /// An expression of a type, with so many levels.
    fn expr(&self, ty: SqlType, depth: u64) -> Expr {
        if depth == 0 || self.below(8) == 0 {
            let slots: Vec<usize> = (0..TYPES.len()).filter(|at| TYPES[*at] == ty).collect();
            return match self.below(3) {
                0 => Expr::Const(self.datum(ty), ty),
                _ => Expr::Slot(slots[self.below(slots.len() as u64) as usize], ty),
            };
        }
        let depth = depth - 1;
        let some = |ty| (0..=self.below(3)).map(|_| self.expr(ty, depth)).collect::<Vec<_>>();
        if self.below(5) == 0 {
            let branches = vec![(self.expr(SqlType::Bool, depth), self.expr(ty, depth))];
            let otherwise = (self.below(2) == 0).then(|| Box::new(self.expr(ty, depth)));
            return match self.below(2) {
                0 => Expr::Case { branches, otherwise, ty },
                _ => Expr::Coalesce(some(ty), ty),
            };
        }
        let any = TYPES[self.below(TYPES.len() as u64) as usize];
        if ty == SqlType::Bool {
            match self.below(6) {
                0 => return Expr::And(some(ty)),
                1 => return Expr::Or(some(ty)),
                2 => return Expr::Not(Box::new(self.expr(ty, depth))),
                3 => return Expr::IsNull(Box::new(self.expr(any, depth))),
                _ => {}
            }
        }
        let functions = functions(ty);
        let Some((function, args)) =
            functions.get(self.below(functions.len().max(1) as u64) as usize)
        else {
            return self.expr(ty, 0);
        };
        let args = args.iter().map(|arg| self.expr(*arg, depth)).collect();
        Expr::Call { function, args, ty }
    }
}

/// Everything of two arguments of our types: operators' functions that give this type.
fn functions(ty: SqlType) -> Vec<(&'static Function, [SqlType; 2])> {
    let known = |arg: &ParamType| match arg {
        ParamType::Exact(ty) if TYPES.contains(ty) => Some(*ty),
        _ => None,
    };
    let mut found = Vec::new();
    for operator in registry().all_operators() {
        let (left, right) = (operator.left.as_ref().and_then(known), known(&operator.right));
        if let (Some(left), Some(right)) = (left, right)
            && operator.result == ParamType::Exact(ty)
            && !operator.name.contains(['~', '|', '&', '#', '<', '>', '^'])
                | matches!(operator.name, "<" | ">" | "<=" | ">=" | "<>")
        {
            found.push((registry().function_of(&operator).unwrap(), [left, right]));
        }
    }
    found
}

#[test]
fn a_batch_is_what_its_rows_are() {
    let session = Session::default();
    let context = session.context();
    let evaluator = Evaluator::new(&context, &[]);
    let (mut failed, mut vectors) = (0, 0);
    for seed in 0..1_500 {
        let maker = Maker { rng: TestRng::new(seed) };
        let rows: Vec<Row> = (0..1 + maker.below(9))
            .map(|_| TYPES.iter().map(|ty| maker.datum(*ty)).collect())
            .collect();
        let mut builder = BatchBuilder::new(&TYPES, &Pool::new(usize::MAX));
        rows.iter().for_each(|row| builder.push(row).unwrap());
        let batch = builder.finish().unwrap();
        let ty = TYPES[maker.below(TYPES.len() as u64) as usize];
        let expr = maker.expr(ty, 4);
        let expected: SqlResult<Vec<Datum>> =
            rows.iter().map(|row| evaluator.value(&expr, row)).collect();
        let found = evaluator.eval_batch(&expr, &batch).and_then(|column| {
            (0..rows.len()).map(|row| column::read(&column, ty, row)).collect::<SqlResult<Vec<_>>>()
        });
        failed += u32::from(expected.is_err());
        vectors += u32::from(expected.is_ok() && has_kernels(&expr));
        // By their text: NaN is not equal to itself.
        assert_eq!(
            format!("{found:?}"),
            format!("{expected:?}"),
            "seed {seed}: {expr:?} over {rows:?}"
        );
    }
    assert!((30..700).contains(&failed), "{failed} expressions failed");
    assert!(vectors > 300, "{vectors} expressions were computed by kernels");
}

#[test]
fn kernels_belong_to_the_functions_they_stand_for() {
    use sql_catalog::function::Kernel;
    let operators = registry().all_operators();
    let mut kernels = 0;
    for function in registry().all_functions() {
        let Some(kernel) = function.kernel else {
            continue;
        };
        kernels += 1;
        let expected = match kernel {
            Kernel::Equal => "=",
            Kernel::NotEqual => "<>",
            Kernel::Less => "<",
            Kernel::LessEqual => "<=",
            Kernel::Greater => ">",
            Kernel::GreaterEqual => ">=",
            Kernel::Add => "+",
            Kernel::Subtract => "-",
            Kernel::Multiply => "*",
            Kernel::Divide => "/",
        };
        let found = operators.iter().find(|operator| operator.function == function.oid);
        assert_eq!(found.map(|operator| operator.name), Some(expected), "{}", function.name);
        assert!(matches!(function.body, Body::Scalar(_)) && function.strict, "{}", function.name);
        assert_eq!(function.args[0], function.args[1], "{}", function.name);
    }
    assert_eq!(kernels, 6 * 9 + 4 * 3);
}
