//! What a range is, and the commands that change it.

pub mod descriptor;
