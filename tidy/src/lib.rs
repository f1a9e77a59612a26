//! tidy: what the sources promise about themselves, as tests. It reads the files of the workspace as text ([`source`]). The
//! modules are listed in reading order.
//!
//! - [`order`]: a module uses only modules that its crate's `lib.rs` lists before it.
//! - [`labels`]: a rule's label stands for one rule of its file, and every label that is cited exists.
//! - [`lengths`]: no file and no function grows beyond what a reader holds.
//!
//! There are no exceptions, and no list to write one into: what does not keep to a rule is moved, renamed or cut.

#[cfg(test)]
mod source;

#[cfg(test)]
mod labels;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod order;
