//! Multiplicative filter networks: sines of the coordinates, multiplied again and again, as a picture or field over
//! them (Fathony et al., Multiplicative Filter Networks, ICLR 2021).
//!
//! A product of sines is a sum of two, so that a Fourier network is a sum of
//! [`sinusoids`](MultiplicativeFiltersConfig::sinusoids) of the coordinates: many more than it has filters, and no
//! function stands between them.

use crate::error::{Error, Result, nonzero};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use std::f64::consts::PI;

/// What a filter is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Filter {
    /// `sin(Ωx + φ)`
    Fourier,
    /// `sin(Ωx + φ) ∘ exp(−γ ‖x − μ‖² / 2)`; at first γ is drawn from a gamma distribution of shape `alpha` / (L + 1)
    /// and rate `beta`, μ from (−1, 1), and Ω is larger by √γ. The paper's are 6 and 1.
    Gabor {
        /// Shape, times L + 1.
        alpha: f64,
        /// Rate.
        beta: f64,
    },
}

/// How a [`MultiplicativeFilters`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiplicativeFiltersConfig {
    /// Coordinates, d.
    pub inputs: usize,
    /// Width n.
    pub width: usize,
    /// Numbers at each place, o.
    pub outputs: usize,
    /// Products, L; there is one filter more.
    pub products: usize,
    /// What the filters are.
    pub filter: Filter,
    /// How much larger than Burn's default Ω is at first, times √(L + 1); 256 in the paper.
    pub input_scale: f64,
    /// W is drawn from ±√(`weight_scale` / n); 1 in the paper.
    pub weight_scale: f64,
}

/// `z_0 = g_0(x)`, `z_l = (W_l z_{l−1} + b_l) ∘ g_l(x)`, `y = W z_L + b`.
#[derive(Module, Debug)]
pub struct MultiplicativeFilters {
    /// g, L + 1 of them.
    pub filters: Vec<FilterLayer>,
    /// W and b, each `[n, n]`, L of them.
    pub maps: Vec<Linear>,
    /// `[n, o]`
    pub output: Linear,
}

/// One set of n filters.
#[derive(Module, Debug)]
pub struct FilterLayer {
    /// Ω and φ, `[d, n]`.
    pub frequency: Linear,
    /// What makes it local, in Gabor filters.
    pub envelope: Option<Envelope>,
}

/// `exp(−γ ‖x − μ‖² / 2)`
#[derive(Module, Debug)]
pub struct Envelope {
    /// μ, `[n, d]`.
    pub centre: Param<Tensor<2>>,
    /// γ, `[n]`.
    pub sharpness: Param<Tensor<1>>,
}

impl MultiplicativeFiltersConfig {
    /// How many sinusoids of the coordinates a Fourier network is the sum of: `Σ_{i≤L} 2^i n^{i+1}`; `None` where they
    /// are more than can be counted.
    pub fn sinusoids(&self) -> Option<u128> {
        let (mut term, mut sum) = (self.width as u128, self.width as u128);
        for _ in 0..self.products {
            term = term.checked_mul(2)?.checked_mul(self.width as u128)?;
            sum = sum.checked_add(term)?;
        }
        Some(sum)
    }

    /// Makes the network. Sizes of zero and scales that are not positive are refused.
    pub fn init(&self, device: &Device) -> Result<MultiplicativeFilters> {
        let MultiplicativeFiltersConfig { inputs, width, outputs, products, .. } = *self;
        let name = "multiplicative filters";
        nonzero(name, &[("inputs", inputs), ("width", width), ("outputs", outputs)])?;
        let mut scales = vec![("input_scale", self.input_scale), ("weight_scale", self.weight_scale)];
        if let Filter::Gabor { alpha, beta } = self.filter {
            scales.extend([("alpha", alpha), ("beta", beta)]);
        }
        if let Some((scale, value)) = scales.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
            return Err(Error::config(name, format!("{scale} is {value}, not positive")));
        }
        let uniform = |limit: f64| Initializer::Uniform { min: -limit, max: limit };
        let map = || {
            let limit = (width as f64).sqrt().recip();
            let map = LinearConfig::new(width, width).with_initializer(uniform(self.weight_scale.sqrt() * limit));
            Linear { bias: Some(uniform(limit).init([width], device)), ..map.init(device) }
        };
        Ok(MultiplicativeFilters {
            filters: (0..=products).map(|_| self.filter(device)).collect(),
            maps: (0..products).map(|_| map()).collect(),
            output: LinearConfig::new(width, outputs).init(device),
        })
    }

    fn filter(&self, device: &Device) -> FilterLayer {
        let uniform = |limit: f64| Initializer::Uniform { min: -limit, max: limit };
        let count = (self.products + 1) as f64;
        let limit = self.input_scale / (self.inputs as f64 * count).sqrt();
        let frequency = LinearConfig::new(self.inputs, self.width).with_initializer(uniform(limit)).init(device);
        let mut frequency = Linear { bias: Some(uniform(PI).init([self.width], device)), ..frequency };
        let Filter::Gabor { alpha, beta } = self.filter else {
            return FilterLayer { frequency, envelope: None };
        };
        let drawn = gammas(alpha / count, self.width, device).into_iter().map(|gamma| (gamma / beta) as f32).collect();
        let sharpness = Tensor::<1>::from_data(TensorData::new::<f32, _>(drawn, [self.width]), device);
        let wider = frequency.weight.val() * sharpness.clone().sqrt().unsqueeze();
        frequency.weight = Param::from_tensor(wider.detach());
        let centre = uniform(1.0).init([self.width, self.inputs], device);
        FilterLayer { frequency, envelope: Some(Envelope { centre, sharpness: Param::from_tensor(sharpness) }) }
    }
}

