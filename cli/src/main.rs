//! The binary. It does nothing before there is SQL to speak.

fn main() {}
