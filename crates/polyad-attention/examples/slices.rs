//! Attention over causal triples, on slices: `cargo run --release --example slices`.

use polyad_attention::{
    Error, Gradients, Inputs, Problem, Upstream, backward, backward_workspace, forward, forward_workspace,
};

fn main() -> Result<(), Error> {
    let (n, d) = (256, 64);
    let problem = Problem { causal: true, ..Problem::new(3, n, d, 1.0 / 8.0) };
    let level = polyad_simd::level();
    // Any numbers; a model has its own.
    let tokens =
        |seed: usize| (0..n * d).map(|i| ((i * 37 + seed * 101) % 211) as f32 / 105.0 - 1.0).collect::<Vec<_>>();
    let [q, k1, k2, v1, v2] = [1, 2, 3, 4, 5].map(tokens);
    let (keys, values) = ([&k1[..], &k2[..]], [&v1[..], &v2[..]]);
    let inputs = Inputs::new(&q, &keys, &values);

    let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
    let mut workspace = vec![0.0; forward_workspace(&problem)?];
    forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, level)?;
    println!("the last query's lse over {} pairs of keys: {:.3}", n * n, lse[n - 1]);

    // The gradient of the sum of all outputs.
    let dout = vec![1.0; out.len()];
    let [mut dq, mut dk1, mut dk2, mut dv1, mut dv2] = [(); 5].map(|()| vec![0.0; n * d]);
    let mut gradients = Gradients {
        q: &mut dq,
        keys: vec![&mut dk1, &mut dk2],
        values: vec![&mut dv1, &mut dv2],
        biases: Vec::new(),
        sink: None,
    };
    let upstream = Upstream { out: &out, lse: &lse, dout: &dout, dlse: None };
    let mut workspace = vec![0.0; backward_workspace(&problem, &inputs)?];
    backward(&problem, &inputs, &upstream, &mut gradients, &mut workspace, level)?;
    println!("the first value's gradient: {:?} ..", &dv1[..4]);
    Ok(())
}
