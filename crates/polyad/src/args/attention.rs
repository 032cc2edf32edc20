//! Arguments of the commands about attention.

use super::values::named;
use clap::Args;
use std::path::PathBuf;

/// The precision of the arrays that attention sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    F16,
}

const PRECISIONS: [(&str, Precision); 3] =
    [("f32", Precision::F32), ("bf16", Precision::Bf16), ("f16", Precision::F16)];

/// Compute tensor attention of arrays in a NumPy archive
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad attend in.npz --out out.npz --backward

IN holds q, k1, v1, k2, v2, .., each [n, d] or [batch, heads, n, d], and the number scale. The number of keys is \
the order less one: one pair is ordinary attention. What may be there besides: form (linear, determinant, strassen, \
tree), causal, windows, lengths (a number for each key axis), bias_01, bias_02, bias_12 .. (axis 0 is the query), \
softcap, sink (a number for each head), and for --backward dout and dlse. Other arrays are not looked at.

OUT holds out and lse; with --backward dq, dk1, dv1, .., dbias_01, ..; all in single precision.")]
pub struct AttendArgs {
    /// The archive to read
    #[arg(value_name = "IN.npz")]
    pub input: PathBuf,
    /// The archive to write
    #[arg(long, value_name = "OUT.npz")]
    pub out: PathBuf,
    /// The gradients too, of dout and dlse
    #[arg(long)]
    pub backward: bool,
    /// The instruction set: portable, avx2, avx512, avx512bf16, amx; the best one where it is left out
    #[arg(long, value_name = "LEVEL")]
    pub isa: Option<String>,
    /// What queries, keys and values are rounded to first
    #[arg(long, default_value = "f32", value_parser = named(&PRECISIONS))]
    pub dtype: Precision,
    /// How it is computed
    #[arg(long, default_value = "exact", value_parser = ["exact"])]
    pub method: String,
    /// The weights of these queries with every tuple of keys: numbers and ranges, 0,4,8-11
    #[arg(long, value_name = "ROWS")]
    pub weights: Option<String>,
    /// For every query the weight of each key, over all tuples with it
    #[arg(long)]
    pub marginals: bool,
}
