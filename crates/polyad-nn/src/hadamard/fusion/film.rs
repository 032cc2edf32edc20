//! FiLM: one signal scales and shifts the channels of another (Perez et al., arXiv 1709.07871).
//!
//! The scale is predicted as its difference from 1, so that a generator that says nothing changes nothing. Where FiLM
//! follows a norm, that norm should have no scale and shift of its own.

use crate::error::{Result, nonzero};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// How a [`Film`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilmConfig {
    /// Numbers of the condition y.
    pub b: usize,
    /// Channels of what is modulated, C.
    pub channels: usize,
}

/// `γ(y) ∘ x + β(y)`, a γ and β for each channel; `[γ − 1; β]` is linear in y, with biases.
///
/// Parameters: `(b+1) 2C`.
#[derive(Module, Debug)]
pub struct Film {
    /// `γ − 1`, then β, `[b, 2C]`.
    pub modulation: Linear,
}

/// How a [`FilmFusion`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilmFusionConfig {
    /// Numbers of x.
    pub a: usize,
    /// Numbers of y.
    pub b: usize,
    /// Channels that are modulated, h.
    pub hidden: usize,
    /// Numbers of the output, o.
    pub outputs: usize,
}

/// FiLM between two linear maps: `P(γ(y) ∘ Ux + β(y))`, all maps with biases.
///
/// Parameters: `(a+1)h + (b+1) 2h + (h+1)o`.
#[derive(Module, Debug)]
pub struct FilmFusion {
    /// U, `[a, h]`.
    pub x: Linear,
    /// γ and β.
    pub film: Film,
    /// P, `[h, o]`.
    pub output: Linear,
}

impl FilmConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<Film> {
        let FilmConfig { b, channels } = *self;
        nonzero("FiLM", &[("b", b), ("channels", channels)])?;
        Ok(Film { modulation: LinearConfig::new(b, 2 * channels).init(device) })
    }
}

/// `[n, 2C]` in two: `[n, C, 1, ..]` each, to stand beside `[n, C, ..]`.
pub(super) fn halves<const D: usize>(both: Tensor<2>) -> [Tensor<D>; 2] {
    let [n, numbers] = both.dims();
    let channels = numbers / 2;
    let mut shape = [1; D];
    shape[0] = n;
    shape[1] = channels;
    [0, 1].map(|half| both.clone().narrow(1, half * channels, channels).reshape(shape))
}

impl Film {
    /// # Shapes
    /// - `x`, output: `[n, C, ..]`
    /// - `y`: `[n, b]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>, y: Tensor<2>) -> Tensor<D> {
        let [gamma, beta] = halves(self.modulation.forward(y));
        gamma.add_scalar(1.0) * x + beta
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let both = trace.linear("modulation", &self.modulation, y);
        let channels = [both.elements() / 2];
        let gamma = trace.shift("plus_one", 0, &both.view(&channels));
        let scaled = trace.product("scale", x, &gamma);
        trace.sum("shift", &scaled, &both.view(&channels))
    }
}

impl FilmFusionConfig {
    /// Makes the layer. Sizes of zero are refused.
    pub fn init(&self, device: &Device) -> Result<FilmFusion> {
        let FilmFusionConfig { a, b, hidden, outputs } = *self;
        nonzero("FiLM", &[("a", a), ("hidden", hidden), ("outputs", outputs)])?;
        Ok(FilmFusion {
            x: LinearConfig::new(a, hidden).init(device),
            film: FilmConfig { b, channels: hidden }.init(device)?,
            output: LinearConfig::new(hidden, outputs).init(device),
        })
    }
}

