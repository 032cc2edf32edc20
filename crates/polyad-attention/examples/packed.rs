//! Sequences of different lengths in one buffer, tokens outside heads, as a projection gives them:
//! `cargo run --release --example packed`.

use polyad_attention::{Error, Inputs, Problem, forward, forward_workspace};

fn main() -> Result<(), Error> {
    let (heads, d) = (4, 32);
    // Where each sequence begins, and the end of the last. Nothing is padded: the cost is the sum of the sequences'.
    let offsets = vec![0, 50, 57, 200];
    let tokens = offsets[offsets.len() - 1];
    let problem = Problem {
        heads,
        key_heads: heads,
        causal: true,
        packed: vec![offsets.clone(); 3],
        ..Problem::new(3, tokens, d, 1.0 / 8.0)
    }
    .tokens_outside();
    // Any numbers, [tokens, heads, d]; a model has its own.
    let array = |seed: usize| -> Vec<f32> {
        (0..tokens * heads * d).map(|i| ((i * 37 + seed * 101) % 211) as f32 / 105.0 - 1.0).collect()
    };
    let [q, k1, k2, v1, v2] = [1, 2, 3, 4, 5].map(array);
    let (keys, values) = ([&k1[..], &k2[..]], [&v1[..], &v2[..]]);
    let (mut out, mut lse) = (vec![0.0; problem.out_numbers()], vec![0.0; problem.rows()]);
    let mut workspace = vec![0.0; forward_workspace(&problem)?];
    let inputs = Inputs::new(&q, &keys, &values);
    forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, polyad_simd::level())?;
    // lse is [heads, tokens].
    for pair in offsets.windows(2) {
        println!("{} tokens: lse of the first head's last {:.3}", pair[1] - pair[0], lse[pair[1] - 1]);
    }
    Ok(())
}
