//! How near attention comes to the machine's multiply-add peak:
//! `cargo bench -p polyad-attention --bench attention [-- SET] [only WORDS] [--json FILE]`, the words being part of a line's
//! name. A minute or two without a set; each set, and `all` but `rivals`, stays under ten minutes on two cores:
//!
//! | set | lines |
//! |---|---|
//! | (none) | one of each kind: forms, masks, orders, layouts, packed sequences, decoding |
//! | `grid` | order 3, n 128 and 1,024, d 32, 64 and 128, dense, causal, window 512 x 32, both precisions |
//! | `all` | both |
//! | `rivals` | what `attention_rivals.py` compares |
//!
//! Each line: operations a second over the peak measured in the same run (best of several, in turn, so that a busy
//! moment spoils none); for bfloat16 that of the level's bfloat16 instruction, where it has one. Operations are counted
//! for visible tuples only: `2 (d + d_v)` each forward, three times that backward (two and a half at order 2).
//! `RAYON_NUM_THREADS=1` measures one core. With `--json FILE` the numbers go there too.

use half::bf16;
use polyad_attention::{
    Element, Gradients, Inputs, Problem, ScoreForm, Upstream, backward, backward_workspace, forward, forward_workspace,
};
use polyad_simd::peak::{half_multiply_add_rate, multiply_add_rate};
use polyad_simd::{Level, level};
use std::time::Instant;

#[derive(Clone)]
struct Case {
    name: String,
    problem: Problem,
    half: bool,
}

/// What PyTorch is compared on.
fn compared() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, d) in [(128, 32), (256, 64), (256, 128), (512, 64)] {
        let problem = Problem::new(3, n, d, (d as f32).powf(-0.5));
        cases.push(Case { name: format!("dense n {n} d {d}"), problem, half: false });
    }
    let base = Problem::new(3, 256, 64, 0.125);
    cases.extend(halves());
    cases.push(Case { name: "causal n 256 d 64".into(), problem: Problem { causal: true, ..base }, half: false });
    for (name, heads, causal) in [("", 1, false), (", 8 heads", 8, false), (", 8 heads, causal", 8, true)] {
        let problem = Problem { heads, key_heads: heads, causal, ..Problem::new(2, 1024, 64, 0.125) };
        cases.push(Case { name: format!("order 2 n 1024 d 64{name}"), problem, half: false });
    }
    cases
}

fn halves() -> Vec<Case> {
    let case = |(n, d, causal): (usize, usize, bool)| {
        let problem = Problem { causal, ..Problem::new(3, n, d, (d as f32).powf(-0.5)) };
        let name = format!("{} n {n} d {d}, bfloat16", if causal { "causal" } else { "dense" });
        Case { name, problem, half: true }
    };
    let sizes = [(128, 32, false), (256, 64, false), (256, 128, false), (512, 64, false), (256, 64, true)];
    sizes.into_iter().map(case).collect()
}

/// One of each kind.
fn usual() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, problem: Problem| cases.push(Case { name: name.into(), problem, half: false });
    for (n, d) in [(128, 32), (256, 64), (256, 128), (512, 64)] {
        add(&format!("dense n {n} d {d}"), Problem::new(3, n, d, (d as f32).powf(-0.5)));
    }
    let base = Problem::new(3, 256, 64, 0.125);
    add("causal n 256 d 64", Problem { causal: true, ..base.clone() });
    add(
        "window 512x32 n 1024 d 64",
        Problem { causal: true, windows: WINDOWS.into(), ..Problem::new(3, 1024, 64, 0.125) },
    );
    for form in [ScoreForm::Strassen, ScoreForm::Determinant, ScoreForm::Tree] {
        add(&format!("{} n 256 d 64", form.name()), Problem { form, ..base.clone() });
    }
    add("order 4 n 64 d 64", Problem::new(4, 64, 64, 0.125));
    let pairs = Problem::new(2, 1024, 64, 0.125);
    let heads = Problem { heads: 8, key_heads: 8, ..pairs.clone() };
    add("order 2 n 1024 d 64", pairs);
    add("order 2 n 1024 d 64, 8 heads", heads.clone());
    add("order 2 n 1024 d 64, [n, 8 heads, d]", heads.tokens_outside());
    add("n 256 d 64, [n, 2 heads, d]", Problem { heads: 2, key_heads: 2, ..base.clone() }.tokens_outside());
    let ends = [0, 256, 304, 432, 448, 640, 657, 960, 1024];
    let packed = Problem { causal: true, packed: vec![ends.to_vec(); 3], ..Problem::new(3, 1024, 64, 0.125) };
    add("8 packed of 16 to 303, causal d 64", packed);
    add("decode 1 against 1024x1024 d 64", Problem { queries: 1, ..Problem::new(3, 1024, 64, 0.125) });
    cases.extend(halves());
    cases
}

const WINDOWS: [Option<usize>; 2] = [Some(512), Some(32)];

/// Sizes by widths by masks by precisions.
fn grid() -> Vec<Case> {
    let mut cases = Vec::new();
    for half in [false, true] {
        for n in [128, 1024] {
            for d in [32, 64, 128] {
                let dense = Problem::new(3, n, d, (d as f32).powf(-0.5));
                let causal = Problem { causal: true, ..dense.clone() };
                let windowed = Problem { windows: WINDOWS.into(), ..causal.clone() };
                for (mask, problem) in [("dense", dense), ("causal", causal), ("window 512x32", windowed)] {
                    let name = format!("grid {mask} n {n} d {d}{}", if half { ", bfloat16" } else { "" });
                    cases.push(Case { name, problem, half });
                }
            }
        }
    }
    cases
}

