//! A network's operations, one after the other, and what follows from them.

use super::{Audit, Layer};
use crate::norm::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::{LayerNorm, Linear, PaddingConfig2d};

/// What an operation is, as a function of the values that depend on the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Constants times values, summed: convolutions, linear maps, means.
    Linear,
    /// Each number times a constant, plus a constant: folded norms, scales, masks.
    Affine,
    /// Values added.
    Sum,
    /// Values multiplied, element by element or as matrices.
    Product,
    /// A function of each number that is no polynomial; softmax.
    Activation,
    /// Divided by what depends on the input: layer, instance and length normalisation.
    Division,
    /// One of several values, by their size: pools of the greatest.
    Selection,
    /// Values put elsewhere, none computed: shifts, concatenation, resizing to the nearest.
    Move,
}

impl Kind {
    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::Affine => "affine",
            Kind::Sum => "sum",
            Kind::Product => "product",
            Kind::Activation => "activation",
            Kind::Division => "division",
            Kind::Selection => "selection",
            Kind::Move => "move",
        }
    }

    /// Whether an element is computed from few elements in its place, so that the output may be written over an input.
    fn is_in_place(self) -> bool {
        matches!(self, Kind::Affine | Kind::Sum | Kind::Product | Kind::Activation | Kind::Division)
    }
}

/// A value on its way through a network: known by its shape, batch left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    id: usize,
    shape: Vec<usize>,
}

impl Signal {
    /// Axes behind the batch: `[channels, height, width]`, `[tokens, features]` or `[features]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many numbers it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The same numbers under another shape, or a part of them. Free.
    pub fn view(&self, shape: &[usize]) -> Signal {
        Signal { id: self.id, shape: shape.to_vec() }
    }
}

/// What is known of a value.
#[derive(Debug, Clone, Copy)]
struct Value {
    elements: usize,
    /// Of the degree as a polynomial; that of a constant is -∞.
    log2_degree: Option<f64>,
    depth: usize,
}

/// What an operation costs beside its shape.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    parameters: usize,
    multiply_adds: usize,
    ciphertext_products: usize,
    plaintext_products: usize,
}

#[derive(Debug)]
struct Step {
    layer: Layer,
    inputs: Vec<usize>,
    output: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

/// Collects what a network says of itself.
#[derive(Debug)]
pub struct Trace {
    scope: Vec<String>,
    /// How often what is said is done.
    times: usize,
    values: Vec<Value>,
    steps: Vec<Step>,
}

/// `log2(2^a + 2^b)`
fn log2_sum(a: f64, b: f64) -> f64 {
    let (low, high) = (a.min(b), a.max(b));
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp2().ln_1p() / std::f64::consts::LN_2 }
}

impl Trace {
    /// Nothing said yet.
    pub fn new() -> Self {
        Trace { scope: Vec::new(), times: 1, values: Vec::new(), steps: Vec::new() }
    }

    /// What the network is given.
    pub fn input(&mut self, shape: &[usize]) -> Signal {
        self.value(shape, Some(0.0), 0)
    }

    /// A value that is made of `parameters` numbers alone, such as a mask, a memory, or coordinates (no parameters).
    pub fn constant(&mut self, name: &str, parameters: usize, shape: &[usize]) -> Signal {
        self.step(name, Kind::Move, &[], shape, Cost { parameters, ..Cost::default() })
    }

