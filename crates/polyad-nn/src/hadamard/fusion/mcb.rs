//! MCB: the outer product of two signals, counted into few buckets by hashes and signs that never change (Fukui et al.,
//! multimodal compact bilinear pooling, arXiv 1606.01847; Pham and Pagh, KDD 2013).
//!
//! The count sketch of an outer product is the circular convolution of its factors' sketches, which is how public code
//! computes it, always by a Fourier transform. Here that is done where the outer product is large. A small one is
//! counted as it is: cheaper, and buckets that nothing falls into are 0 and not rounding, which the signed root behind
//! would enlarge. Hashes and signs are drawn from a seed, and saved with the layer.

use super::signed_root::{self, signed_root_of_unit_length};
use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use crate::hadamard::fourier;
use burn::module::{Module, Param, ParamId};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

/// How an [`Mcb`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct McbConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Buckets, d. Published: 16,000.
    pub buckets: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
    /// Of hashes and signs.
    pub seed: u64,
}

/// `P norm(Ψ(x) ∗ Ψ(y))` with `Ψ_j(x) = Σ_{h(i) = j} s(i) x_i`, `∗` the circular convolution; P with biases.
///
/// The norm is the signed root, then unit length. `⟨Ψ(x) ∗ Ψ(y), Ψ(x') ∗ Ψ(y')⟩` is `⟨x, x'⟩ ⟨y, y'⟩` in expectation
/// over hashes and signs. Parameters: `(d+1)o`.
#[derive(Module, Debug)]
pub struct Mcb {
    /// Of x.
    pub x: CountSketch,
    /// Of y.
    pub y: CountSketch,
    /// P, `[d, o]`.
    pub output: Linear,
    buckets: usize,
}

/// Where each number is counted, and with which sign. Not trained.
#[derive(Module, Debug)]
pub struct CountSketch {
    /// h, `[numbers]`, each less than d.
    pub hashes: Param<Tensor<1, Int>>,
    /// s, `[numbers]`, each 1 or -1.
    pub signs: Param<Tensor<1, Int>>,
}

/// An outer product of up to so many numbers a bucket is counted as it is. There only one bucket in e⁸ is left empty,
/// and a Fourier transform, which holds about as many numbers a bucket, begins to need less memory.
const FEW: usize = 8;

/// SplitMix64 (Steele et al., OOPSLA 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl McbConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Mcb> {
        let McbConfig { a, b, buckets, outputs, seed } = *self;
        nonzero("MCB", &[("a", a), ("b", b), ("buckets", buckets), ("outputs", outputs)])?;
        let mut state = seed;
        Ok(Mcb {
            x: CountSketch::new(a, buckets, &mut state, device),
            y: CountSketch::new(b, buckets, &mut state, device),
            output: LinearConfig::new(buckets, outputs).init(device),
            buckets,
        })
    }
}

impl CountSketch {
    fn new(numbers: usize, buckets: usize, state: &mut u64, device: &Device) -> Self {
        let mut draw = |number: fn(u64, u64) -> i64| {
            let numbers: Vec<i64> = (0..numbers).map(|_| number(splitmix(state), buckets as u64)).collect();
            let len = numbers.len();
            Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(numbers, [len]), device))
        };
        CountSketch {
            hashes: draw(|random, buckets| (random % buckets) as i64),
            signs: draw(|random, _| if random % 2 == 0 { 1 } else { -1 }),
        }
    }

    /// `s ∘ x`
    fn signed(&self, x: Tensor<2>) -> Tensor<2> {
        let signs = self.signs.val().float().cast(x.dtype());
        x * signs.unsqueeze()
    }

    /// `[n, numbers]` to `[n, buckets]`.
    fn forward(&self, x: Tensor<2>, buckets: usize) -> Tensor<2> {
        counted(self.signed(x), self.hashes.val(), buckets)
    }
}

/// Sums of the numbers that fall into each bucket.
fn counted(x: Tensor<2>, hashes: Tensor<1, Int>, buckets: usize) -> Tensor<2> {
    let zeros = Tensor::zeros([x.dims()[0], buckets], (&x.device(), x.dtype()));
    zeros.select_assign(1, hashes, x, IndexingUpdateOp::Add)
}

