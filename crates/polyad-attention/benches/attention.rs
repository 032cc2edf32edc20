//! How near attention comes to the machine's multiply-add peak:
//! `cargo bench --workspace --bench attention [-- all] [only WORDS]`, the words being part of a line's name; `rivals` for
//! the lines that `attention_rivals.py` compares.
//!
//! Each line: operations a second over the peak measured in the same run (best of several, in turn, so that a busy
//! moment spoils none); for bfloat16 that of the level's bfloat16 instruction, where it has one. Operations are counted for visible tuples only: `2 (d + d_v)` each forward, three times that
//! backward. `RAYON_NUM_THREADS=1` measures one core. With `--json FILE` the numbers go there too.

use half::bf16;
use polyad_attention::{
    Element, Gradients, Inputs, Problem, ScoreForm, Upstream, backward, backward_workspace, forward, forward_workspace,
};
use polyad_simd::peak::{half_multiply_add_rate, multiply_add_rate};
use polyad_simd::{Level, level};
use std::time::Instant;

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

fn cases(all: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, problem: Problem| cases.push(Case { name, problem, half: false });
    let sizes: &[(usize, usize)] = if all {
        &[
            (128, 32),
            (256, 32),
            (512, 32),
            (128, 64),
            (256, 64),
            (512, 64),
            (1024, 64),
            (128, 128),
            (256, 128),
            (512, 128),
        ]
    } else {
        &[(128, 32), (256, 64), (256, 128), (512, 64)]
    };
    for &(n, d) in sizes {
        add(format!("dense n {n} d {d}"), Problem::new(3, n, d, (d as f32).powf(-0.5)));
    }
    let (n, d) = if all { (512, 64) } else { (256, 64) };
    let base = Problem::new(3, n, d, (d as f32).powf(-0.5));
    add(format!("causal n {n} d {d}"), Problem { causal: true, ..base.clone() });
    let windows = vec![Some(512), Some(32)];
    add("window 512x32 n 1024 d 64".into(), Problem { causal: true, windows, ..Problem::new(3, 1024, 64, 0.125) });
    for form in [ScoreForm::Strassen, ScoreForm::Determinant, ScoreForm::Tree] {
        add(format!("{} n 256 d 64", form.name()), Problem { form, ..Problem::new(3, 256, 64, 0.125) });
    }
    add("order 4 n 64 d 64".into(), Problem::new(4, 64, 64, 0.125));
    add("order 2 n 1024 d 64".into(), Problem::new(2, 1024, 64, 0.125));
    add("order 2 n 1024 d 64, 8 heads".into(), Problem { heads: 8, key_heads: 8, ..Problem::new(2, 1024, 64, 0.125) });
    add("decode 1 against 1024x1024 d 64".into(), Problem { queries: 1, ..Problem::new(3, 1024, 64, 0.125) });
    cases.extend(halves());
    cases
}

/// Visible tuples of all heads.
fn visible(problem: &Problem) -> f64 {
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
    let runs = ((3e10 / operations) as usize).clamp(3, 30);
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
    let chosen = if said("rivals") { compared() } else { cases(said("all")) };
    for Case { name, problem, half } in chosen.into_iter().filter(|case| case.name.contains(&only)) {
        let peak = &mut peaks[usize::from(half)];
        let (operations, forth, back) = match half {
            true => time::<bf16>(&problem, level, peak),
            false => time::<f32>(&problem, level, peak),
        };
        println!(
            "{name:<34} forward {:>6.1} % of peak {:>9.2} ms   backward {:>6.1} % {:>5.2} x forward",
            100.0 * operations / forth / *peak,
            forth * 1e3,
            300.0 * operations / back / *peak,
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
