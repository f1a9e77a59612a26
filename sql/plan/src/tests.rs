//! Plans as deep as they come.

use sql_catalog::function::{Body, Function, ParamType, Volatility};
use sql_values::stack::{Tree, roomy};
use sql_values::types::{Datum, SqlType};

use crate::{Expr, Node, node};

/// Runs on a thread with hardly any stack of its own.
fn cramped(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        thread.spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

/// As deep as the longest chain of operators, within the deepest nesting.
const DEEPEST: usize = 40_000;

static SUM: Function = Function {
    oid: 177,
    name: "int4pl",
    args: &[],
    variadic: false,
    result: ParamType::Exact(SqlType::Int4),
    strict: true,
    volatility: Volatility::Immutable,
    body: Body::Scalar(|_, _| Ok(Datum::Null)),
    kernel: None,
};

/// S3 of `sql_values::stack`: the deepest trees are cloned, compared, shown and dropped with what `roomy` gives.
#[test]
fn the_deepest_plans_have_room() {
    let one = || Expr::Const(Datum::Int4(1), SqlType::Int4);
    let nothing = || Node::Values(node::Values { rows: Vec::new(), types: Vec::new() });
    cramped(|| {
        let sum = (0..DEEPEST).fold(one(), |left, _| Expr::Call {
            function: &SUM,
            args: vec![left, one()],
            ty: SqlType::Int4,
        });
        let sum = Tree::new(sum);
        let other = sum.clone();
        roomy(|| assert_eq!(*sum, *other));
    });
    cramped(|| {
        let stack = (0..DEEPEST / 2).fold(nothing(), |node, _| {
            Node::SetOp(node::SetOp {
                left: Box::new(node),
                right: Box::new(nothing()),
                except: true,
                all: false,
            })
        });
        let stack = Tree::new(stack);
        let other = stack.clone();
        roomy(|| assert_eq!(*stack, *other));
    });
}
