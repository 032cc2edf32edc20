//! What a network costs and what it is as a function, computed from the network itself.
//!
//! A layer's `describe` takes [`Signal`]s where its `forward` takes tensors and says each operation to a [`Trace`],
//! which reads sizes from the parameters that are there. [`Audit`] adds up.
//!
//! - **Multiply-adds** are those of convolutions, linear maps and products of matrices, padding included, biases and
//!   element-wise work not. (Published FLOPs follow several conventions.)
//! - **Degree** is that of the output as a polynomial of the input, batch norms folded; depth counts products of two
//!   values that depend on the input, one after the other; both are unknown behind anything that is no polynomial.
//! - **Ciphertext products** multiply two values that depend on the input, **plaintext products** one such value and a
//!   constant: what homomorphic encryption pays for.
//! - **Verdicts** are three and kept apart: no activation function; a polynomial at inference; additions and
//!   multiplications alone. A network with max-pools or layer norm passes the first and fails the others.

mod trace;

pub use trace::{Kind, Signal, Trace};

/// What one operation does and costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Where it is in the network: names joined by dots.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its output, batch left out.
    pub shape: Vec<usize>,
    /// Numbers that it owns.
    pub parameters: usize,
    /// For one input.
    pub multiply_adds: usize,
    /// Products of two values that depend on the input.
    pub ciphertext_products: usize,
    /// Products of a value that depends on the input and a constant.
    pub plaintext_products: usize,
    /// The output's degree as a polynomial of the network's input, by its logarithm; `None` where it is none.
    pub log2_degree: Option<f64>,
    /// Products one behind the other, up to and with this operation.
    pub product_depth: usize,
}

/// What a network costs and is. Batch 1, single precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Numbers that training changes; running statistics are not among them.
    pub parameters: usize,
    /// See the module.
    pub multiply_adds: usize,
    /// Bytes of the largest two values that are alive at the same time, the network's input among them. Operations on
    /// each number alone, sums and products write over an operand that nobody else will read.
    pub activation_bytes: usize,
    /// Bytes of all values that are alive at the same time, at most.
    pub peak_bytes: usize,
    /// See [`Layer::log2_degree`].
    pub log2_degree: Option<f64>,
    /// `None` where the network is no polynomial.
    pub product_depth: Option<usize>,
    /// See [`Layer::ciphertext_products`].
    pub ciphertext_products: usize,
    /// See [`Layer::plaintext_products`].
    pub plaintext_products: usize,
    /// No ReLU, sigmoid, softmax, sine or the like anywhere.
    pub activation_free: bool,
    /// The output is a polynomial of the input, batch norms folded.
    pub polynomial_at_inference: bool,
    /// Nothing but additions and multiplications is computed.
    pub only_add_mul: bool,
    /// One entry an operation, in order.
    pub layers: Vec<Layer>,
}

/// Networks that take one signal and give one.
pub trait Describe {
    /// Says each operation of `forward` to `trace`.
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal;
}

impl Audit {
    /// Describes a network for an input of this shape, batch left out.
    ///
    /// # Panics
    /// Where the network's `forward` would: a shape that it does not take.
    pub fn of(network: &(impl Describe + ?Sized), input: &[usize]) -> Self {
        let mut trace = Trace::new();
        let x = trace.input(input);
        let output = network.describe(&mut trace, x);
        trace.audit(&output)
    }
}
