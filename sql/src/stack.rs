//! Room on the stack. What a client writes decides how deep our recursions go, so none may rely on the stack that a
//! thread happens to have: one that overflows ends the process, and with it every other session.
//!
//! - S1. How deep anything can be is bounded before there is anything: [`crate::parse`] counts nesting and chains of
//!   operators in the tokens, and the binder counts levels. Beyond a bound the statement gets 54001, as PostgreSQL's
//!   does beyond `max_stack_depth`.
//! - S2. A recursion of ours takes each of its levels through [`roomy`], which goes on in a new piece of stack when
//!   less than [`RED`] is left. This holds for futures too: one that polls its own kind is a [`Roomy`].
//! - S3. What the compiler or a library writes cannot do that: clones, comparisons and drops of trees, and sqlparser's
//!   spans. They get the whole of their room before they begin: [`RED`] is what they need for the deepest tree that
//!   S1 admits. So trees are owned by what drops them through [`roomy`]: [`Tree`] and [`crate::plan::Plan`].
//!
//! HAZARD: a new bound in S1, or a much larger [`crate::plan::Expr`] or [`crate::plan::Node`], moves what S3 needs. The
//! tests below build the deepest trees and do with them what S3 names.
//!
//! The pieces are reserved, not used: only touched pages cost memory, and a piece goes back when its call ends.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

/// Frames of a build without optimization are several times as large.
const FRAMES: usize = if cfg!(debug_assertions) { 4 } else { 1 };

/// Bytes of stack that are left wherever [`roomy`] runs something.
const RED: usize = FRAMES * (32 << 20);

/// Bytes of a new piece of stack.
const PIECE: usize = 2 * RED;

/// The stack of a thread on which statements seldom need a new piece.
pub const THREAD: usize = RED + (8 << 20);

/// Runs with at least [`RED`] bytes of stack, whatever the caller's thread has left.
#[inline]
pub(crate) fn roomy<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED, PIECE, run)
}

/// Makes sqlparser keep to the same bounds: it grows the stack by itself, with less to spare.
pub(crate) fn instruct_parser() {
    recursive::set_minimum_stack_size(RED);
    recursive::set_stack_allocation_size(PIECE);
}

/// A syntax tree, cloned and dropped with room.
pub(crate) struct Tree<T>(Option<Box<T>>);

impl<T> Tree<T> {
    /// Owns a tree.
    pub(crate) fn new(tree: T) -> Self {
        Tree(Some(Box::new(tree)))
    }
}

impl<T> Deref for Tree<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("a tree is taken by its drop alone")
    }
}

impl<T: Clone> Clone for Tree<T> {
    fn clone(&self) -> Self {
        roomy(|| Tree(self.0.clone()))
    }
}

impl<T: fmt::Debug> fmt::Debug for Tree<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        roomy(|| self.deref().fmt(f))
    }
}

impl<T> Drop for Tree<T> {
    fn drop(&mut self) {
        let tree = self.0.take();
        roomy(|| drop(tree));
    }
}

/// A future that polls others of its kind, polled and dropped with room.
pub(crate) struct Roomy<'f, T>(Option<BoxFuture<'f, T>>);

impl<'f, T> Roomy<'f, T> {
    /// Makes it one.
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'f) -> Self {
        Roomy(Some(Box::pin(future)))
    }
}

impl<T> Future for Roomy<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let future = self.0.as_mut().expect("a future is taken by its drop alone");
        roomy(|| future.as_mut().poll(cx))
    }
}

impl<T> Drop for Roomy<'_, T> {
    fn drop(&mut self) {
        let future = self.0.take();
        roomy(|| drop(future));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Expr, Node};
    use crate::types::{Datum, SqlType};

    /// Runs on a thread with hardly any stack of its own.
    fn cramped(run: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, run).unwrap().join().unwrap();
        });
    }

    /// As deep as the longest chain of operators, within the deepest nesting.
    const DEEPEST: usize = 40_000;

    /// S3: the deepest trees are cloned, compared, shown and dropped with what `roomy` gives.
    #[test]
    fn the_deepest_plans_have_room() {
        let one = || Expr::Const(Datum::Int4(1), SqlType::Int4);
        let nothing = || Node::Values { rows: Vec::new(), types: Vec::new() };
        cramped(|| {
            let sum = (0..DEEPEST).fold(one(), |left, _| Expr::Call {
                function: 177,
                args: vec![left, one()],
                ty: SqlType::Int4,
            });
            let sum = Tree::new(sum);
            let other = sum.clone();
            roomy(|| assert_eq!(*sum, *other));
        });
        cramped(|| {
            let stack = (0..DEEPEST / 2).fold(nothing(), |node, _| Node::SetOp {
                left: Box::new(node),
                right: Box::new(nothing()),
                except: true,
                all: false,
            });
            let stack = Tree::new(stack);
            let other = stack.clone();
            roomy(|| assert_eq!(*stack, *other));
        });
    }

    /// The same for sqlparser's trees, and its spans and texts of them.
    #[test]
    fn the_deepest_syntax_trees_have_room() {
        let text = format!("1{}", " + a".repeat(20_900));
        cramped(|| {
            let parsed = crate::parse::parse_expression(&text).unwrap();
            let other = parsed.clone();
            roomy(|| {
                use sqlparser::ast::Spanned;
                assert_eq!(*parsed.ast, *other.ast);
                assert_eq!(parsed.ast.to_string(), text);
                assert!(parsed.ast.span().end.column > 20_900);
            });
        });
    }
}
