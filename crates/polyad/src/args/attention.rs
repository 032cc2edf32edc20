//! Arguments of the commands about attention.

use super::values::named;
use clap::Args;
use polyad_attention::ScoreForm;
use polyad_attention::polynomial::Method;
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

const METHODS: [(&str, Method); 4] =
    [("exact", Method::Exact), ("polynomial", Method::Polynomial), ("sketch", Method::Sketch), ("auto", Method::Auto)];

/// Compute tensor attention of arrays in a NumPy archive
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad attend in.npz --out out.npz --backward

IN holds q, k1, v1, k2, v2, .., each [n, d] or [batch, heads, n, d], and the number scale. The number of keys is \
the order less one: one pair is ordinary attention. What may be there besides: form (linear, determinant, strassen, \
tree), causal, windows, lengths (a number for each key axis), bias_01, bias_02, bias_12 .. (axis 0 is the query), \
softcap, sink (a number for each head), and for --backward dout and dlse. Other arrays are not looked at.

OUT holds out and lse; with --backward dq, dk1, dv1, .., dbias_01, ..; all in single precision. With a method other \
than exact also certificate (at least the error of each row of out, and lse_certificate of lse; NaN for a sketch) and \
method (0 exact, 1 polynomial, 2 sketch).

  polyad attend in.npz --out out.npz --method auto --tolerance 1e-3")]
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
    /// How it is computed: exact; polynomial, near-linear in time with a proved bound of its error, exactly where that
    /// fails; auto, the faster of the two; sketch, an estimate by random features without a bound
    #[arg(long, default_value = "exact", value_parser = named(&METHODS), hide_default_value = true)]
    pub method: Method,
    /// The error allowed in out, as a share of the greatest |v1 ∘ v2| of a head; 0.01 where it is left out. For polynomial
    /// and auto
    #[arg(long, value_name = "T")]
    pub tolerance: Option<f64>,
    /// Random features of a sketch, of each degree
    #[arg(long, value_name = "R", default_value = "1024")]
    pub features: usize,
    /// What a sketch's features are drawn from
    #[arg(long, default_value = "0")]
    pub seed: u64,
    /// The weights of these queries with every tuple of keys: numbers and ranges, 0,4,8-11
    #[arg(long, value_name = "ROWS")]
    pub weights: Option<String>,
    /// For every query the weight of each key, over all tuples with it
    #[arg(long)]
    pub marginals: bool,
}

/// Say what each way of computing tensor attention would cost
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  polyad plan --n 16384 --d 16 --order 3 --range 1

Speeds are measured on this machine, in a second. The degree is that of the polynomial whose certificate is within the \
tolerance: for a range alone whatever the arrays hold, for an archive by what they hold, which often does with less. \
Scores are bounded by d scale B^order where entries are bounded by B; border is the B up to which almost linear time is \
possible at all, for a scale of 1/d (arXiv 2310.04064).

  polyad plan --npz in.npz --tolerance 1e-3")]
pub struct PlanArgs {
    /// Tokens on every axis
    #[arg(long, value_name = "N", required_unless_present = "npz", conflicts_with = "npz")]
    pub n: Option<usize>,
    /// Features of queries, keys and values
    #[arg(long, value_name = "D", required_unless_present = "npz", conflicts_with = "npz")]
    pub d: Option<usize>,
    /// Key axes and one; 2 is ordinary attention
    #[arg(long, value_name = "P", required_unless_present = "npz", conflicts_with = "npz")]
    pub order: Option<usize>,
    /// How scores are made
    #[arg(long, default_value = "linear", value_parser = named(&FORMS), conflicts_with = "npz")]
    pub form: ScoreForm,
    /// The greatest absolute score, after the scale
    #[arg(long, value_name = "R", default_value = "1", conflicts_with = "npz")]
    pub range: f64,
    /// An archive as `attend` reads it
    #[arg(long, value_name = "FILE")]
    pub npz: Option<PathBuf>,
    /// The error allowed in out, as a share of the greatest |v1 ∘ v2| of a head
    #[arg(long, value_name = "T", default_value = "0.01")]
    pub tolerance: f64,
}

const FORMS: [(&str, ScoreForm); 4] = [
    ("linear", ScoreForm::Linear),
    ("determinant", ScoreForm::Determinant),
    ("strassen", ScoreForm::Strassen),
    ("tree", ScoreForm::Tree),
];
