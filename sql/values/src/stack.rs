//! Room on the stack. What a client writes decides how deep our recursions go, so none may rely on the stack that a
//! thread happens to have: one that overflows ends the process, and with it every other session.
//!
//! - S1. How deep anything can be is bounded before there is anything: the parser counts nesting and chains of
//!   operators in the tokens, and the binder counts levels. Beyond a bound the statement gets 54001, as PostgreSQL's
//!   does beyond `max_stack_depth`.
//! - S2. A recursion of ours takes each of its levels through [`roomy`], which goes on in a new piece of stack when
//!   less than [`RED`] is left. This holds for futures too: one that polls its own kind is a [`Roomy`].
//! - S3. What the compiler or a library writes cannot do that: clones, comparisons and drops of trees, and sqlparser's
//!   spans. They get the whole of their room before they begin: [`RED`] is what they need for the deepest tree that
//!   S1 admits. So trees are owned by what drops them through [`roomy`]: [`Tree`] and `Plan`.
//!
//! HAZARD: a new bound in S1, or a much larger `Expr` or `Node`, moves what S3 needs. Tests of the parser and of the
//! plans build the deepest trees and do with them what S3 names.
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
pub const RED: usize = FRAMES * (32 << 20);

/// Bytes of a new piece of stack.
pub const PIECE: usize = 2 * RED;

/// The stack of a thread on which statements seldom need a new piece.
pub const THREAD: usize = RED + (8 << 20);

/// Runs with at least [`RED`] bytes of stack, whatever the caller's thread has left.
#[inline]
pub fn roomy<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED, PIECE, run)
}

/// A syntax tree, cloned and dropped with room.
pub struct Tree<T>(Option<Box<T>>);

impl<T> Tree<T> {
    /// Owns a tree.
    pub fn new(tree: T) -> Self {
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
pub struct Roomy<'f, T>(Option<BoxFuture<'f, T>>);

impl<'f, T> Roomy<'f, T> {
    /// Makes it one.
    pub fn new(future: impl Future<Output = T> + Send + 'f) -> Self {
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
