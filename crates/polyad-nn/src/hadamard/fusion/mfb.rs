//! MFB: factorised bilinear pooling (Yu et al., arXiv 1708.01471); MFH: several blocks of it, each multiplied by the
//! one before (Yu et al., arXiv 1708.03619).
//!
//! As the authors publish it: no activation, dropout before pooling, and the block that follows is multiplied by
//! products that are dropped but not yet pooled. Each block's pooled numbers are normalised apart. (Another public
//! version defaults to ReLU and pools of 2.)

use super::signed_root::{self, signed_root_of_unit_length};
use crate::error::{Result, nonzero, probability};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How an [`Mfb`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MfbConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Numbers of a block after pooling, h. Published: 1000.
    pub hidden: usize,
    /// Neighbouring products that are summed, k. Published: 5.
    pub pool: usize,
    /// Blocks, p: 1 is MFB, more are MFH. Published: 2.
    pub blocks: usize,
    /// Share of products that are dropped in training. Published: 0.1.
    pub dropout: f64,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// `z_i = drop((U_i x ∘ V_i y) ∘ z_{i−1})` with `z_0 = 1`; output `P[norm(pool z_1); …; norm(pool z_p)]`. All maps with
/// biases.
///
/// Pooling sums k numbers that stand side by side; the norm is the signed root, then unit length. Dropout is active on
/// autodiff devices, unless the layer is frozen. Parameters: `p(a+b+2)hk + (ph+1)o`.
#[derive(Module, Debug)]
pub struct Mfb {
    /// The U, each `[a, h k]`.
    pub x: Vec<Linear>,
    /// The V, each `[b, h k]`.
    pub y: Vec<Linear>,
    /// Of the products.
    pub dropout: Dropout,
    /// P, `[p h, o]`.
    pub output: Linear,
    pool: usize,
}

impl MfbConfig {
    /// Makes the layer, its weights as Glorot and Bengio draw them. Sizes of zero and a dropout outside [0, 1) are
    /// refused.
    pub fn init(&self, device: &Device) -> Result<Mfb> {
        let MfbConfig { a, b, hidden, pool, blocks, dropout, outputs } = *self;
        let sizes = [("a", a), ("b", b), ("hidden", hidden), ("pool", pool), ("blocks", blocks), ("outputs", outputs)];
        nonzero("MFB", &sizes)?;
        probability("MFB", "dropout", dropout)?;
        let linear = |inputs, outputs| {
            LinearConfig::new(inputs, outputs).with_initializer(Initializer::XavierUniform { gain: 1.0 }).init(device)
        };
        Ok(Mfb {
            x: (0..blocks).map(|_| linear(a, hidden * pool)).collect(),
            y: (0..blocks).map(|_| linear(b, hidden * pool)).collect(),
            dropout: DropoutConfig::new(dropout).init(),
            output: linear(blocks * hidden, outputs),
            pool,
        })
    }
}

impl Mfb {
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, o]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let blocks = self.products(x, y).into_iter().map(|z| signed_root_of_unit_length(self.pooled(z)));
        self.output.forward(Tensor::cat(blocks.collect(), 1))
    }

    /// The `z_i`, each `[n, h k]`.
    fn products(&self, x: Tensor<2>, y: Tensor<2>) -> Vec<Tensor<2>> {
        let mut products: Vec<Tensor<2>> = Vec::new();
        for (u, v) in self.x.iter().zip(&self.y) {
            let mut z = u.forward(x.clone()) * v.forward(y.clone());
            if let Some(before) = products.last() {
                z = z * before.clone();
            }
            products.push(self.dropout.forward(z));
        }
        products
    }

    /// `[n, h k]` to `[n, h]`.
    fn pooled(&self, z: Tensor<2>) -> Tensor<2> {
        let [n, numbers] = z.dims();
        z.reshape([n, numbers / self.pool, self.pool]).sum_dim(2).squeeze_dim(2)
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let mut z: Option<Signal> = None;
        let mut blocks = Vec::new();
        for (index, (u, v)) in self.x.iter().zip(&self.y).enumerate() {
            let (u, v) = (trace.linear(&format!("x.{index}"), u, x), trace.linear(&format!("y.{index}"), v, y));
            let mut product = trace.product("product", &u, &v);
            if let Some(before) = z {
                product = trace.product("product_with_block_before", &product, &before);
            }
            let pooled = trace.map("pool", 0, 0, &[&product], &[product.elements() / self.pool]);
            blocks.push(signed_root::describe(trace, &pooled));
            z = Some(product);
        }
        let width = blocks.iter().map(Signal::elements).sum();
        let joined = trace.relocate("concatenate", &blocks.iter().collect::<Vec<_>>(), &[width]);
        trace.linear("output", &self.output, &joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    const MFB: MfbConfig = MfbConfig { a: 5, b: 4, hidden: 3, pool: 2, blocks: 1, dropout: 0.1, outputs: 2 };
    const MFH: MfbConfig = MfbConfig { blocks: 3, ..MFB };

    #[test]
    fn one_block_is_what_pytorch_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // u, w = F.linear(x, v(0, 6, 5), v(1, 6)), F.linear(y, v(2, 6, 4), v(3, 6))
        // z = F.avg_pool1d(u * w, 2) * 2; F.linear(F.normalize(z.sign() * z.abs().sqrt()), v(4, 2, 3), v(5, 2))
        let device = Device::flex();
        let layer = golden(MFB.init(&device).expect("sizes"));
        let out = layer.forward(wave([2, 5], 0.9, &device), wave([2, 4], 1.3, &device));
        close(&numbers(out), &[-0.509637936393915, 0.833050500134013, 0.772195258234721, -0.542715559044609], 1e-12);
    }

    #[test]
    fn a_block_is_multiplied_by_the_products_before_it() {
        // As above; U have numbers 0, 2, 4 (biases 1, 3, 5), V 6, 8, 10, P 12; z = z * u * w before each pooling.
        let device = Device::flex();
        let layer = golden(MFH.init(&device).expect("sizes"));
        let out = layer.forward(wave([2, 5], 0.9, &device), wave([2, 4], 1.3, &device));
        close(&numbers(out), &[0.049028366517302, 0.02361226370227, 0.19266217783686, 0.177471394462069], 1e-12);
    }

    #[test]
    fn pooled_numbers_stand_side_by_side() {
        let layer = MFB.init(&Device::flex()).expect("sizes");
        let z = doubles(vec![1.0, 2.0, 10.0, 20.0, 100.0, 200.0], [1, 6], &Device::flex());
        close(&numbers(layer.pooled(z)), &[3.0, 30.0, 300.0], 0.0);
    }

    #[test]
    fn a_row_without_products_gives_the_bias_and_finite_gradients() {
        let device = Device::flex().autodiff();
        let mut layer = double(MFH.init(&device).expect("sizes"));
        layer.x.iter_mut().for_each(|linear| linear.bias = None);
        let x = doubles(vec![0.0; 5], [1, 5], &device).require_grad();
        let out = layer.forward(x.clone(), wave([1, 4], 1.3, &device));
        let bias = layer.output.bias.as_ref().expect("has one").val();
        close(&numbers(out.clone()), &numbers(bias), 1e-15);
        let gradients = out.sum().backward();
        assert!(numbers(x.grad(&gradients).expect("takes part")).iter().all(|x| x.is_finite()));
        let of_weight = layer.x[0].weight.grad(&gradients).expect("takes part");
        assert!(numbers(of_weight).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn in_training_a_dropped_product_is_missing_from_all_later_blocks() {
        let device = Device::flex().autodiff();
        let layer = MfbConfig { dropout: 0.5, ..MFH }.init(&device).expect("sizes");
        let (x, y) = (Tensor::ones([100, 5], &device), Tensor::ones([100, 4], &device));
        let zeros = |products: Vec<Tensor<2>>| -> Vec<Vec<bool>> {
            products.into_iter().map(|z| numbers(z).into_iter().map(|z| z == 0.0).collect()).collect()
        };
        let count = |dropped: &[bool]| dropped.iter().filter(|dropped| **dropped).count();
        let dropped = zeros(layer.products(x.clone(), y.clone()));
        for (before, after) in dropped.iter().zip(&dropped[1..]) {
            assert!(before.iter().zip(after).all(|(before, after)| *after || !before));
        }
        // Half of 600, then half of what is left: within five standard deviations of 12.
        for (dropped, expected) in dropped.iter().zip([300, 450, 525]) {
            assert!(count(dropped).abs_diff(expected) < 60, "{} of 600 dropped", count(dropped));
        }
        let kept = zeros(layer.valid().products(x.inner(), y.inner()));
        assert!(kept.iter().all(|dropped| count(dropped) == 0));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for config in [MFB, MFH] {
            let layer = || golden(config.init(&device).expect("sizes"));
            let (x, y) = (wave([2, 5], 0.9, &device), wave([2, 4], 1.3, &device));
            gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
            gradients(layer(), y.clone(), |layer, y| layer.forward(x.clone(), y));
        }
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        for (config, p) in [(MFB, 1), (MFH, 3)] {
            let layer = config.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[5]), trace.input(&[4]));
            let out = layer.describe(&mut trace, &x, &y);
            let audit = trace.audit(&out);
            assert_eq!(audit.parameters, parameters(&layer));
            assert_eq!(audit.parameters, p * (5 + 4 + 2) * 6 + (p * 3 + 1) * 2);
            assert_eq!(audit.multiply_adds, p * (5 + 4) * 6 + p * 3 * 2);
            assert_eq!((audit.ciphertext_products, audit.log2_degree), ((2 * p - 1) * 6, None));
            // The product of block p has degree 2p: of each block, one in x and one in y.
            let last = audit.layers.iter().rfind(|layer| layer.name == "pool").expect("pooled");
            assert_eq!(last.log2_degree.map(f64::exp2).map(f64::round), Some(2.0 * p as f64));
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || MFH.init(&device).expect("sizes");
        let forward = |layer: &Mfb| layer.forward(Tensor::ones([2, 5], &device), Tensor::ones([2, 4], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |config: MfbConfig| config.init(&Device::flex()).expect_err("cannot be").to_string();
        assert_eq!(refused(MfbConfig { pool: 0, ..MFB }), "MFB: pool is 0");
        assert_eq!(refused(MfbConfig { dropout: 1.0, ..MFB }), "MFB: dropout is 1, not in [0, 1)");
    }
}
