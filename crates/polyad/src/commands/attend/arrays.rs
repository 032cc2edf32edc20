//! From an archive's arrays to a problem.

use crate::args::Precision;
use crate::npz::{Array, Values};
use half::{bf16, f16};
use polyad_attention::{Bias, Inputs, Problem, ScoreForm};
use std::collections::BTreeMap;

/// What was looked for, if it is there; or what is wrong with it.
type Looked<T> = Result<Option<T>, String>;

/// What an archive holds.
pub struct Arrays(pub BTreeMap<String, Array>);

/// A problem with what it is computed from.
pub struct Case {
    pub problem: Problem,
    /// Whether arrays have batch and head axes.
    whole: bool,
    pub q: Vec<f32>,
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
    pub biases: Vec<((usize, usize), Vec<f32>)>,
    pub bias_shapes: Vec<Vec<usize>>,
    pub sink: Option<Vec<f32>>,
    pub dout: Option<Vec<f32>>,
    pub dlse: Option<Vec<f32>>,
}

impl Arrays {
    fn numbers(&self, name: &str) -> Looked<(&[usize], &[f64])> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Array { shape, values: Values::Numbers(numbers) }) => Ok(Some((shape, numbers))),
            Some(_) => Err(format!("{name} is a text, numbers are wanted")),
        }
    }

    /// An array of tokens as batch, heads, tokens, features.
    fn tokens(&self, name: &str) -> Looked<([usize; 4], Vec<f32>)> {
        let Some((shape, numbers)) = self.numbers(name)? else { return Ok(None) };
        let shape = match shape {
            [n, d] => [1, 1, *n, *d],
            [b, h, n, d] => [*b, *h, *n, *d],
            _ => return Err(format!("{name} has shape {shape:?}; [n, d] or [batch, heads, n, d] is wanted")),
        };
        Ok(Some((shape, narrow(numbers))))
    }

    fn wanted(&self, name: &str) -> Result<([usize; 4], Vec<f32>), String> {
        self.tokens(name)?.ok_or_else(|| format!("{name} is not there"))
    }

    /// A single number.
    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        match self.numbers(name)? {
            None => Ok(None),
            Some((_, [number])) => Ok(Some(*number)),
            Some((shape, _)) => Err(format!("{name} has shape {shape:?}; one number is wanted")),
        }
    }

    /// Whole numbers, not negative.
    fn counts(&self, name: &str) -> Looked<(Vec<usize>, Vec<usize>)> {
        let Some((shape, numbers)) = self.numbers(name)? else { return Ok(None) };
        let count = |x: &f64| {
            let whole = x.fract() == 0.0 && *x >= 0.0;
            if whole { Ok(*x as usize) } else { Err(format!("{name} holds {x}, which is no count")) }
        };
        Ok(Some((shape.to_vec(), numbers.iter().map(count).collect::<Result<_, _>>()?)))
    }
}

fn narrow(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|x| *x as f32).collect()
}