/// Visible tuples of all heads.
fn visible(problem: &Problem) -> f64 {
    if let Some(ends) = problem.packed.first() {
        let one = |ends: &[usize]| {
            let tokens = ends[1] - ends[0];
            let keys = vec![tokens; problem.keys.len()];
            visible(&Problem { queries: tokens, keys, packed: Vec::new(), ..problem.clone() })
        };
        return ends.windows(2).map(one).sum();
    }
    let of_query = |query: usize| {
        let of_axis = |axis: usize| {
            let (low, high) = problem.visible(axis, query);
            (high - low) as f64
        };
        (0..problem.keys.len()).map(of_axis).product::<f64>()
    };
    (0..problem.queries).map(of_query).sum::<f64>() * (problem.batch * problem.heads) as f64
}

fn numbers<E: Element>(count: usize, seed: u64) -> Vec<E> {
    let number =
        |i: usize| ((i as u64 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    (0..count).map(|i| E::narrow(number(i))).collect()
}

fn peak(level: Level, half: bool) -> f64 {
    let rate = if half && level >= Level::Avx512Bf16 { half_multiply_add_rate } else { multiply_add_rate };
    rayon::broadcast(|_| rate(level)).into_iter().sum()
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Operations of forward, and the best seconds of forward and of backward.
fn time<E: Element>(problem: &Problem, level: Level, best_peak: &mut f64) -> (f64, f64, f64) {
    let axes = problem.keys.len();
    let q: Vec<E> = numbers(problem.query_numbers(), 1);
    let keys: Vec<Vec<E>> = (0..axes).map(|a| numbers(problem.key_numbers(a), 2 + a as u64)).collect();
    let values: Vec<Vec<E>> = (0..axes).map(|a| numbers(problem.value_numbers(a), 9 + a as u64)).collect();
    let dout: Vec<E> = numbers(problem.out_numbers(), 20);
    let key_slices: Vec<&[E]> = keys.iter().map(Vec::as_slice).collect();
    let value_slices: Vec<&[E]> = values.iter().map(Vec::as_slice).collect();
    let inputs = Inputs::new(&q, &key_slices, &value_slices);
    let (mut out, mut lse) = (vec![E::narrow(0.0); problem.out_numbers()], vec![0.0; problem.rows()]);
    let mut workspace = vec![0.0; forward_workspace(problem).expect("a good problem")];
    let mut more = vec![0.0; backward_workspace(problem, &inputs).expect("a good problem")];
    let (mut dq, mut dk, mut dv) = (q.clone(), keys.clone(), values.clone());
    let operations = 2.0 * (problem.width + problem.value_width) as f64 * visible(problem);
    let runs = ((3e10 / operations) as usize).clamp(2, 30);
    let (mut forth, mut back) = (f64::MAX, f64::MAX);
    for _ in 0..runs {
        *best_peak = best_peak.max(peak(level, E::IS_BFLOAT16));
        forth = forth.min(timed(|| {
            forward(problem, &inputs, &mut out, &mut lse, &mut workspace, level).expect("a good problem");
        }));
        let upstream = Upstream { out: &out, lse: &lse, dout: &dout, dlse: None };
        let mut gradients = Gradients {
            q: &mut dq,
            keys: dk.iter_mut().map(Vec::as_mut_slice).collect(),
            values: dv.iter_mut().map(Vec::as_mut_slice).collect(),
            biases: Vec::new(),
            sink: None,
        };
        back = back.min(timed(|| {
            backward(problem, &inputs, &upstream, &mut gradients, &mut more, level).expect("a good problem");
        }));
    }
    (operations, forth, back)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| words.iter().any(|w| w == word);
    let only = words.iter().position(|w| w == "only").and_then(|at| words.get(at + 1)).cloned().unwrap_or_default();
    let json = words.iter().position(|w| w == "--json").and_then(|at| words.get(at + 1)).cloned();
    let level = level();
    let mut peaks = [false, true].map(|half| peak(level, half));
    let mut results = Vec::new();
    println!("{level}, {} threads", rayon::current_num_threads());
    let chosen = match (said("rivals"), said("all"), said("grid")) {
        (true, ..) => compared(),
        (_, true, _) => [usual(), grid()].concat(),
        (.., true) => grid(),
        _ => usual(),
    };
    for Case { name, problem, half } in chosen.into_iter().filter(|case| case.name.contains(&only)) {
        let peak = &mut peaks[usize::from(half)];
        let (operations, forth, back) = match half {
            true => time::<bf16>(&problem, level, peak),
            false => time::<f32>(&problem, level, peak),
        };
        println!(
            "{name:<38} forward {:>6.1} % of peak {:>9.2} ms   backward {:>6.1} % {:>5.2} x forward",
            100.0 * operations / forth / *peak,
            forth * 1e3,
            100.0 * operations * if problem.order() == 2 { 2.5 } else { 3.0 } / back / *peak,
            back / forth,
        );
        results.push(serde_json::json!({ "name": name, "forward": forth, "backward": back, "operations": operations }));
    }
    println!("peak {:.1} GFLOP/s, of bfloat16 {:.1}", peaks[0] * 1e-9, peaks[1] * 1e-9);
    if let Some(file) = json {
        let all = serde_json::json!({ "peak": peaks[0], "half_peak": peaks[1], "cases": results });
        std::fs::write(file, all.to_string()).expect("the file can be written");
    }
}
