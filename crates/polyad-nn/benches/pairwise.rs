//! Efficient pairwise operators against the number of tokens, beside PyTorch's softmax attention on as many threads:
//! `cargo bench --workspace --bench pairwise [-- WORDS] [--quick]`, the words being part of an operator's name.
//!
//! One input of 64 channels, single precision, no mask, the whole layer with its linear maps. A line: milliseconds of
//! the best run for each length; the exponent of the time fitted to the last four lengths; and the lengths from which
//! the operator is faster than attention alone, and than attention with its four linear maps. Lengths are left out
//! where a run would take more than two seconds, or a learnt matrix of the tokens more than 256 MB. About three minutes
//! on two cores; `--quick` leaves out what takes more than a tenth of a second, and is a trial.
//!
//! `pairwise_rivals.py` measures attention; `PYTHON` names a Python that has PyTorch, `RAYON_NUM_THREADS` the threads
//! of both. Numbers are written to `target/pairwise.json`.

use burn::tensor::{Device, Tensor, TensorData};
use polyad_nn::hadamard::audit::{Audit, Describe};
use polyad_nn::hadamard::pairwise::aft::{AftFullConfig, AftLocalConfig, AftSimpleConfig};
use polyad_nn::hadamard::pairwise::cosformer::CosFormerConfig;
use polyad_nn::hadamard::pairwise::focal::FocalModulationConfig;
use polyad_nn::hadamard::pairwise::glu::{Gate, GluConfig};
use polyad_nn::hadamard::pairwise::gmlp::GmlpConfig;
use polyad_nn::hadamard::pairwise::hydra::HydraConfig;
use polyad_nn::hadamard::pairwise::hyena::HyenaConfig;
use polyad_nn::hadamard::pairwise::large_kernel::LargeKernelAttentionConfig;
use polyad_nn::hadamard::pairwise::linear_attention::LinearAttentionConfig;
use polyad_nn::hadamard::pairwise::poly_attn::{PolyAttentionConfig, RowSum};
use polyad_nn::hadamard::pairwise::poly_nl::PolyNlConfig;
use polyad_nn::hadamard::pairwise::pom::PomConfig;
use polyad_nn::{Error, Result};
use std::fmt::Display;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const CHANNELS: usize = 64;
const LENGTHS: [usize; 9] = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
/// Lengths that an exponent is fitted to.
const FITTED: usize = 4;
/// Entries of the largest learnt matrix of the tokens: 256 MB.
const ENTRIES: usize = 1 << 26;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Seconds that a run may take.
    patience: f64,
    /// Seconds of measuring one length, two runs at least.
    seconds: f64,
}

/// A layer for so many tokens: its multiply-adds, and a run.
struct Layer {
    multiply_adds: usize,
    run: Box<dyn Fn()>,
}

