//! A layer of attention over triples in Burn, all tokens at once and then one by one:
//! `cargo run --release --example triples`.

use burn::tensor::{Device, Distribution, Tensor};
use polyad_nn::attention::{TensorAttentionCache, TensorAttentionConfig};

fn main() -> polyad_nn::Result<()> {
    let device = Device::flex();
    let config = TensorAttentionConfig { causal: true, qk_norm: true, ..TensorAttentionConfig::new(64, 4, 3) };
    let layer = config.init(&device)?;
    let x = Tensor::<3>::random([1, 32, 64], Distribution::Normal(0.0, 1.0), &device);
    let whole = layer.forward(x.clone(), None);

    let mut cache = TensorAttentionCache::default();
    let steps = (0..32).map(|token| layer.decode(x.clone().narrow(1, token, 1), &mut cache)).collect();
    let difference: f32 = (Tensor::cat(steps, 1) - whole).abs().max().into_scalar();
    println!("decoded token by token, {} in the cache: {difference:.1e} from all at once", cache.tokens());
    Ok(())
}
