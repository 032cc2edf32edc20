//! Decoding: one query after the other against caches with room to grow: `cargo run --release --example decode`.

use polyad_attention::{Error, Inputs, Problem, forward, forward_workspace};

fn main() -> Result<(), Error> {
    let (room, d) = (512, 64);
    let level = polyad_simd::level();
    let [mut k1, mut k2, mut v1, mut v2] = [(); 4].map(|()| vec![0.0f32; room * d]);
    let (mut out, mut lse) = (vec![0.0; d], vec![0.0; 1]);
    for token in 0..room {
        // What a model would make of the newest token.
        let numbers: Vec<f32> = (0..d).map(|l| ((token * 37 + l * 101) % 211) as f32 / 105.0 - 1.0).collect();
        for cache in [&mut k1, &mut k2, &mut v1, &mut v2] {
            cache[token * d..(token + 1) * d].copy_from_slice(&numbers);
        }
        // Only the first `keys` tokens of the caches are looked at.
        let problem =
            Problem { queries: 1, keys: vec![token + 1; 2], room: vec![room; 2], ..Problem::new(3, 1, d, 1.0 / 8.0) };
        let mut workspace = vec![0.0; forward_workspace(&problem)?];
        let (keys, values) = ([&k1[..], &k2[..]], [&v1[..], &v2[..]]);
        let inputs = Inputs::new(&numbers, &keys, &values);
        forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, level)?;
    }
    println!("after {room} tokens: lse {:.3}, out {:?} ..", lse[0], &out[..4]);
    Ok(())
}
