//! Product of polynomials: one polynomial after the other, so that the degrees multiply (Chrysos et al., Π-nets, arXiv
//! 2003.03828).
//!
//! The name is the paper's; what is meant is composition. Two polynomials of degree 2 reach degree 4 with the
//! parameters of degrees added.

use super::ccp::{Ccp, CcpConfig};
use crate::error::{Error, Result};
use crate::hadamard::audit::{Describe, Signal, Trace};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// How a [`ProdPoly`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProdPolyConfig {
    /// In order; each takes as many numbers as the one before gives.
    pub polynomials: Vec<CcpConfig>,
}

/// `x = p_L(… p_2(p_1(z)))`, each p a CCP.
#[derive(Module, Debug)]
pub struct ProdPoly {
    /// In order.
    pub polynomials: Vec<Ccp>,
}

impl ProdPolyConfig {
    /// Makes the layer. No polynomial at all, or one that does not fit the one before, is refused.
    pub fn init(&self, device: &Device) -> Result<ProdPoly> {
        if self.polynomials.is_empty() {
            return Err(Error::config("product of polynomials", "there is no polynomial"));
        }
        if let Some(pair) = self.polynomials.windows(2).find(|pair| pair[0].outputs != pair[1].inputs) {
            let problem = format!("{} outputs followed by {} inputs", pair[0].outputs, pair[1].inputs);
            return Err(Error::config("product of polynomials", problem));
        }
        let polynomials = self.polynomials.iter().map(|config| config.init(device)).collect::<Result<_>>()?;
        Ok(ProdPoly { polynomials })
    }

    /// The product of the degrees, as far as it can be counted.
    pub fn degree(&self) -> Option<usize> {
        self.polynomials.iter().try_fold(1usize, |degree, config| degree.checked_mul(config.degree))
    }
}

impl ProdPoly {
    /// # Shapes
    /// - `z`: `[.., d]` of the first
    /// - output: `[.., o]` of the last
    pub fn forward<const D: usize>(&self, z: Tensor<D>) -> Tensor<D> {
        self.polynomials.iter().fold(z, |z, polynomial| polynomial.forward(z))
    }
}

impl Describe for ProdPoly {
    fn describe(&self, trace: &mut Trace, z: Signal) -> Signal {
        self.polynomials.iter().enumerate().fold(z, |z, (index, polynomial)| {
            trace.within(format!("polynomials.{index}"), |trace| polynomial.describe(trace, z))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hadamard::audit::Audit;
    use crate::hadamard::check::{close, double, doubles, gradients, numbers, parameters, saves_and_loads, wave};
    use crate::hadamard::correlation::exact::{self, Residue, degree, whole, whole_numbers};

    fn config() -> ProdPolyConfig {
        let first = CcpConfig { inputs: 3, rank: 4, outputs: 2, degree: 3 };
        ProdPolyConfig { polynomials: vec![first, CcpConfig { inputs: 2, outputs: 5, degree: 4, ..first }] }
    }

    /// `forward` by plain loops.
    fn plain<T: exact::Number>(layer: &ProdPoly, z: &[T]) -> Vec<T> {
        layer.polynomials.iter().fold(z.to_vec(), |z, polynomial| exact::ccp(polynomial, &z))
    }

    #[test]
    fn degrees_multiply() {
        let layer = whole(config().init(&Device::flex()).expect("sizes"));
        let along = |v: [i64; 3]| {
            degree(14, |t| plain(&layer, &whole_numbers::<Residue>(&[1 + v[0] * t, 2 + v[1] * t, 3 + v[2] * t])))
        };
        assert_eq!([[1, 1, 1], [1, -1, 2]].map(along).into_iter().max().flatten(), Some(12));
        assert_eq!(config().degree(), Some(12));
        let audit = Audit::of(&layer, &[3]);
        assert!((audit.log2_degree.expect("a polynomial") - 12f64.log2()).abs() < 1e-12);
        assert_eq!(audit.product_depth, Some(2 + 3));
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let layer = double(config().init(&Device::flex()).expect("sizes"));
        let z = vec![0.3, -0.7, 1.1];
        close(&numbers(layer.forward(doubles(z.clone(), [1, 3], &Device::flex()))), &plain(&layer, &z), 1e-12);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let device = Device::flex().autodiff();
        gradients(config().init(&device).expect("sizes"), wave([2, 3], 0.9, &device), |layer, z| layer.forward(z));
    }

    #[test]
    fn the_audit_counts_what_is_there() {
        let layer = config().init(&Device::flex()).expect("sizes");
        let audit = Audit::of(&layer, &[3]);
        assert_eq!(audit.parameters, parameters(&layer));
        assert_eq!(audit.multiply_adds, (3 * 3 * 4 + 4 * 2) + (4 * 2 * 4 + 4 * 5));
        assert_eq!(audit.ciphertext_products, (2 + 3) * 4);
        assert!(audit.activation_free && audit.polynomial_at_inference && audit.only_add_mul);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let device = Device::flex();
        let make = || config().init(&device).expect("sizes");
        saves_and_loads(make(), make(), |layer| layer.forward(Tensor::<2>::ones([2, 3], &device)));
    }

    #[test]
    fn polynomials_that_do_not_fit_are_refused() {
        let mut unfit = config();
        unfit.polynomials[1].inputs = 7;
        let error = unfit.init(&Device::flex()).expect_err("2 is not 7");
        assert_eq!(error.to_string(), "product of polynomials: 2 outputs followed by 7 inputs");
        let error = ProdPolyConfig { polynomials: Vec::new() }.init(&Device::flex()).expect_err("none");
        assert_eq!(error.to_string(), "product of polynomials: there is no polynomial");
        let mut huge = config();
        huge.polynomials[0].degree = usize::MAX;
        assert_eq!(huge.degree(), None);
    }
}
