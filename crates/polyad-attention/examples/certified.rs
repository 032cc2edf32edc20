//! Attention of 16,384 tokens over all their triples, with a bound of every row's error:
//! `cargo run --release -p polyad-attention --example certified`.

use polyad_attention::polynomial::{Method, Options, Outputs, Tolerance, certified};
use polyad_attention::{Inputs, Problem, Result};

fn main() -> Result<()> {
    let (n, d) = (16_384, 16);
    // Entries within ±1, scale 1/d: scores within ±1.
    let numbers = |seed: usize| -> Vec<f32> {
        (0..n * d).map(|i| ((i * 2_654_435_761 + seed * 7_919) % 2_003) as f32 / 1_001.0 - 1.0).collect()
    };
    let [q, k1, v1, k2, v2] = [1, 2, 3, 4, 5].map(numbers);
    let problem = Problem { causal: true, ..Problem::new(3, n, d, 1.0 / d as f32) };
    let (keys, values) = ([&k1[..], &k2[..]], [&v1[..], &v2[..]]);
    let options = Options { method: Method::Auto, tolerance: Tolerance::Relative(1e-2), ..Options::default() };

    let (mut out, mut lse) = (vec![0.0; n * d], vec![0.0; n]);
    let (mut certificate, mut lse_certificate, mut method) = (vec![0.0; n], vec![0.0; n], vec![0; n]);
    let mut to = Outputs {
        out: &mut out,
        lse: &mut lse,
        certificate: &mut certificate,
        lse_certificate: &mut lse_certificate,
        method: &mut method,
    };
    let summary = certified(&problem, &Inputs::new(&q, &keys, &values), &options, &mut to, polyad_simd::level())?;
    let worst = certificate.iter().copied().fold(0.0, f32::max);
    println!("{} rows by polynomials of degree {}, {} exactly", summary.polynomial, summary.degree, summary.exact);
    println!("off by at most {worst:.1e}; the last row begins {:?}", &out[(n - 1) * d..][..4]);
    Ok(())
}
