//! Instruction sets behind one trait, chosen at run time.
//!
//! A computation is written once, as a [`Kernel`] whose `run` is generic over [`Simd`], and [`dispatch`] compiles it
//! for every [`Level`] and runs the one asked for. A [`Simd`] value is a proof that the processor has the level's
//! instructions: it can only be had through `dispatch`, which asks the processor.
//!
//! All `std::arch` code of polyad is in this crate, and with the memory-mapped files of other crates the only
//! `unsafe` code. Each block says whose promise it relies on.

#[cfg(target_arch = "x86_64")]
mod amx;
pub mod bfloat16;
pub mod conv;
mod dot;
mod exp;
pub mod gemm;
mod level;
pub mod peak;
mod portable;
mod simd;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use dot::{dot, dot_at};
pub use exp::exp2;
pub use level::{Level, LevelError, level};
pub use simd::{Kernel, LANES, Simd, dispatch};
