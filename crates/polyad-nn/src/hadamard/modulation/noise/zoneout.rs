//! Zoneout: numbers of a recurrence's state that stay as they were (Krueger et al., arXiv 1606.01305).

use super::{is_drawn, ones};
use crate::error::{Result, probability};
use crate::hadamard::audit::{Signal, Trace};
use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;

/// How a [`Zoneout`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZoneoutConfig {
    /// Probability that a number stays as it was.
    pub p: f64,
}

/// `h = m ∘ h₋₁ + (1 − m) ∘ h̃`, m 1 with probability p; without noise `p h₋₁ + (1 − p) h̃`, the mean.
///
/// Unlike in dropout nothing is scaled, since the state never loses a number.
#[derive(Module, Debug)]
pub struct Zoneout {
    /// Whether noise is drawn at all; cleared by `freeze`.
    pub training: Param<Flag>,
    p: f64,
}

impl ZoneoutConfig {
    /// The paper's setting for cells of an LSTM on characters, 0.5.
    pub const CELL: Self = ZoneoutConfig { p: 0.5 };
    /// The paper's setting for hidden states of an LSTM on characters, 0.05.
    pub const HIDDEN: Self = ZoneoutConfig { p: 0.05 };

    /// Makes the layer. A probability outside [0, 1) is refused.
    pub fn init(&self) -> Result<Zoneout> {
        probability("zoneout", "p", self.p)?;
        Ok(Zoneout { training: Param::from_bool(true), p: self.p })
    }
}

impl Zoneout {
    /// # Shapes
    /// - previous, new, output: all the same
    pub fn forward<const D: usize>(&self, previous: Tensor<D>, new: Tensor<D>) -> Tensor<D> {
        if self.p == 0.0 {
            return new;
        }
        if !is_drawn(&self.training, &new.device()) {
            return previous.mul_scalar(self.p) + new.mul_scalar(1.0 - self.p);
        }
        let mask = ones(new.dims(), self.p, &new.device(), new.dtype());
        mix(previous, new, mask)
    }

    /// Two states to one.
    pub fn describe(&self, trace: &mut Trace, previous: &Signal, new: &Signal) -> Signal {
        let previous = trace.scale("previous", 0, previous);
        let new = trace.scale("new", 0, new);
        trace.sum("sum", &previous, &new)
    }
}

/// `m ∘ h₋₁ + (1 − m) ∘ h̃`
fn mix<const D: usize>(previous: Tensor<D>, new: Tensor<D>, mask: Tensor<D>) -> Tensor<D> {
    mask.clone() * previous + mask.neg().add_scalar(1.0) * new
}

#[cfg(test)]
mod tests {
    use super::super::statistics::mean_is;
    use super::*;
    use crate::hadamard::check::{close, doubles, gradients, numbers, wave};
    use burn::tensor::{DType, Device};

    fn states(device: &Device) -> (Tensor<2>, Tensor<2>) {
        (doubles(vec![1.0, 2.0, 3.0], [1, 3], device), doubles(vec![-1.0, 4.0, 0.5], [1, 3], device))
    }

    #[test]
    fn numbers_stay_or_change() {
        let (previous, new) = states(&Device::flex());
        let mask = doubles(vec![1.0, 0.0, 1.0], [1, 3], &Device::flex());
        assert_eq!(numbers(mix(previous, new, mask)), [1.0, 4.0, 3.0]);
    }

    #[test]
    fn as_many_stay_as_should_and_the_mean_is_the_mixture() {
        let (previous, new) = states(&Device::flex().autodiff());
        let zoneout = ZoneoutConfig { p: 0.3 }.init().expect("a probability");
        let h = numbers(zoneout.forward(previous.repeat_dim(0, 20_000), new.repeat_dim(0, 20_000)));
        for (index, (previous, new)) in [(1.0, -1.0), (2.0, 4.0), (3.0, 0.5)].into_iter().enumerate() {
            let draws: Vec<f64> = h.iter().skip(index).step_by(3).copied().collect();
            assert!(draws.iter().all(|h| *h == previous || *h == new), "nothing in between");
            let mean = 0.3 * previous + 0.7 * new;
            mean_is(&draws, mean);
            let variance = 0.3 * 0.7 * f64::powi(previous - new, 2);
            mean_is(&draws.iter().map(|h| (h - mean).powi(2)).collect::<Vec<_>>(), variance);
        }
    }

    #[test]
    fn without_noise_it_is_the_mean() {
        let wanted = [0.3 - 0.7, 0.6 + 2.8, 0.9 + 0.35];
        let zoneout = ZoneoutConfig { p: 0.3 }.init().expect("a probability");
        let (previous, new) = states(&Device::flex());
        close(&numbers(zoneout.forward(previous, new)), &wanted, 1e-12);
        let (previous, new) = states(&Device::flex().autodiff());
        close(&numbers(zoneout.freeze().forward(previous.clone(), new.clone())), &wanted, 1e-12);
        let never = ZoneoutConfig { p: 0.0 }.init().expect("a probability");
        assert_eq!(numbers(never.forward(previous, new.clone())), numbers(new));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        let mask = wave([3, 4], 0.77, &device).greater_scalar(0.0).float().cast(DType::F64);
        let new = wave([3, 4], 0.31, &device);
        let zoneout = ZoneoutConfig::CELL.init().expect("a probability");
        let both = |x: Tensor<2>| (x.clone(), new.clone() * x);
        gradients(zoneout.clone(), wave([3, 4], 0.9, &device), |zoneout, x| {
            let (previous, new) = both(x);
            zoneout.forward(previous, new)
        });
        gradients(zoneout, wave([3, 4], 0.9, &device), |_, x| {
            let (previous, new) = both(x);
            mix(previous, new, mask.clone())
        });
    }

    #[test]
    fn the_audit_counts_two_products_by_constants() {
        let mut trace = Trace::new();
        let (previous, new) = (trace.input(&[7]), trace.input(&[7]));
        let h = ZoneoutConfig::HIDDEN.init().expect("a probability").describe(&mut trace, &previous, &new);
        let audit = trace.audit(&h);
        assert_eq!((audit.parameters, audit.plaintext_products, audit.log2_degree), (0, 14, Some(0.0)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = ZoneoutConfig { p: 1.0 }.init().expect_err("nothing would ever change");
        assert_eq!(error.to_string(), "zoneout: p is 1, not in [0, 1)");
    }
}