impl Mcb {
    /// Both signals in one, before norm and output: `Ψ(x) ∗ Ψ(y)`.
    ///
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, d]`
    pub fn pool(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        if self.is_small() { self.by_outer_product(x, y) } else { self.by_convolution(x, y) }
    }

    fn is_small(&self) -> bool {
        self.x.hashes.shape()[0] * self.y.hashes.shape()[0] <= FEW * self.buckets
    }

    fn by_convolution(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        fourier::circular_convolution(self.x.forward(x, self.buckets), self.y.forward(y, self.buckets))
    }

    fn by_outer_product(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let ([n, a], [_, b]) = (x.dims(), y.dims());
        let products = self.x.signed(x).reshape([n, a, 1]) * self.y.signed(y).reshape([n, 1, b]);
        let hashes = self.x.hashes.val().reshape([a, 1]) + self.y.hashes.val().reshape([1, b]);
        let hashes = hashes.remainder_scalar(self.buckets as i64).reshape([a * b]);
        counted(products.reshape([n, a * b]), hashes, self.buckets)
    }

    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, o]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.output.forward(signed_root_of_unit_length(self.pool(x, y)))
    }

    /// Says each operation of `forward` to `trace`. Changes of sign are no products.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let buckets = [self.buckets];
        let pooled = if self.is_small() {
            let products =
                trace.matmul("outer_product", x, y, x.elements() * y.elements(), &[x.elements(), y.elements()]);
            trace.map("count", 0, 0, &[&products], &buckets)
        } else {
            let length = fourier::circular_length(self.buckets);
            let spectrum = [fourier::spectrum_numbers(length)];
            let transform = fourier::transform_multiply_adds(length);
            let [x, y] = [x, y].map(|x| {
                let sketch = trace.map("count", 0, 0, &[x], &buckets);
                trace.map("transform", 0, transform, &[&sketch], &spectrum)
            });
            // A product of two complex numbers, two numbers of the spectrum, is four products.
            let product = trace.matmul("product", &x, &y, 2 * spectrum[0], &spectrum);
            trace.map("transform_back", 0, transform, &[&product], &buckets)
        };
        let pooled = signed_root::describe(trace, &pooled);
        trace.linear("output", &self.output, &pooled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{close, double, gradients, numbers, parameters, saves_and_loads, wave};

    /// An outer product of 15 numbers: small for 7 buckets, large for 1.
    const CONFIG: McbConfig = McbConfig { a: 5, b: 3, buckets: 7, outputs: 2, seed: 3 };

    fn ints(x: &Param<Tensor<1, Int>>) -> Vec<i64> {
        x.val().into_data().convert::<i64>().try_into_vec().expect("whole numbers")
    }

    #[test]
    fn the_generator_is_splitmix64() {
        let mut state = 0;
        assert_eq!([splitmix(&mut state), splitmix(&mut state)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn both_forms_are_the_count_sketch_of_the_outer_product() {
        let device = Device::flex();
        for buckets in [1, 2, 7, 12, 16, 100] {
            let layer = double(McbConfig { buckets, ..CONFIG }.init(&device).expect("sizes"));
            let (x, y) = (wave::<2>([1, 5], 0.9, &device), wave::<2>([1, 3], 1.3, &device));
            let [h1, h2, s1, s2] = [&layer.x.hashes, &layer.y.hashes, &layer.x.signs, &layer.y.signs].map(ints);
            assert!(h1.iter().chain(&h2).all(|hash| (0..buckets as i64).contains(hash)));
            assert!(s1.iter().chain(&s2).all(|sign| sign.abs() == 1));
            let mut wanted = vec![0.0; buckets];
            for (i, x) in numbers(x.clone()).iter().enumerate() {
                for (j, y) in numbers(y.clone()).iter().enumerate() {
                    wanted[(h1[i] + h2[j]) as usize % buckets] += (s1[i] * s2[j]) as f64 * x * y;
                }
            }
            close(&numbers(layer.by_convolution(x.clone(), y.clone())), &wanted, 1e-14);
            close(&numbers(layer.by_outer_product(x.clone(), y.clone())), &wanted, 1e-15);
            close(&numbers(layer.pool(x, y)), &wanted, 1e-14);
        }
    }

    #[test]
    fn inner_products_are_right_in_expectation() {
        let device = Device::flex();
        let rows = |scale, numbers| wave::<2>([2, numbers], scale, &device);
        let (x, y) = (rows(0.9, 5), rows(1.3, 3));
        let inner = |x: &Tensor<2>| numbers(x.clone().narrow(0, 0, 1) * x.clone().narrow(0, 1, 1)).iter().sum::<f64>();
        let wanted = inner(&x) * inner(&y);
        assert!(wanted.abs() > 0.3, "the test must not look for 0: {wanted}");
        let draws: Vec<f64> = (0..1500)
            .map(|seed| double(McbConfig { seed, buckets: 16, ..CONFIG }.init(&device).expect("sizes")))
            .map(|layer| inner(&layer.pool(x.clone(), y.clone())))
            .collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        let error = (variance / draws.len() as f64).sqrt();
        assert!((mean - wanted).abs() < 3.0 * error, "{mean} ± {error}, not {wanted}");
        assert!(error < 0.1 * wanted.abs(), "too few draws: ± {error} of {wanted}");
    }

    #[test]
    fn a_seed_decides_hashes_and_signs() {
        let sketch = |seed| {
            let layer = McbConfig { seed, a: 40, buckets: 1000, ..CONFIG }.init(&Device::flex()).expect("sizes");
            (ints(&layer.x.hashes), ints(&layer.x.signs))
        };
        assert_eq!(sketch(5), sketch(5));
        assert_ne!(sketch(5).0, sketch(6).0);
        assert_ne!(sketch(5).1, sketch(6).1);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        // By the outer product, and by convolution. In 64 buckets most numbers are exactly 0.
        for buckets in [64, 1] {
            let layer = || McbConfig { buckets, ..CONFIG }.init(&device).expect("sizes");
            let (x, y) = (wave([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
            gradients(layer(), x.clone(), |layer, x| layer.pool(x, y.clone()));
            gradients(layer(), y.clone(), |layer, y| layer.pool(x.clone(), y));
            gradients(layer(), x.clone(), |layer, x| layer.forward(x, y.clone()));
        }
        let layer = McbConfig { a: 20, b: 10, buckets: 12, ..CONFIG }.init(&device).expect("sizes");
        let y = wave([2, 10], 1.3, &device);
        gradients(layer, wave([2, 20], 0.9, &device), |layer, x| layer.forward(x, y.clone()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let audit = |config: McbConfig| {
            let layer = config.init(&Device::flex()).expect("sizes");
            let mut trace = Trace::new();
            let (x, y) = (trace.input(&[config.a]), trace.input(&[config.b]));
            let out = layer.describe(&mut trace, &x, &y);
            let audit = trace.audit(&out);
            assert_eq!(audit.parameters, parameters(&layer));
            audit
        };
        let small = audit(CONFIG);
        assert_eq!((small.parameters, small.multiply_adds, small.ciphertext_products), ((7 + 1) * 2, 15 + 7 * 2, 15));
        // 12 buckets take a transform of 32 numbers, one step, of which 17 complex ones are kept.
        let large = audit(McbConfig { a: 20, b: 10, buckets: 12, ..CONFIG });
        assert_eq!((large.parameters, large.ciphertext_products), ((12 + 1) * 2, 4 * 17));
        assert_eq!(large.multiply_adds, 3 * (2 * 17 * 32) + 4 * 17 + 12 * 2);
        for audit in [small, large] {
            let pooled = audit.layers.iter().position(|layer| layer.name == "signed_root").expect("has a norm") - 1;
            assert_eq!((audit.layers[pooled].log2_degree, audit.log2_degree), (Some(1.0), None));
        }
    }

    #[test]
    fn hashes_and_signs_are_saved_with_it() {
        let device = Device::flex();
        let make = |seed| McbConfig { seed, ..CONFIG }.init(&device).expect("sizes");
        let (x, y) = (wave([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
        let pool = |layer: &Mcb| double(layer.clone()).pool(x.clone(), y.clone());
        saves_and_loads(make(1), make(2), pool);
        saves_and_loads(make(1), make(2), |layer| double(layer.clone()).forward(x.clone(), y.clone()));
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = McbConfig { buckets: 0, ..CONFIG }.init(&Device::flex()).expect_err("no buckets");
        assert_eq!(error.to_string(), "MCB: buckets is 0");
    }
}