/// A layer's name, whether it learns a matrix of the tokens, and how it is made for so many.
type Operator = (&'static str, bool, fn(usize) -> Result<Layer>);

const OPERATORS: [Operator; 14] = [
    ("Hydra", false, |tokens| {
        let hydra = HydraConfig { channels: CHANNELS, epsilon: 1e-12 }.init(&Device::flex())?;
        Ok(layer(hydra, [1, tokens, CHANNELS], |hydra, x| drop(black_box(hydra.forward(x)))))
    }),
    ("Poly-NL", false, |tokens| {
        let poly = PolyNlConfig { channels: CHANNELS }.init(&Device::flex())?;
        Ok(layer(poly, [1, tokens, CHANNELS], |poly, x| drop(black_box(poly.forward(x)))))
    }),
    ("PoM", false, |tokens| {
        let pom = PomConfig { channels: CHANNELS, inside: CHANNELS, degree: 3 }.init(&Device::flex())?;
        Ok(layer(pom, [1, tokens, CHANNELS], |pom, x| drop(black_box(pom.forward(x)))))
    }),
    ("AFT simple", false, |tokens| {
        let aft = AftSimpleConfig { channels: CHANNELS }.init(&Device::flex())?;
        Ok(layer(aft, [1, tokens, CHANNELS], |aft, x| drop(black_box(aft.forward(x)))))
    }),
    ("AFT local", false, |tokens| {
        let aft = AftLocalConfig { channels: CHANNELS, maximum: tokens, window: 16 }.init(&Device::flex())?;
        Ok(layer(aft, [1, tokens, CHANNELS], |aft, x| drop(black_box(aft.forward(x)))))
    }),
    ("AFT full", true, |tokens| {
        let aft = AftFullConfig { channels: CHANNELS, maximum: tokens }.init(&Device::flex())?;
        Ok(layer(aft, [1, tokens, CHANNELS], |aft, x| drop(black_box(aft.forward(x)))))
    }),
    ("linear attention", false, |tokens| {
        let linear = LinearAttentionConfig { channels: CHANNELS, heads: 1, epsilon: 1e-6 }.init(&Device::flex())?;
        Ok(layer(linear, [1, tokens, CHANNELS], |linear, x| drop(black_box(linear.forward(x)))))
    }),
    ("cosFormer", false, |tokens| {
        let config = CosFormerConfig { channels: CHANNELS, heads: 1, maximum: tokens, epsilon: 1e-6 };
        let cosformer = config.init(&Device::flex())?;
        Ok(layer(cosformer, [1, tokens, CHANNELS], |cosformer, x| drop(black_box(cosformer.forward(x)))))
    }),
    ("PolyAttn", false, |tokens| {
        let row_sum = RowSum::Own { epsilon: 1e-12 };
        let poly = PolyAttentionConfig { channels: CHANNELS, heads: 1, row_sum }.init(&Device::flex())?;
        Ok(layer(poly, [1, tokens, CHANNELS], |poly, x| drop(black_box(poly.forward(x, None)))))
    }),
    ("gMLP", true, |tokens| {
        let gmlp = GmlpConfig { channels: CHANNELS, inside: CHANNELS, tokens }.init(&Device::flex())?;
        Ok(layer(gmlp, [1, tokens, CHANNELS], |gmlp, x| drop(black_box(gmlp.forward(x)))))
    }),
    ("focal modulation", false, |tokens| {
        let config = FocalModulationConfig { channels: CHANNELS, levels: 2, window: 3, is_mean: false };
        let (focal, [height, width]) = (config.init(&Device::flex())?, picture(tokens));
        Ok(layer(focal, [1, height, width, CHANNELS], |focal, x| drop(black_box(focal.forward(x)))))
    }),
    ("large kernel", false, |tokens| {
        let config = LargeKernelAttentionConfig::published(CHANNELS);
        let (large, [height, width]) = (config.init(&Device::flex())?, picture(tokens));
        Ok(layer(large, [1, CHANNELS, height, width], |large, x| drop(black_box(large.forward(x)))))
    }),
    ("Hyena", false, |tokens| {
        let config = HyenaConfig { channels: CHANNELS, order: 2, maximum: tokens, bands: 8, inside: CHANNELS };
        let hyena = config.init(&Device::flex())?;
        Ok(layer(hyena, [1, tokens, CHANNELS], |hyena, x| drop(black_box(hyena.forward(x)))))
    }),
    ("SwiGLU", false, |tokens| {
        let config = GluConfig { channels: CHANNELS, inside: 8 * CHANNELS / 3, gate: Gate::Silu };
        let glu = config.init(&Device::flex())?;
        Ok(layer(glu, [1, tokens, CHANNELS], |glu, x| drop(black_box(glu.forward(x)))))
    }),
];

/// Height and width of so many pixels, a power of two.
fn picture(tokens: usize) -> [usize; 2] {
    let height = 1 << (tokens.ilog2() / 2);
    [height, tokens / height]
}

fn layer<L: Describe + 'static, const D: usize>(layer: L, shape: [usize; D], run: fn(&L, Tensor<D>)) -> Layer {
    let multiply_adds = Audit::of(&layer, &shape[1..]).multiply_adds;
    let numbers = (0..shape.iter().product()).map(|i: usize| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
    let x = Tensor::from_data(TensorData::new(numbers, shape), &Device::flex());
    Layer { multiply_adds, run: Box::new(move || run(&layer, x.clone())) }
}

/// Seconds of the best run.
fn measure(run: &dyn Fn(), seconds: f64) -> f64 {
    run();
    let (mut best, mut runs, begin) = (f64::INFINITY, 0, Instant::now());
    while runs < 2 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

/// Seconds for each length, as far as they were measured.
struct Curve {
    name: String,
    seconds: Vec<f64>,
    multiply_adds: Vec<usize>,
}

impl Curve {
    fn of((name, has_matrix, make): Operator, effort: Effort) -> Result<Self> {
        let mut curve = Curve { name: name.into(), seconds: Vec::new(), multiply_adds: Vec::new() };
        for tokens in LENGTHS {
            // Twice the tokens take at most four times as long.
            let last = curve.seconds.last().copied().unwrap_or(0.0);
            if 4.0 * last > effort.patience && curve.is_quadratic()
                || last > effort.patience
                || has_matrix && tokens * tokens > ENTRIES
            {
                break;
            }
            let layer = make(tokens)?;
            curve.seconds.push(measure(&layer.run, effort.seconds));
            curve.multiply_adds.push(layer.multiply_adds);
        }
        Ok(curve)
    }

    fn is_quadratic(&self) -> bool {
        self.multiply_adds.windows(2).last().is_some_and(|pair| pair[1] > 3 * pair[0])
    }

    /// Slope of log seconds over log tokens, by least squares.
    fn exponent(&self) -> Option<f64> {
        let first = self.seconds.len().checked_sub(FITTED)?;
        let points = LENGTHS.iter().zip(&self.seconds).skip(first).map(|(x, y)| ((*x as f64).ln(), y.ln()));
        let mean = |of: fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / FITTED as f64;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let slope = |of: &dyn Fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>();
        Some(slope(&|p| (p.0 - x) * (p.1 - y)) / slope(&|p| (p.0 - x).powi(2)))
    }

    /// The length from which on it is faster wherever both were measured.
    fn faster_from(&self, rival: &Curve) -> Option<usize> {
        let both = LENGTHS.iter().zip(self.seconds.iter().zip(&rival.seconds));
        let faster = both.rev().take_while(|(_, (own, other))| own < other);
        faster.last().map(|(tokens, _)| *tokens)
    }

    fn json(&self, rivals: &[Curve]) -> String {
        let from = rivals.iter().map(|rival| number(self.faster_from(rival)));
        format!(
            r#"{{"name": "{}", "seconds": {:?}, "multiply_adds": {:?}, "exponent": {}, "faster_from": [{}]}}"#,
            self.name,
            self.seconds,
            self.multiply_adds,
            number(self.exponent()),
            from.collect::<Vec<_>>().join(", ")
        )
    }

    fn print(&self, rivals: &[Curve]) {
        let time = |index| self.seconds.get(index).map(|seconds| format!("{:.3}", seconds * 1e3));
        let times = (0..LENGTHS.len()).map(|index| format!("{:>9}", time(index).unwrap_or_else(|| "-".into())));
        let exponent = self.exponent().map_or("-".into(), |exponent| format!("{exponent:.2}"));
        let from = rivals.iter().map(|rival| self.faster_from(rival).map_or("-".into(), |tokens| tokens.to_string()));
        let from = from.map(|from| format!("{from:>8}")).collect::<String>();
        println!("{:18}{}{exponent:>10}{from}", self.name, times.collect::<String>());
    }
}

fn number(value: Option<impl Display>) -> String {
    value.map_or("null".into(), |value| value.to_string())
}

/// Attention, alone and with its linear maps; nothing where no PyTorch is found.
fn attention(threads: usize, effort: Effort) -> Vec<Curve> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pairwise_rivals.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let numbers = [threads as f64, CHANNELS as f64, effort.seconds, effort.patience].map(|number| number.to_string());
    let lengths = LENGTHS.map(|tokens| tokens.to_string());
    let output = Command::new(&python).arg(script).args(numbers).args(lengths).stderr(Stdio::inherit()).output();
    let lines = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(_) => String::new(),
        Err(error) => {
            eprintln!("{python}: {error}");
            String::new()
        }
    };
    let curve = |line: &str| {
        let (name, seconds) = line.split_once(':')?;
        let seconds = seconds.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<f64>>>()?;
        Some(Curve { name: name.into(), seconds, multiply_adds: Vec::new() })
    };
    lines.lines().filter_map(curve).collect()
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_quick = std::env::args().any(|word| word == "--quick");
    let effort =
        if is_quick { Effort { patience: 0.1, seconds: 0.02 } } else { Effort { patience: 2.0, seconds: 0.25 } };
    let threads = rayon::current_num_threads();
    println!("{threads} threads, {CHANNELS} channels; milliseconds, exponent, faster than each kind of attention from");
    let lengths = LENGTHS.map(|tokens| format!("{tokens:>9}")).concat();
    println!("{:18}{lengths}{:>10}{:>8}{:>8}", "tokens", "exponent", "alone", "layer");
    let rivals = attention(threads, effort);
    rivals.iter().for_each(|rival| rival.print(&[]));
    let mut curves = Vec::new();
    for operator in OPERATORS.into_iter().filter(|(name, ..)| name.contains(&words.join(" "))) {
        let curve = Curve::of(operator, effort)?;
        curve.print(&rivals);
        curves.push(curve);
    }
    let list = |curves: &[Curve]| curves.iter().map(|curve| curve.json(&rivals)).collect::<Vec<_>>().join(",\n  ");
    let json = format!(
        "{{\"threads\": {threads}, \"channels\": {CHANNELS}, \"tokens\": {LENGTHS:?},\n \
         \"attention\": [\n  {}],\n \"operators\": [\n  {}]}}\n",
        list(&rivals),
        list(&curves)
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("pairwise.json"), json));
    written.map_err(|error| Error::config("bench", format!("{}: {error}", folder.display())))
}
