//! What the tests of all layers share: double precision, gradients by differences, published fillings, files.
//!
//! A layer is tested in double precision (`double`), where values agree to 1e-10 and gradients to 1e-6: central
//! differences of step h = 1e-5 are off by h² times the third derivative (1e-10) and by rounding over h (1e-11).

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId, ParamMapper};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, SafetensorsStore};

/// A tensor of numbers between -1 and 1 that repeat nowhere: `sin(scale · (index + 1))`, double precision.
pub fn wave<const D: usize>(shape: [usize; D], scale: f64, device: &Device) -> Tensor<D> {
    let numbers: Vec<f64> = (0..shape.iter().product()).map(|i: usize| (scale * (i + 1) as f64).sin()).collect();
    doubles(numbers, shape, device)
}

/// These numbers, in double precision.
pub fn doubles<const D: usize>(numbers: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), (device, DType::F64))
}

/// A tensor's numbers, one after the other.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().expect("float tensor")
}

/// Fails where two lists differ by more than `tolerance` times the larger list's greatest number (or 1).
#[track_caller]
pub fn close(got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "as many numbers");
    let scale = got.iter().chain(wanted).fold(1.0f64, |max, x| max.max(x.abs()));
    for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let off = (got - wanted).abs();
        assert!(off <= tolerance * scale, "number {index}: {got}, not {wanted}; tolerance {}", tolerance * scale);
    }
}

/// A parameter of a new value, which takes part in training where its device does.
fn renewed<const D: usize>(id: ParamId, value: Tensor<D>, mapper: ParamMapper<Tensor<D>>) -> Param<Tensor<D>> {
    let value = value.detach();
    let value = if value.device().is_autodiff() { value.require_grad() } else { value };
    Param::from_mapped_value(id, value, mapper)
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        renewed(id, tensor.cast(self.0), mapper)
    }
}

/// The same layer in double precision, its batch norms by running statistics.
pub fn double<M: Module>(module: M) -> M {
    module.map(&mut Cast(DType::F64))
}

/// The same layer in single precision, its batch norms by running statistics.
pub fn single<M: Module>(module: M) -> M {
    module.map(&mut Cast(DType::F32))
}

/// Adds `step` times a fixed direction to all parameters, but not to running statistics.
struct Along {
    seed: f64,
    step: f64,
    count: usize,
    names: Vec<String>,
}

fn direction(seed: f64, count: usize, len: usize) -> impl Iterator<Item = f64> {
    (0..len).map(move |i| (seed * 12.9898 + (count * 7919 + i) as f64 * 0.7548776662).sin())
}

impl ModuleMapper for Along {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.names.last().is_some_and(|name| name.starts_with("running_")) {
            self.count += 1;
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let along: Vec<f64> = direction(self.seed, self.count, tensor.shape().num_elements()).collect();
        self.count += 1;
        if !tensor.is_require_grad() {
            return Param::from_mapped_value(id, tensor, mapper);
        }
        let along = doubles(along, tensor.dims(), &tensor.device()).mul_scalar(self.step);
        renewed(id, tensor.detach() + along, mapper)
    }
}

/// Sums the products of gradients and a direction.
struct Slope<'a> {
    gradients: &'a burn::tensor::Gradients,
    seed: f64,
    count: usize,
    sum: f64,
}

impl ModuleVisitor for Slope<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let along = direction(self.seed, self.count, tensor.shape().num_elements());
        self.count += 1;
        if let Some(gradient) = tensor.grad(self.gradients) {
            self.sum += numbers(gradient).into_iter().zip(along).map(|(g, a)| g * a).sum::<f64>();
        }
    }
}

