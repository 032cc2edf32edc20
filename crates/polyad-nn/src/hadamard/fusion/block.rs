//! BLOCK: a bilinear form whose core is block-diagonal, each block a sum of few products (Ben-younes et al., arXiv
//! 1902.00038).
//!
//! Chunks are normalised before they are joined, the public code's default. Its signed root has a NaN gradient at 0;
//! ours has not ([`signed_root`]).

use super::mutan::RankSum;
use super::signed_root::{self, signed_root_of_unit_length};
use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Block`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of each projection, h. Published: 1600.
    pub hidden: usize,
    /// Chunks into which a projection is cut, C. Published: 20.
    pub chunks: usize,
    /// Products that are summed in each chunk, R. Published: 15.
    pub rank: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `z_c = norm(Σ_r (A_cr x̂_c) ∘ (B_cr ŷ_c))` for each chunk c of `x̂ = Ux`, `ŷ = Vy`; output `P[z_1; …; z_C]`.
///
/// The norm is the signed root, then unit length. Chunks have `s = ⌈h/C⌉` numbers, the last one what is left.
/// Parameters where C divides h: `(a+b+2)h + 2C(s+1)sR + (h+1)o`.
#[derive(Module, Debug)]
pub struct Block {
    /// U, `[a, h]`.
    pub x: Linear,
    /// V, `[b, h]`.
    pub y: Linear,
    /// A and B of each chunk.
    pub chunks: Vec<RankSum>,
    /// P, `[h, o]`.
    pub output: Linear,
}

impl BlockConfig {
    /// How many numbers each chunk has. Chunks that would be empty are refused.
    pub fn chunk_sizes(&self) -> Result<Vec<usize>> {
        let BlockConfig { hidden, chunks, .. } = *self;
        nonzero("BLOCK", &[("hidden", hidden), ("chunks", chunks)])?;
        let size = hidden.div_ceil(chunks);
        if (chunks - 1).saturating_mul(size) >= hidden {
            let problem = format!("hidden {hidden} in chunks of {size} makes fewer than {chunks} chunks");
            return Err(Error::config("BLOCK", problem));
        }
        Ok((0..chunks).map(|chunk| size.min(hidden - chunk * size)).collect())
    }

    /// Makes the layer. Sizes of zero and empty chunks are refused.
    pub fn init(&self, device: &Device) -> Result<Block> {
        let BlockConfig { a, b, hidden, rank, outputs, .. } = *self;
        nonzero("BLOCK", &[("a", a), ("b", b), ("rank", rank), ("outputs", outputs)])?;
        let sizes = self.chunk_sizes()?;
        Ok(Block {
            x: LinearConfig::new(a, hidden).init(device),
            y: LinearConfig::new(b, hidden).init(device),
            chunks: sizes.into_iter().map(|size| RankSum::new(size, rank, device)).collect(),
            output: LinearConfig::new(hidden, outputs).init(device),
        })
    }
}

impl Block {
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, o]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (x, y) = (self.x.forward(x), self.y.forward(y));
        let mut start = 0;
        let chunks = self.chunks.iter().map(|chunk| {
            let size = chunk.x.weight.shape()[0];
            let [x, y] = [&x, &y].map(|x| x.clone().narrow(1, start, size));
            start += size;
            signed_root_of_unit_length(chunk.forward(x, y))
        });
        self.output.forward(Tensor::cat(chunks.collect(), 1))
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let (x, y) = (trace.linear("x", &self.x, x), trace.linear("y", &self.y, y));
        let chunks = self.chunks.iter().enumerate().map(|(index, chunk)| {
            trace.within(format!("chunks.{index}"), |trace| {
                let [x, y] = [&x, &y].map(|x| x.view(&[chunk.x.weight.shape()[0]]));
                let z = chunk.describe(trace, &x, &y);
                signed_root::describe(trace, &z)
            })
        });
        let chunks: Vec<Signal> = chunks.collect();
        let joined = trace.relocate("concatenate", &chunks.iter().collect::<Vec<_>>(), x.shape());
        trace.linear("output", &self.output, &joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, golden, gradients, numbers, parameters, saves_and_loads, wave};

    /// Chunks of 3, 3 and 1.
    const CONFIG: BlockConfig = BlockConfig { a: 5, b: 4, hidden: 7, chunks: 3, rank: 2, outputs: 2 };

    #[test]
    fn it_is_a_mutan_core_for_each_chunk() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // xh, yh = F.linear(x, v(0, 7, 5), v(1, 7)), F.linear(y, v(2, 7, 4), v(3, 7)); k = 4
        // for s in (3, 3, 1):
        //     A, B = [F.linear(c, v(k + i, 2 * s, s), v(k + i + 1, 2 * s)) for c, i in ((xh chunk, 0), (yh chunk, 2))]
        //     z = (A * B).view(2, 2, s).sum(1); zs += [F.normalize(z.sign() * z.abs().sqrt())]; k += 4
        // F.linear(cat(zs, 1), v(16, 2, 7), v(17, 2))
        let device = Device::flex();
        let layer = golden(CONFIG.init(&device).expect("sizes"));
        let out = layer.forward(wave([2, 5], 0.9, &device), wave([2, 4], 1.3, &device));
        close(&numbers(out), &[-1.032473877135392, -0.66668771344459, -0.329696552649788, -0.324280979282318], 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let layer = || golden(BlockConfig { chunks: 2, ..CONFIG }.init(&device).expect("sizes"));
        let (x, y) = (wave([3, 5], 0.8, &device), wave([3, 4], 0.5, &device));
        gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let count = |config: BlockConfig| {
            let layer = config.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[5]), trace.input(&[4]));
            let out = layer.describe(&mut trace, &x, &y);
            let audit = trace.audit(&out);
            assert_eq!(audit.parameters, parameters(&layer));
            assert_eq!(audit.log2_degree, None);
            (audit.parameters, audit.multiply_adds, audit.ciphertext_products)
        };
        // C = 2 divides h = 6: chunks of 3, rank 2.
        let (parameters, multiply_adds, products) = count(BlockConfig { hidden: 6, chunks: 2, ..CONFIG });
        assert_eq!(parameters, (5 + 4 + 2) * 6 + 2 * 2 * 4 * 3 * 2 + 7 * 2);
        assert_eq!((multiply_adds, products), (9 * 6 + 2 * 2 * 3 * 3 * 2 + 6 * 2, 6 * 2));
        let uneven = 2 * 2 * (4 * 3 + 4 * 3 + 2);
        assert_eq!(count(CONFIG).0, (5 + 4 + 2) * 7 + uneven + 8 * 2);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || CONFIG.init(&device).expect("sizes");
        let forward = |layer: &Block| layer.forward(Tensor::ones([2, 5], &device), Tensor::ones([2, 4], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn empty_chunks_are_refused() {
        let refused = |hidden, chunks| {
            let config = BlockConfig { hidden, chunks, ..CONFIG };
            config.init(&Device::flex()).expect_err("empty chunks").to_string()
        };
        assert_eq!(refused(10, 7), "BLOCK: hidden 10 in chunks of 2 makes fewer than 7 chunks");
        assert_eq!(refused(3, 4), "BLOCK: hidden 3 in chunks of 1 makes fewer than 4 chunks");
        assert_eq!(refused(3, 0), "BLOCK: chunks is 0");
    }
}