/// Numbers drawn from the gamma distribution of this shape and rate 1, by Burn's generator (Marsaglia and Tsang, A
/// simple method for generating gamma variables, 2000).
fn gammas(shape: f64, count: usize, device: &Device) -> Vec<f64> {
    let draw = |distribution| -> Vec<f32> {
        Tensor::<1>::random([count], distribution, device).into_data().try_into_vec().expect("float tensor")
    };
    // The method wants a shape of at least 1; a smaller one is one more times a power of a uniform number.
    let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let pairs = draw(Distribution::Normal(0.0, 1.0)).into_iter().zip(draw(Distribution::Uniform(0.0, 1.0)));
        let accepted = pairs.filter_map(|(x, u)| {
            let (x, v) = (f64::from(x), (1.0 + c * f64::from(x)).powi(3));
            (v > 0.0 && f64::from(u).ln() < x * x / 2.0 + d - d * v + d * v.ln()).then_some(d * v)
        });
        drawn.extend(accepted);
    }
    drawn.truncate(count);
    if shape < 1.0 {
        let powers = draw(Distribution::Uniform(0.0, 1.0));
        drawn.iter_mut().zip(powers).for_each(|(x, u)| *x *= f64::from(u).powf(shape.recip()));
    }
    drawn
}

impl FilterLayer {
    /// # Shapes
    /// - `x`: `[places, d]`
    /// - output: `[places, n]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let sine = self.frequency.forward(x.clone()).sin();
        match &self.envelope {
            Some(envelope) => sine * envelope.forward(x),
            None => sine,
        }
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let sine = trace.linear("frequency", &self.frequency, x);
        let sine = trace.activation("sine", 0, &sine);
        match &self.envelope {
            Some(envelope) => {
                let envelope = envelope.describe(trace, x);
                trace.product("product", &sine, &envelope)
            }
            None => sine,
        }
    }
}

impl Envelope {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let away = x.unsqueeze_dim::<3>(1) - self.centre.val().unsqueeze();
        let distance = away.square().sum_dim(2).squeeze_dim::<2>(2);
        (distance * self.sharpness.val().unsqueeze() * -0.5).exp()
    }

    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let [width, inputs] = self.centre.shape().dims();
        let away = trace.relocate("repeated", &[x], &[width, inputs]);
        let away = trace.shift("centre", width * inputs, &away);
        let squares = trace.product("squares", &away, &away);
        let distance = trace.map("distance", 0, 0, &[&squares], &[width]);
        let distance = trace.scale("sharpness", width, &distance);
        trace.activation("exponential", 0, &distance)
    }
}

impl MultiplicativeFilters {
    /// # Shapes
    /// - `x`: `[places, d]`
    /// - output: `[places, o]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (first, rest) = self.filters.split_first().expect("a filter");
        let step = |z, (map, filter): (&Linear, &FilterLayer)| map.forward(z) * filter.forward(x.clone());
        self.output.forward(self.maps.iter().zip(rest).fold(first.forward(x.clone()), step))
    }
}