/// Compares the gradients of `Σ out ∘ wave` for all parameters and for the input with central differences, in three
/// directions. The module is cast to double precision, and its batch norms normalise by running statistics.
#[track_caller]
pub fn gradients<M: Module, const D: usize, const E: usize>(
    module: M,
    input: Tensor<D>,
    forward: impl Fn(&M, Tensor<D>) -> Tensor<E>,
) {
    let module = double(module);
    let loss = |module: &M, input: Tensor<D>| {
        let out = forward(module, input);
        let weights = wave(out.dims(), 0.37, &out.device());
        (out * weights).sum()
    };
    let input = input.detach().cast(DType::F64).require_grad();
    let grads = loss(&module, input.clone()).backward();
    let of_input = numbers(input.grad(&grads).expect("the input takes part"));
    let value = |module: &M, input: Tensor<D>| numbers(loss(module, input))[0];
    let step = 1e-5;
    for seed in [1.0, 2.0, 3.0] {
        let moved = |step| {
            let moved = module.clone().map(&mut Along { seed, step, count: 0, names: Vec::new() });
            value(&moved, input.clone().detach())
        };
        let differences = (moved(step) - moved(-step)) / (2.0 * step);
        let mut slope = Slope { gradients: &grads, seed, count: 0, sum: 0.0 };
        module.visit(&mut slope);
        close(&[slope.sum], &[differences], 1e-6);

        let along: Vec<f64> = direction(seed, 0, of_input.len()).collect();
        let moved = |step: f64| {
            let along = doubles(along.clone(), input.dims(), &input.device()).mul_scalar(step);
            value(&module, input.clone().detach() + along)
        };
        let differences = (moved(step) - moved(-step)) / (2.0 * step);
        let slope: f64 = of_input.iter().zip(&along).map(|(g, a)| g * a).sum();
        close(&[slope], &[differences], 1e-6);
    }
}

/// Fills a layer as the golden values of the research pages were made: parameter number k in PyTorch's order, flat
/// element i in PyTorch's layout, v = sin(.7 i + .3 k + .1); weights v / √fan_in, biases and shifts of norms .1 v,
/// scales of norms and of branches 1 + .1 v; running statistics and the `alpha` of a Mu-layer as
/// they are and not numbered.
struct Golden {
    count: usize,
    /// Names and kinds of the modules around a parameter, outermost first.
    path: Vec<(String, String)>,
}

impl ModuleMapper for Golden {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (name, container) = self.path.last().cloned().unwrap_or_default();
        if name.starts_with("running_") || (name == "alpha" && container.contains("MuLayer")) {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let dims = tensor.dims();
        let len: usize = dims.iter().product();
        let is_linear = container.contains("Linear") && D == 2;
        let fan_in = if is_linear { dims[0] } else { len / dims[0] };
        let v = |i: usize| (0.7 * i as f64 + 0.3 * self.count as f64 + 0.1).sin();
        let filled = (0..len).map(|index| match (D, name.as_str()) {
            (1, "gamma" | "layer_scale" | "first_scale" | "second_scale") => 1.0 + 0.1 * v(index),
            (1, _) => 0.1 * v(index),
            // Burn's linear weight is `[in, out]`, PyTorch's `[out, in]`.
            _ if is_linear => v(index % dims[1] * dims[0] + index / dims[1]) / (fan_in as f64).sqrt(),
            _ => v(index) / (fan_in as f64).sqrt(),
        });
        let filled = doubles(filled.collect(), dims, &tensor.device());
        self.count += 1;
        renewed(id, filled, mapper)
    }
}

/// The layer filled as golden values want it, in double precision. Fields must be declared in PyTorch's order.
pub fn golden<M: Module>(module: M) -> M {
    double(module).map(&mut Golden { count: 0, path: Vec::new() })
}

/// Numbers that training changes: all but running statistics.
pub fn parameters<M: Module>(module: &M) -> usize {
    struct Count(usize, Vec<String>);
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.1.last().is_some_and(|name| name.starts_with("running_")) {
                self.0 += param.shape().num_elements();
            }
        }
    }
    let mut count = Count(0, Vec::new());
    module.visit(&mut count);
    count.0
}

/// Saves `module` as safetensors, loads that into `fresh`, and fails where they then answer differently.
#[track_caller]
pub fn saves_and_loads<M: Module, const E: usize>(module: M, mut fresh: M, forward: impl Fn(&M) -> Tensor<E>) {
    let wanted = numbers(forward(&module));
    assert_ne!(numbers(forward(&fresh)), wanted, "the test must start from other weights");
    let mut store = SafetensorsStore::from_bytes(None);
    module.save_into(&mut store).expect("saves");
    let mut store = SafetensorsStore::from_bytes(Some(store.get_bytes().expect("bytes")));
    fresh.load_from(&mut store).expect("loads");
    assert_eq!(numbers(forward(&fresh)), wanted);
}