impl FilmFusion {
    /// # Shapes
    /// - `x`: `[n, a]`
    /// - `y`: `[n, b]`
    /// - output: `[n, o]`
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.film.forward(self.x.forward(x), y))
    }

    /// Says each operation of `forward` to `trace`.
    pub fn describe(&self, trace: &mut Trace, x: &Signal, y: &Signal) -> Signal {
        let x = trace.linear("x", &self.x, x);
        let x = trace.within("film", |trace| self.film.describe(trace, &x, y));
        trace.linear("output", &self.output, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };
    use burn::module::Param;

    const CONFIG: FilmConfig = FilmConfig { b: 3, channels: 4 };
    const FUSION: FilmFusionConfig = FilmFusionConfig { a: 5, b: 3, hidden: 4, outputs: 2 };

    #[test]
    fn a_generator_that_says_nothing_changes_nothing() {
        let device = Device::flex();
        let mut film = double(CONFIG.init(&device).expect("sizes"));
        film.modulation.weight = film.modulation.weight.map(|weight| weight.zeros_like());
        film.modulation.bias = film.modulation.bias.map(|bias| bias.map(|bias| bias.zeros_like()));
        let x = wave::<4>([2, 4, 3, 5], 0.7, &device);
        close(&numbers(film.forward(x.clone(), wave([2, 3], 1.3, &device))), &numbers(x), 0.0);
    }

    #[test]
    fn scales_come_first_and_shifts_second_for_each_channel() {
        // One condition of 2: γ = 1 + 2 (1, 10), β = 2 (3, -4).
        let device = Device::flex();
        let mut film = double(FilmConfig { b: 1, channels: 2 }.init(&device).expect("sizes"));
        film.modulation.weight = Param::from_tensor(doubles(vec![1.0, 10.0, 3.0, -4.0], [1, 4], &device));
        film.modulation.bias = None;
        let x = doubles(vec![1.0, 2.0, 3.0, 4.0], [1, 2, 2], &device);
        let out = film.forward::<3>(x, doubles(vec![2.0], [1, 1], &device));
        close(&numbers(out), &[3.0 + 6.0, 6.0 + 6.0, 63.0 - 8.0, 84.0 - 8.0], 1e-14);
    }

    #[test]
    fn the_fusion_is_what_pytorch_computes() {
        // v(k, *shape): golden filling of check.rs; wave(scale, *shape): sin(scale (i + 1)); all float64.
        // g, b = F.linear(y, v(2, 8, 3), v(3, 8)).chunk(2, 1)
        // F.linear(torch.addcmul(b, 1 + g, F.linear(x, v(0, 4, 5), v(1, 4))), v(4, 2, 4), v(5, 2))
        let device = Device::flex();
        let layer = golden(FUSION.init(&device).expect("sizes"));
        let out = layer.forward(wave([2, 5], 0.9, &device), wave([2, 3], 1.3, &device));
        close(&numbers(out), &[-0.037556444741546, 0.45272453098112, 0.449731055658994, -0.276028686969011], 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let film = || CONFIG.init(&device).expect("sizes");
        let (x, y) = (wave::<4>([2, 4, 3, 1], 0.7, &device), wave([2, 3], 1.3, &device));
        gradients(film(), x.clone(), |film, x| film.forward(x, y.clone()));
        gradients(film(), y.clone(), |film, y| film.forward(x.clone(), y));
        let fusion = FUSION.init(&device).expect("sizes");
        gradients(fusion, wave([2, 5], 0.9, &device), |fusion, x| fusion.forward(x, y.clone()));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let film = CONFIG.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[4, 3, 5]), trace.input(&[3]));
        let out = film.describe(&mut trace, &x, &y);
        assert_eq!(out.shape(), [4, 3, 5]);
        let audit = trace.audit(&out);
        assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&film), 3 * 2 * 4));
        assert_eq!((audit.parameters, audit.ciphertext_products), (4 * 2 * 4, 60));
        assert_eq!((audit.log2_degree, audit.only_add_mul), (Some(1.0), true));

        let fusion = FUSION.init(&Device::flex()).expect("sizes");
        let mut trace = Trace::new();
        let (x, y) = (trace.input(&[5]), trace.input(&[3]));
        let out = fusion.describe(&mut trace, &x, &y);
        let audit = trace.audit(&out);
        assert_eq!((audit.parameters, audit.multiply_adds), (parameters(&fusion), 5 * 4 + 3 * 8 + 4 * 2));
        assert_eq!(audit.parameters, 6 * 4 + 4 * 8 + 5 * 2);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || FUSION.init(&device).expect("sizes");
        let forward = |layer: &FilmFusion| layer.forward(Tensor::ones([2, 5], &device), Tensor::ones([2, 3], &device));
        saves_and_loads(make(), make(), forward);
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = FilmConfig { channels: 0, ..CONFIG }.init(&Device::flex()).expect_err("no channels");
        assert_eq!(error.to_string(), "FiLM: channels is 0");
        let error = FilmFusionConfig { b: 0, ..FUSION }.init(&Device::flex()).expect_err("no condition");
        assert_eq!(error.to_string(), "FiLM: b is 0");
    }
}