impl Describe for MultiplicativeFilters {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        let mut filters = self.filters.iter().enumerate();
        let mut filter = |trace: &mut Trace| {
            let (index, filter) = filters.next().expect("a filter more than maps");
            trace.within(format!("filters.{index}"), |trace| filter.describe(trace, &x))
        };
        let mut z = filter(trace);
        for (index, map) in self.maps.iter().enumerate() {
            let mapped = trace.linear(&format!("maps.{index}"), map, &z);
            let filter = filter(trace);
            z = trace.product("product", &mapped, &filter);
        }
        trace.linear("output", &self.output, &z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{
        close, double, doubles, golden, gradients, numbers, parameters, saves_and_loads, wave,
    };

    const GABOR: Filter = Filter::Gabor { alpha: 6.0, beta: 1.0 };

    fn config(inputs: usize, width: usize, products: usize, filter: Filter) -> MultiplicativeFiltersConfig {
        MultiplicativeFiltersConfig {
            inputs,
            width,
            outputs: 1,
            products,
            filter,
            input_scale: 256.0,
            weight_scale: 1.0,
        }
    }

    #[test]
    fn published_counts_come_out() {
        for (filter, wanted) in [(Filter::Fourier, 200_705), (GABOR, 203_777)] {
            let net = config(2, 256, 3, filter).init(&Device::flex()).expect("sizes");
            let audit = Audit::of(&net, &[2]);
            assert_eq!((audit.parameters, parameters(&net)), (wanted, wanted), "{filter:?}");
            assert_eq!(audit.multiply_adds, 4 * 2 * 256 + 3 * 256 * 256 + 256, "{filter:?}");
            assert!(!audit.activation_free && audit.log2_degree.is_none());
        }
    }

    /// Amplitude of each whole frequency of a function of time, at so many points in [0, 1).
    fn amplitudes(net: &MultiplicativeFilters, points: usize) -> Vec<f64> {
        let time = (0..points).map(|i| i as f64 / points as f64).collect();
        let y = numbers(net.forward(doubles(time, [points, 1], &Device::flex())));
        let amplitude = |frequency: usize| {
            let part = |f: fn(f64) -> f64| {
                let turn = 2.0 * PI * frequency as f64 / points as f64;
                y.iter().enumerate().map(|(i, y)| y * f(turn * i as f64)).sum::<f64>()
            };
            part(f64::cos).hypot(part(f64::sin)) * 2.0 / points as f64
        };
        (0..points / 2).map(amplitude).collect()
    }

    /// A Fourier network of time with these whole frequencies.
    fn of_frequencies(frequencies: &[&[f64]]) -> MultiplicativeFilters {
        let width = frequencies[0].len();
        let mut net =
            double(config(1, width, frequencies.len() - 1, Filter::Fourier).init(&Device::flex()).expect("sizes"));
        for (filter, of) in net.filters.iter_mut().zip(frequencies) {
            let turns = of.iter().map(|x| x * 2.0 * PI).collect();
            filter.frequency.weight = Param::from_tensor(doubles(turns, [1, width], &Device::flex()));
        }
        net
    }

    #[test]
    fn a_product_of_sines_has_sums_and_differences_of_their_frequencies() {
        // (2 sin(2π3t + .3) + .5) sin(2π5t − .7)
        let mut net = of_frequencies(&[&[3.0], &[5.0]]);
        let number = |x: f64| Param::from_tensor(doubles(vec![x], [1], &Device::flex()));
        let matrix = |x: f64| Param::from_tensor(doubles(vec![x], [1, 1], &Device::flex()));
        net.filters[0].frequency.bias = Some(number(0.3));
        net.filters[1].frequency.bias = Some(number(-0.7));
        (net.maps[0].weight, net.maps[0].bias) = (matrix(2.0), Some(number(0.5)));
        (net.output.weight, net.output.bias) = (matrix(1.0), Some(number(0.0)));
        let mut wanted = vec![0.0; 32];
        (wanted[2], wanted[5], wanted[8]) = (1.0, 0.5, 1.0);
        close(&amplitudes(&net, 64), &wanted, 1e-12);
    }

    #[test]
    fn sinusoids_are_as_many_as_counted() {
        for (frequencies, wanted) in [
            (&[&[1.0, 3.0][..], &[10.0, 30.0]][..], 10),
            (&[&[1.0, 3.0], &[10.0, 30.0], &[100.0, 200.0]], 42),
            (&[&[1.0, 3.0, 7.0], &[30.0, 60.0, 100.0]], 21),
        ] {
            let net = of_frequencies(frequencies);
            // Without the constant, which is the last bias.
            let present = amplitudes(&net, 600).iter().skip(1).filter(|amplitude| **amplitude > 1e-9).count();
            assert_eq!(present, wanted);
            let config = config(1, frequencies[0].len(), frequencies.len() - 1, Filter::Fourier);
            assert_eq!(config.sinusoids(), Some(wanted as u128));
        }
        assert_eq!(config(1, 256, 3, Filter::Fourier).sinusoids(), Some(256 + 131_072 + 67_108_864 + 34_359_738_368));
        assert_eq!(config(1, 1 << 20, 9, Filter::Fourier).sinusoids(), None);
    }

    #[test]
    fn values_are_those_of_pytorch() {
        let net = golden(
            MultiplicativeFiltersConfig { outputs: 3, ..config(2, 5, 2, GABOR) }.init(&Device::flex()).expect("sizes"),
        );
        // Filter: frequency = Linear(2, 5), centre [5, 2], width [5]
        //     sin(frequency(x)) * exp(-width * ((x[:, None] - centre) ** 2).sum(-1) / 2)
        // filters of 3, then maps of 2 Linear(5, 5), then output = Linear(5, 3), filled as `golden` fills them
        //     z = filters[0](x)
        //     for m, f in zip(maps, filters[1:]): z = m(z) * f(x)
        //     output(z), x = sin(.9 (1 + arange(4)))
        let wanted =
            [0.086975421741, -0.215399628796, 0.18923423409, -0.0786836079326, -0.0449621400418, 0.0356786115457];
        close(&numbers(net.forward(wave([2, 2], 0.9, &Device::flex()))), &wanted, 1e-11);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        for filter in [Filter::Fourier, GABOR] {
            // Frequencies of a few turns: the error of differences grows with their cube.
            let config = MultiplicativeFiltersConfig { input_scale: 3.0, ..config(2, 4, 2, filter) };
            gradients(config.init(&device).expect("sizes"), wave([3, 2], 0.9, &device), |net, x| net.forward(x));
        }
    }

    #[test]
    fn gammas_have_the_mean_and_variance_of_their_shape() {
        for shape in [0.3, 1.5, 6.0] {
            let count = 40_000;
            let drawn = gammas(shape, count, &Device::flex());
            let mean = drawn.iter().sum::<f64>() / count as f64;
            let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count as f64;
            // Both are the shape. Six standard errors: that of a variance has the fourth moment 3s² + 6s.
            assert!((mean - shape).abs() < 6.0 * (shape / count as f64).sqrt(), "{shape}: mean {mean}");
            let error = ((2.0 * shape * shape + 6.0 * shape) / count as f64).sqrt();
            assert!((variance - shape).abs() < 6.0 * error, "{shape}: variance {variance}");
        }
    }

    #[test]
    fn at_the_start_frequencies_are_as_wide_as_asked() {
        let net = config(2, 2000, 3, Filter::Fourier).init(&Device::flex()).expect("sizes");
        let most = |tensor: Vec<f64>| tensor.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let limit = 256.0 / (2.0f64 * 4.0).sqrt();
        let frequency = most(numbers(net.filters[0].frequency.weight.val()));
        assert!(frequency <= limit * (1.0 + 1e-6) && frequency > 0.98 * limit, "{frequency}, {limit}");
        let phase = most(numbers(net.filters[0].frequency.bias.as_ref().expect("phases").val()));
        assert!(phase <= PI + 1e-6 && phase > 0.98 * PI);

        let config = MultiplicativeFiltersConfig { weight_scale: 4.0, ..config(2, 400, 3, GABOR) };
        let net = config.init(&Device::flex()).expect("sizes");
        let envelope = net.filters[3].envelope.as_ref().expect("of Gabor");
        let sharpness = numbers(envelope.sharpness.val());
        let weights = numbers(net.filters[3].frequency.weight.val());
        let narrowed = most(weights.iter().enumerate().map(|(i, w)| w / sharpness[i % 400].sqrt()).collect());
        assert!(narrowed <= limit * (1.0 + 1e-5) && narrowed > 0.95 * limit, "{narrowed}, {limit}");
        let centre = most(numbers(envelope.centre.val()));
        assert!(centre <= 1.0 && centre > 0.95);
        // √(4 / 400)
        let map = most(numbers(net.maps[0].weight.val()));
        assert!(map <= 0.1 * (1.0 + 1e-6) && map > 0.098, "{map}");
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || config(2, 4, 2, GABOR).init(&device).expect("sizes");
        saves_and_loads(make(), make(), |net| net.forward(Tensor::ones([2, 2], &device)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let refusal =
            |config: MultiplicativeFiltersConfig| config.init(&Device::flex()).expect_err("refused").to_string();
        assert_eq!(refusal(config(0, 4, 2, GABOR)), "multiplicative filters: inputs is 0");
        let flat = Filter::Gabor { alpha: 0.0, beta: 1.0 };
        assert_eq!(refusal(config(2, 4, 2, flat)), "multiplicative filters: alpha is 0, not positive");
        let unscaled = MultiplicativeFiltersConfig { input_scale: f64::NAN, ..config(2, 4, 2, GABOR) };
        assert_eq!(refusal(unscaled), "multiplicative filters: input_scale is NaN, not positive");
    }
}
