//! The operation against its composed body and its properties, the layer against ordinary attention.

use super::attend::composed;
use super::*;
use crate::attention::MultiHeadAttentionConfig;
use burn::tensor::Distribution;

fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn problems() -> Vec<Problem> {
    let base = |order| Problem {
        batch: 2,
        heads: 4,
        key_heads: 2,
        queries: 5,
        value_width: 3,
        ..Problem::new(order, 5, 7, 0.4)
    };
    vec![
        Problem { keys: vec![9], ..base(2) },
        Problem { keys: vec![4, 6], form: ScoreForm::Determinant, ..base(3) },
        Problem { causal: true, windows: vec![Some(3), None], form: ScoreForm::Strassen, ..base(3) },
        Problem { form: ScoreForm::Tree, softcap: Some(2.0), ..base(4) },
        Problem { dropout: Some(Dropout { rate: 0.3, seed: 5 }), ..base(3) },
    ]
}

#[test]
fn the_operation_and_the_composed_body_agree_forward_and_backward() {
    let device = Device::flex().autodiff();
    for problem in problems() {
        let hidden = problem
            .keys
            .iter()
            .all(|m| *m == problem.keys[0])
            .then(|| (0..2 * problem.keys[0]).map(|j| j % 4 == 1).collect::<Arc<[bool]>>());
        let how = Attend { hidden, ..Attend::exactly(problem.clone()) };
        let operand = |tokens, heads, width| normal([2, heads, tokens, width], &device).require_grad();
        let q = operand(problem.queries, 4, problem.width);
        let keys: Vec<_> = problem.keys.iter().map(|m| operand(*m, 2, problem.width)).collect();
        let values: Vec<_> = problem.keys.iter().map(|m| operand(*m, 2, problem.value_width)).collect();
        // Of a pair with the queries for each head, of the last two axes for all; a sink where there are several axes.
        let last = problem.keys.len();
        let bias = |axes: (usize, usize), [batch, heads]: [usize; 2]| PairBias {
            axes,
            values: normal([batch, heads, problem.tokens(axes.0), problem.tokens(axes.1)], &device).require_grad(),
        };
        let mut biases = vec![bias((0, 1), [2, 4])];
        biases.extend((last > 1).then(|| bias((last - 1, last), [1, 1])));
        let sink = (last > 1).then(|| normal([4], &device).require_grad());
        let operands = Operands { q, keys, values, biases, sink };
        let weights = (normal([2, 4, problem.queries, 3], &device), normal([2, 4, problem.queries], &device));
        // Of rows that see nothing, whose lse is −∞, there are some too.
        let finite = |attended: Attended| Attended { lse: attended.lse.clamp_min(-1e6), ..attended };
        let ours = finite(tensor_attention(operands.clone(), &how).expect("tensors that fit"));
        let plain = finite(composed(operands.clone(), &how));
        assert!(difference(ours.out.clone(), plain.out.clone()) < 1e-5, "out of {problem:?}");
        assert!(difference(ours.lse.clone(), plain.lse.clone()) < 1e-5, "lse of {problem:?}");
        let gradients = |attended: Attended| {
            let loss = (attended.out * weights.0.clone()).sum() + (attended.lse * weights.1.clone()).sum();
            let gradients = loss.backward();
            let Operands { q, keys, values, biases, sink } = &operands;
            let all = [q].into_iter().chain(keys).chain(values).chain(biases.iter().map(|bias| &bias.values));
            let all = all.map(|x| x.grad(&gradients).expect("every operand has a gradient").flatten::<1>(0, 3));
            all.chain(sink.as_ref().and_then(|sink| sink.grad(&gradients))).collect::<Vec<_>>()
        };
        for (index, (a, b)) in gradients(ours).into_iter().zip(gradients(plain)).enumerate() {
            assert!(difference(a, b) < 2e-5, "gradient {index} of {problem:?}");
        }
    }
}

