//! One file per command: the only place where things are wired together.

#[expect(dead_code, reason = "not dispatched to yet")]
mod check;
#[expect(dead_code, reason = "not dispatched to yet")]
mod render;
pub mod demo;
