//! What a range is, the commands that change it, and how they are applied.

pub mod batch;
pub mod bootstrap;
pub mod command;
pub mod descriptor;
pub mod directory;
pub mod machine;