#[test]
fn biases_and_sinks_that_do_not_fit_are_refused_by_name() {
    let device = Device::flex();
    let how = Attend::exactly(Problem { heads: 2, key_heads: 2, ..Problem::new(3, 4, 5, 0.4) });
    let x = || normal([1, 2, 4, 5], &device);
    let plain = || Operands::new(x(), vec![x(), x()], vec![x(), x()]);
    let bias = |axes, shape: [usize; 4]| PairBias { axes, values: normal(shape, &device) };
    let refused = [
        (vec![bias((1, 1), [1, 1, 4, 4])], None, "axes 1 and 1"),
        (vec![bias((0, 3), [1, 1, 4, 4])], None, "axes 0 and 3"),
        (vec![bias((0, 1), [2, 2, 4, 4])], None, "[2, 2, 4, 4]"),
        (vec![bias((0, 1), [1, 1, 4, 4]), bias((0, 1), [1, 2, 4, 4])], None, "two biases"),
        (vec![], Some(normal([3], &device)), "sink of [3]"),
    ];
    for (biases, sink, part) in refused {
        let message = tensor_attention(Operands { biases, sink, ..plain() }, &how).expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    let packed = Problem { packed: vec![vec![0, 4]; 3], ..how.problem.clone() };
    for (problem, part) in [(packed, "packed"), (how.problem.tokens_outside(), "layout")] {
        let message = tensor_attention(plain(), &Attend::exactly(problem)).expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn order_2_is_multi_head_attention() {
    let device = Device::flex();
    let layer = TensorAttentionConfig::new(12, 3, 2).init(&device).expect("sizes that fit");
    let mut ordinary =
        MultiHeadAttentionConfig { dim: 12, heads: 3, dropout: 0.0 }.init(&device).expect("sizes that fit");
    ordinary.query = layer.query.clone();
    ordinary.key = layer.keys[0].clone();
    ordinary.value = layer.values[0].clone();
    ordinary.output = layer.output.clone();
    let x = normal([2, 6, 12], &device);
    let absent = Tensor::<2, Bool>::from_data([[false; 6], [false, true, false, false, true, false]], &device);
    let ours = layer.forward(x.clone(), Some(absent.clone()));
    assert!(difference(ours, ordinary.forward(x, Some(absent))) < 1e-5);
}

#[test]
fn a_cache_gives_what_all_tokens_at_once_give() {
    let device = Device::flex();
    for form in [ScoreForm::Linear, ScoreForm::Determinant] {
        let config = TensorAttentionConfig {
            causal: true,
            form,
            rotary: (form == ScoreForm::Determinant).then_some(100.0),
            windows: vec![Some(4), None],
            qk_norm: true,
            ..TensorAttentionConfig::new(16, 2, 3)
        };
        let layer = config.init(&device).expect("sizes that fit");
        let x = normal([2, 9, 16], &device);
        let whole = layer.forward(x.clone(), None);
        let mut cache = TensorAttentionCache::default();
        let mut first = 0;
        for count in [3, 1, 1, 4] {
            let some = layer.decode(x.clone().narrow(1, first, count), &mut cache);
            assert!(difference(some, whole.clone().narrow(1, first, count)) < 1e-5, "{form:?} at {first}");
            first += count;
        }
        assert_eq!(cache.tokens(), 9);
    }
}

#[test]
fn rotary_positions_count_by_their_differences() {
    let device = Device::flex();
    let x = normal([1, 2, 4, 8], &device);
    let problem =
        |_: ()| Problem { heads: 2, key_heads: 2, form: ScoreForm::Determinant, ..Problem::new(3, 4, 8, 0.3) };
    let lse = |first: usize| {
        let [q, a, b] = [0, 1, 2].map(|by| rotary::rotated(x.clone().roll_dim(by, 2), first, 50.0));
        let values = vec![x.clone(), x.clone()];
        let how = Attend::exactly(problem(()));
        tensor_attention(Operands::new(q, vec![a, b], values), &how).expect("tensors that fit").lse
    };
    assert!(difference(lse(0), lse(13)) < 1e-4);
}

#[test]
fn gains_bound_the_scores() {
    let device = Device::flex();
    let layer = TensorAttentionConfig { qk_norm: true, ..TensorAttentionConfig::new(16, 2, 3) };
    let layer = layer.init(&device).expect("sizes that fit");
    let gain: f32 = layer.gains.as_ref().expect("asked for")[0].val().max().into_scalar();
    // 8 features a head: gains begin at 8^(1/3) = 2, so scores stay within 8.
    assert!((gain - 2.0).abs() < 1e-6, "{gain}");
    let normalised = layer.normalised(normal([1, 2, 5, 8], &device).mul_scalar(1e3), 0);
    let square: f32 = normalised.powf_scalar(2.0).mean_dim(3).max().into_scalar();
    assert!((square - 4.0).abs() < 1e-3, "{square}");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let base = TensorAttentionConfig::new(12, 3, 3);
    let wrong: [(TensorAttentionConfig, &str); 6] = [
        (TensorAttentionConfig { heads: 5, ..base.clone() }, "5 heads"),
        (TensorAttentionConfig { key_heads: 2, ..base.clone() }, "2 key heads"),
        (TensorAttentionConfig { order: 1, ..base.clone() }, "order is 1"),
        (TensorAttentionConfig { order: 4, form: ScoreForm::Strassen, ..base.clone() }, "strassen"),
        (TensorAttentionConfig { rotary: Some(10.0), ..base.clone() }, "rotary"),
        (TensorAttentionConfig { windows: vec![None], ..base }, "1 windows"),
    ];
    for (config, part) in wrong {
        let message = config.init(&Device::flex()).expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not name {part:?}");
    }
}

#[test]
fn polynomials_are_within_their_tolerance_and_their_gradient_near_the_exact_one() {
    let device = Device::flex().autodiff();
    device.seed(3);
    let operand = || normal([2, 2, 9, 4], &device).mul_scalar(0.3).require_grad();
    let (q, keys, values) = (operand(), vec![operand(), operand()], vec![operand(), operand()]);
    for causal in [false, true] {
        let problem = Problem { batch: 2, heads: 2, key_heads: 2, causal, ..Problem::new(3, 9, 4, 1.0) };
        let attend = |approximation: Option<Options>| {
            let operands = Operands::new(q.clone(), keys.clone(), values.clone());
            let how = Attend { approximation, ..Attend::exactly(problem.clone()) };
            let attended = tensor_attention(operands, &how).expect("tensors that fit");
            let gradients = (attended.out.clone().powf_scalar(2.0).sum() + attended.lse.sum()).backward();
            (attended.out, q.grad(&gradients).expect("a gradient"), keys[1].grad(&gradients).expect("a gradient"))
        };
        let options = Options { tolerance: Tolerance::Absolute(1e-4), ..Options::default() };
        let (exact, near) = (attend(None), attend(Some(options)));
        assert!(difference(exact.0, near.0) < 1e-4);
        assert!(difference(exact.1, near.1) < 1e-3, "the gradient of the queries");
        assert!(difference(exact.2, near.2) < 1e-3, "the gradient of keys");
    }
    let config = TensorAttentionConfig { method: Method::Polynomial, ..TensorAttentionConfig::new(8, 2, 3) };
    let layer =
        TensorAttentionConfig { qk_norm: true, causal: true, ..config.clone() }.init(&device).expect("it is right");
    assert!(layer.forward(normal([1, 6, 8], &device), None).into_data().iter::<f32>().all(f32::is_finite));
    for wrong in
        [TensorAttentionConfig { dropout: 0.1, ..config.clone() }, TensorAttentionConfig { tolerance: 0.0, ..config }]
    {
        assert!(wrong.init(&device).is_err(), "{wrong:?}");
    }
}
