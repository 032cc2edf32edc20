//! scratch
use polyad_attention::polynomial::*;
use polyad_attention::{Inputs, Problem};
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: usize = a[1].parse().unwrap();
    let d: usize = a[2].parse().unwrap();
    let causal = a[3] == "causal";
    let range: f32 = a[4].parse().unwrap();
    let tol: f64 = a[5].parse().unwrap();
    let mut seed = 7u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((seed >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    };
    let mut v = |c: usize| (0..c).map(|_| next()).collect::<Vec<f32>>();
    let (q, k1, k2, v1, v2) = (v(n * d), v(n * d), v(n * d), v(n * d), v(n * d));
    let problem = Problem { causal, ..Problem::new(3, n, d, range / d as f32) };
    let (keys, values) = ([&k1[..], &k2[..]], [&v1[..], &v2[..]]);
    let inputs = Inputs::new(&q, &keys, &values);
    let (mut out, mut lse, mut c, mut lc, mut m) =
        (vec![0.0; n * d], vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0u8; n]);
    let method = if a.len() > 6 { Method::Auto } else { Method::Polynomial };
    let options = Options {
        tolerance: Tolerance::Relative(tol),
        exact_rows: if a.len() > 6 { 1.0 } else { 0.5 },
        method,
        ..Options::default()
    };
    for _ in 0..2 {
        let t = Instant::now();
        let s = certified(
            &problem,
            &inputs,
            &options,
            &mut Outputs {
                out: &mut out,
                lse: &mut lse,
                certificate: &mut c,
                lse_certificate: &mut lc,
                method: &mut m,
            },
            polyad_simd::level(),
        );
        println!(
            "{n} {d} {:?} {:.3} s, worst certificate {:e}",
            s,
            t.elapsed().as_secs_f64(),
            c.iter().fold(0.0f32, |a, b| a.max(*b))
        );
    }
}