    /// What `part` says is named `name.…`.
    pub fn within<T>(&mut self, name: impl Into<String>, part: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.into());
        let result = part(self);
        self.scope.pop();
        result
    }

    /// What `part` says is done for so many inputs, such as the views of a shape, one after the other: it costs so many
    /// times as much, its parameters and its memory are those of one.
    pub fn repeated<T>(&mut self, times: usize, part: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.times;
        self.times *= times;
        let result = part(self);
        self.times = before;
        result
    }

    /// `[.., in]` to `[.., out]`.
    pub fn linear(&mut self, name: &str, linear: &Linear, x: &Signal) -> Signal {
        let [inputs, outputs] = linear.weight.lazy_shape().dims();
        let shape = [&x.shape[..x.shape.len() - 1], &[outputs]].concat();
        let bias = linear.bias.as_ref().map_or(0, |bias| bias.lazy_shape().num_elements());
        self.map(name, inputs * outputs + bias, x.elements() * outputs, &[x], &shape)
    }

    /// `[in, height, width]` to `[out, …, …]`.
    pub fn conv2d(&mut self, name: &str, conv: &Conv2d, x: &Signal) -> Signal {
        let [outputs, inputs, rows, columns] = conv.weight.lazy_shape().dims();
        let size = [0, 1].map(|axis| {
            let (size, extent) = (x.shape[axis + 1], (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1);
            let zeros = match &conv.padding {
                PaddingConfig2d::Valid => 0,
                PaddingConfig2d::Same => return size.div_ceil(conv.stride[axis]),
                PaddingConfig2d::Explicit(top, left, bottom, right) => [top + bottom, left + right][axis],
            };
            (size + zeros - extent) / conv.stride[axis] + 1
        });
        let bias = conv.bias.as_ref().map_or(0, |bias| bias.lazy_shape().num_elements());
        let pixels = size[0] * size[1];
        let weights = outputs * inputs * rows * columns;
        self.map(name, weights + bias, weights * pixels, &[x], &[outputs, size[0], size[1]])
    }

    /// Any other map that is linear in its inputs, with constants of its own.
    pub fn map(
        &mut self,
        name: &str,
        parameters: usize,
        multiply_adds: usize,
        inputs: &[&Signal],
        shape: &[usize],
    ) -> Signal {
        let cost = Cost { parameters, multiply_adds, plaintext_products: multiply_adds, ..Cost::default() };
        self.step(name, Kind::Linear, inputs, shape, cost)
    }

    /// A mean or sum over some axes: no parameters, and a product for each output.
    pub fn mean(&mut self, name: &str, x: &Signal, shape: &[usize]) -> Signal {
        let plaintext_products = shape.iter().product();
        self.step(name, Kind::Linear, &[x], shape, Cost { plaintext_products, ..Cost::default() })
    }

    /// Batch norm, which at inference becomes a part of the layer before it and so costs nothing.
    pub fn batch_norm(&mut self, name: &str, norm: &BatchNorm, x: &Signal) -> Signal {
        let parameters = 2 * norm.gamma.lazy_shape().num_elements();
        self.step(name, Kind::Affine, &[x], &x.shape, Cost { parameters, ..Cost::default() })
    }

    /// Each number times a constant, and plus one; `parameters` says how many constants are learnt.
    pub fn scale(&mut self, name: &str, parameters: usize, x: &Signal) -> Signal {
        let cost = Cost { parameters, plaintext_products: x.elements(), ..Cost::default() };
        self.step(name, Kind::Affine, &[x], &x.shape, cost)
    }

    /// Each number plus a constant of `parameters`.
    pub fn shift(&mut self, name: &str, parameters: usize, x: &Signal) -> Signal {
        self.step(name, Kind::Affine, &[x], &x.shape, Cost { parameters, ..Cost::default() })
    }

    /// `a + b`, of which the smaller is repeated.
    pub fn sum(&mut self, name: &str, a: &Signal, b: &Signal) -> Signal {
        let shape = if a.elements() >= b.elements() { &a.shape } else { &b.shape };
        self.step(name, Kind::Sum, &[a, b], shape, Cost::default())
    }

    /// `a ∘ b`, of which the smaller is repeated.
    pub fn product(&mut self, name: &str, a: &Signal, b: &Signal) -> Signal {
        let shape = if a.elements() >= b.elements() { a.shape.clone() } else { b.shape.clone() };
        let products = shape.iter().product();
        self.multiply(name, a, b, products, 0, &shape)
    }

    /// Values multiplied and summed, such as queries and keys: `multiply_adds` products of two values each.
    pub fn matmul(&mut self, name: &str, a: &Signal, b: &Signal, multiply_adds: usize, shape: &[usize]) -> Signal {
        self.multiply(name, a, b, multiply_adds, multiply_adds, shape)
    }

    fn multiply(
        &mut self,
        name: &str,
        a: &Signal,
        b: &Signal,
        products: usize,
        multiply_adds: usize,
        shape: &[usize],
    ) -> Signal {
        let constant = [a, b].iter().any(|x| self.values[x.id].log2_degree == Some(f64::NEG_INFINITY));
        let mut cost = Cost { multiply_adds, ..Cost::default() };
        if constant {
            cost.plaintext_products = products
        } else {
            cost.ciphertext_products = products
        }
        self.step(name, Kind::Product, &[a, b], shape, cost)
    }

    /// A function of each number that is no polynomial, or a softmax; with `parameters` of its own.
    pub fn activation(&mut self, name: &str, parameters: usize, x: &Signal) -> Signal {
        self.step(name, Kind::Activation, &[x], &x.shape, Cost { parameters, ..Cost::default() })
    }

    /// Normalised by what depends on the input; with `parameters` of its own.
    pub fn normalise(&mut self, name: &str, parameters: usize, x: &Signal) -> Signal {
        self.step(name, Kind::Division, &[x], &x.shape, Cost { parameters, ..Cost::default() })
    }

    /// Burn's layer norm.
    pub fn layer_norm(&mut self, name: &str, norm: &LayerNorm, x: &Signal) -> Signal {
        let beta = norm.beta.as_ref().map_or(0, |beta| beta.lazy_shape().num_elements());
        self.normalise(name, norm.gamma.lazy_shape().num_elements() + beta, x)
    }

    /// The greatest of several, or another choice by size.
    pub fn select(&mut self, name: &str, x: &Signal, shape: &[usize]) -> Signal {
        self.step(name, Kind::Selection, &[x], shape, Cost::default())
    }

    /// Numbers put elsewhere, into a value of their own.
    pub fn relocate(&mut self, name: &str, inputs: &[&Signal], shape: &[usize]) -> Signal {
        self.step(name, Kind::Move, inputs, shape, Cost::default())
    }

    fn value(&mut self, shape: &[usize], log2_degree: Option<f64>, depth: usize) -> Signal {
        self.values.push(Value { elements: shape.iter().product(), log2_degree, depth });
        Signal { id: self.values.len() - 1, shape: shape.to_vec() }
    }

    fn step(&mut self, name: &str, kind: Kind, inputs: &[&Signal], shape: &[usize], cost: Cost) -> Signal {
        let of = inputs.iter().map(|input| self.values[input.id]);
        let combine = match kind {
            Kind::Product => log2_sum,
            _ => f64::max,
        };
        let is_polynomial = !matches!(kind, Kind::Activation | Kind::Division | Kind::Selection);
        let degrees: Option<Vec<f64>> = of.clone().map(|value| value.log2_degree).collect();
        let degrees = degrees.filter(|_| is_polynomial);
        let log2_degree = degrees.map(|degrees| degrees.into_iter().fold(f64::NEG_INFINITY, combine));
        let depth = of.map(|value| value.depth).max().unwrap_or(0) + usize::from(cost.ciphertext_products > 0);
        let output = self.value(shape, log2_degree, depth);
        let name = self.scope.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        let layer = Layer {
            name,
            kind,
            shape: shape.to_vec(),
            parameters: cost.parameters,
            multiply_adds: cost.multiply_adds * self.times,
            ciphertext_products: cost.ciphertext_products * self.times,
            plaintext_products: cost.plaintext_products * self.times,
            log2_degree,
            product_depth: depth,
        };
        self.steps.push(Step { layer, inputs: inputs.iter().map(|input| input.id).collect(), output: output.id });
        output
    }

    /// What has been said, added up; `output` is what the network gives.
    pub fn audit(self, output: &Signal) -> Audit {
        let (pair, peak) = self.memory(output);
        let Value { log2_degree, depth, .. } = self.values[output.id];
        let layers: Vec<Layer> = self.steps.into_iter().map(|step| step.layer).collect();
        let total = |number: fn(&Layer) -> usize| layers.iter().map(number).sum();
        let has = |kinds: &[Kind]| layers.iter().any(|layer| kinds.contains(&layer.kind));
        Audit {
            parameters: total(|layer| layer.parameters),
            multiply_adds: total(|layer| layer.multiply_adds),
            activation_bytes: pair * size_of::<f32>(),
            peak_bytes: peak * size_of::<f32>(),
            log2_degree,
            product_depth: log2_degree.map(|_| depth),
            ciphertext_products: total(|layer| layer.ciphertext_products),
            plaintext_products: total(|layer| layer.plaintext_products),
            activation_free: !has(&[Kind::Activation]),
            polynomial_at_inference: log2_degree.is_some(),
            only_add_mul: !has(&[Kind::Activation, Kind::Division, Kind::Selection]),
            layers,
        }
    }

    /// Numbers of the largest two values, and of all, that are alive at the same time.
    fn memory(&self, output: &Signal) -> (usize, usize) {
        let mut last_read = vec![0; self.values.len()];
        for (index, step) in self.steps.iter().enumerate() {
            step.inputs.iter().for_each(|id| last_read[*id] = index);
        }
        last_read[output.id] = self.steps.len();
        // Values whose numbers are there while a step runs; constants are parameters and not among them.
        let is_given = |id: &usize| self.steps.iter().all(|step| step.output != *id);
        let mut alive: Vec<usize> = (0..self.values.len()).filter(is_given).collect();
        let (mut pair, mut peak) = (0, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let elements = self.values[step.output].elements;
            let fits = |id: &usize| last_read[*id] == index && self.values[*id].elements >= elements;
            let over = step.inputs.iter().find(|id| step.layer.kind.is_in_place() && alive.contains(id) && fits(id));
            let mut sizes: Vec<usize> = alive.iter().map(|id| self.values[*id].elements).collect();
            if over.is_none() && !step.inputs.is_empty() {
                sizes.push(elements);
            }
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            pair = sizes.iter().take(2).sum::<usize>().max(pair);
            peak = sizes.iter().sum::<usize>().max(peak);
            alive.retain(|id| last_read[*id] > index);
            if !step.inputs.is_empty() {
                alive.push(step.output);
            }
        }
        (pair, peak)
    }
}