impl Case {
    /// Refuses, saying what disagrees.
    pub fn read(arrays: Arrays) -> Result<Case, String> {
        let ([batch, heads, queries, width], q) = arrays.wanted("q")?;
        let whole = arrays.0.get("q").is_some_and(|q| q.shape.len() == 4);
        let (mut keys, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let (mut key_heads, mut value_width) = (heads, 0);
        for axis in 1.. {
            let name = format!("k{axis}");
            if axis > 1 && !arrays.0.contains_key(&name) {
                break;
            }
            let ([key_batch, own_heads, tokens, key_width], numbers) = arrays.wanted(&name)?;
            let (shape, value_numbers) = arrays.wanted(&format!("v{axis}"))?;
            if axis == 1 {
                (key_heads, value_width) = (own_heads, shape[3]);
            }
            if [key_batch, key_width] != [batch, width] || own_heads != key_heads {
                return Err(format!(
                    "{name} is [{key_batch}, {own_heads}, {tokens}, {key_width}]; \
                     [{batch}, {key_heads}, m, {width}] would fit q and k1"
                ));
            }
            if shape != [batch, key_heads, tokens, value_width] {
                return Err(format!(
                    "v{axis} is {shape:?}; [{batch}, {key_heads}, {tokens}, {value_width}] would fit {name} and v1"
                ));
            }
            lengths.push(tokens);
            keys.push(numbers);
            values.push(value_numbers);
        }
        let axes = keys.len();
        let form = match arrays.0.get("form").map(|form| &form.values) {
            None => ScoreForm::Linear,
            Some(Values::Text(name)) => ScoreForm::from_name(name).map_err(|why| why.to_string())?,
            Some(Values::Numbers(_)) => return Err("form is a number; the name of a form is wanted".into()),
        };
        let scale = arrays.number("scale")?.ok_or("scale is not there: 1/d, 1/√d or another, it is never guessed")?;
        let per_axis = |name: &str| -> Looked<(Vec<usize>, Vec<usize>)> {
            let Some((shape, counts)) = arrays.counts(name)? else { return Ok(None) };
            let fits = shape.last() == Some(&axes) && shape.len() <= 2;
            if fits {
                Ok(Some((shape, counts)))
            } else {
                Err(format!("{name} has shape {shape:?} for {axes} key axes"))
            }
        };
        let windows = match per_axis("windows")? {
            Some((shape, _)) if shape.len() != 1 => return Err(format!("windows has shape {shape:?}")),
            // A window of all tokens hides none.
            Some((_, windows)) => {
                let all = |(window, keys): (usize, &usize)| (window < queries.saturating_add(*keys)).then_some(window);
                windows.into_iter().zip(&lengths).map(all).collect()
            }
            None => Vec::new(),
        };
        let problem = Problem {
            batch,
            heads,
            key_heads,
            queries,
            value_width,
            form,
            causal: arrays.number("causal")?.is_some_and(|causal| causal != 0.0),
            windows,
            lengths: per_axis("lengths")?
                .map(|(_, counts)| counts.chunks(axes).map(<[usize]>::to_vec).collect())
                .unwrap_or_default(),
            softcap: arrays.number("softcap")?.map(|cap| cap as f32),
            keys: lengths,
            ..Problem::new(axes + 1, 0, width, scale as f32)
        };
        let (mut biases, mut bias_shapes) = (Vec::new(), Vec::new());
        for name in arrays.0.keys().filter(|name| name.starts_with("bias_")) {
            let digits: Vec<usize> =
                name["bias_".len()..].chars().filter_map(|c| c.to_digit(10)).map(|c| c as usize).collect();
            let [a, b] = digits[..] else { return Err(format!("{name}: two axes are wanted, as in bias_01")) };
            let (shape, numbers) = arrays.numbers(name)?.unwrap_or_default();
            let tokens = |axis: usize| if axis == 0 { Some(queries) } else { problem.keys.get(axis - 1).copied() };
            let pair = [tokens(a), tokens(b)];
            let fits = matches!(shape, [.., x, y] if pair == [Some(*x), Some(*y)])
                && (shape.len() == 2 || shape[..shape.len() - 2] == [batch, heads]);
            if !fits || a >= b {
                return Err(format!(
                    "{name} has shape {shape:?} in a problem of {queries} queries and {:?} keys",
                    problem.keys
                ));
            }
            bias_shapes.push(shape.to_vec());
            biases.push(((a, b), narrow(numbers)));
        }
        let dout = arrays.tokens("dout")?;
        if let Some((shape, _)) = &dout
            && *shape != [batch, heads, queries, value_width]
        {
            return Err(format!("dout is {shape:?}; [{batch}, {heads}, {queries}, {value_width}] would fit q and v1"));
        }
        let dlse = arrays.numbers("dlse")?.map(|(_, numbers)| narrow(numbers));
        let sink = arrays.numbers("sink")?.map(|(_, numbers)| narrow(numbers));
        Ok(Case { problem, whole, q, keys, values, biases, bias_shapes, sink, dout: dout.map(|(_, x)| x), dlse })
    }

    /// Calls with the arrays as attention wants them.
    pub fn with_inputs<T>(&self, then: impl FnOnce(&Inputs) -> T) -> T {
        let keys: Vec<&[f32]> = self.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        let biases: Vec<Bias> = self.biases.iter().map(|(axes, values)| Bias { axes: *axes, values }).collect();
        then(&Inputs { biases: &biases, sink: self.sink.as_deref(), ..Inputs::new(&self.q, &keys, &values) })
    }

    /// Rounds queries, keys and values to a precision.
    pub fn round(&mut self, precision: Precision) {
        let round = |x: &mut f32| match precision {
            Precision::F32 => {}
            Precision::Bf16 => *x = bf16::from_f32(*x).to_f32(),
            Precision::F16 => *x = f16::from_f32(*x).to_f32(),
        };
        let arrays = std::iter::once(&mut self.q).chain(&mut self.keys).chain(&mut self.values);
        arrays.flatten().for_each(round);
    }

    /// Batch and heads, where arrays have them.
    pub fn heads(&self) -> Vec<usize> {
        if self.whole { vec![self.problem.batch, self.problem.heads] } else { Vec::new() }
    }

    /// The shape of something for each query.
    pub fn rows(&self, each: &[usize]) -> Vec<usize> {
        [&self.heads()[..], &[self.problem.queries], each].concat()
    }

    /// The shape of an axis's keys, or values.
    pub fn tokens(&self, axis: usize, width: usize) -> Vec<usize> {
        let heads = if self.whole { vec![self.problem.batch, self.problem.key_heads] } else { Vec::new() };
        [&heads[..], &[self.problem.keys[axis], width]].concat()
    }
}
