//! Seeded problems with their arrays.

use polyad_attention::{
    Bias, Dropout, Element, Gradients, Inputs, Problem, ScoreForm, Upstream, Work, backward, backward_workspace,
    forward, forward_workspace,
};
use polyad_simd::Level;

/// Every level that there is; those that this processor lacks are named.
pub fn levels() -> Vec<Level> {
    let present = |level: &Level| {
        if !level.is_present() {
            eprintln!("not run: this processor has no {level}");
        }
        level.is_present()
    };
    Level::ALL.into_iter().filter(present).collect()
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `most`.
    pub fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// About normal: the sum of twelve uniform numbers, less six.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }

    pub fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }
}

/// Tokens of an operand: 0 is the query.
pub fn tokens(problem: &Problem, operand: usize) -> usize {
    if operand == 0 { problem.queries } else { problem.keys[operand - 1] }
}

/// Tokens that there is room for on a key axis, counted from 0.
pub fn room(problem: &Problem, axis: usize) -> usize {
    problem.room.get(axis).copied().unwrap_or(problem.keys[axis])
}

/// A problem with everything that it is computed from.
#[derive(Debug, Clone)]
pub struct Case {
    pub problem: Problem,
    pub q: Vec<f32>,
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
    pub biases: Vec<((usize, usize), Vec<f32>)>,
    pub hidden: Vec<Option<Vec<bool>>>,
    pub sink: Option<Vec<f32>>,
    pub dout: Vec<f32>,
    pub dlse: Vec<f32>,
}

impl Case {
    /// Normal numbers for a problem, nothing optional.
    pub fn of(problem: Problem, random: &mut Random) -> Case {
        let axes = problem.keys.len();
        Case {
            q: random.normals(problem.query_numbers()),
            keys: (0..axes).map(|axis| random.normals(problem.key_numbers(axis))).collect(),
            values: (0..axes).map(|axis| random.normals(problem.value_numbers(axis))).collect(),
            biases: Vec::new(),
            hidden: Vec::new(),
            sink: None,
            dout: random.normals(problem.out_numbers()),
            dlse: random.normals(problem.rows()),
            problem,
        }
    }

    /// A problem of any kind, small enough for the definition.
    pub fn random(random: &mut Random) -> Case {
        let order = [2, 2, 3, 3, 3, 3, 4, 5][random.below(8)];
        let most = [0, 0, 70, 22, 7, 4][order];
        let form = match (random.below(3), order) {
            (0, 3) => ScoreForm::ALL[random.below(4)],
            (0, _) => ScoreForm::Tree,
            _ => ScoreForm::Linear,
        };
        let width = [1, 3, 5, 8, 16, 17, 33][random.below(7)];
        let key_heads = random.between(1, 2);
        let mut problem = Problem {
            batch: random.between(1, 2),
            heads: key_heads * random.between(1, 2),
            key_heads,
            queries: random.between(1, most),
            keys: (1..order).map(|_| random.between(1, most)).collect(),
            value_width: [1, 2, 7, 16, 20, 33][random.below(6)],
            form,
            causal: random.chance(2),
            softcap: random.chance(6).then_some(3.0),
            dropout: random.chance(6).then_some(Dropout { rate: 0.3, seed: random.next() }),
            ..Problem::new(order, 1, width, (width as f32).powf(-0.5))
        };
        if random.chance(3) {
            problem.windows = (1..order).map(|_| (!random.chance(3)).then(|| random.between(1, most))).collect();
        }
        if random.chance(3) {
            let entries = if random.chance(2) { problem.batch } else { 1 };
            problem.lengths =
                (0..entries).map(|_| problem.keys.iter().map(|m| random.between(0, *m)).collect()).collect();
        }
        if random.chance(6) {
            problem.room = problem.keys.iter().map(|m| m + random.below(3)).collect();
        }
        let mut case = Case::of(problem, random);
        let problem = &case.problem;
        for b in 1..order {
            for a in 0..b {
                if random.chance(5) {
                    let heads = if random.chance(2) { problem.batch * problem.heads } else { 1 };
                    case.biases.push(((a, b), random.normals(tokens(problem, a) * tokens(problem, b) * heads)));
                }
            }
        }
        if random.chance(4) {
            let hidden = |m: &usize| Some((0..m * problem.batch).map(|_| random.chance(4)).collect());
            case.hidden = problem.keys.iter().map(hidden).collect();
        }
        if random.chance(4) {
            case.sink = Some(random.normals(problem.heads));
        }
        case
    }

    /// With all numbers that have the type of inputs rounded to it.
    pub fn rounded<E: Element>(mut self) -> Case {
        let arrays = [&mut self.q, &mut self.dout].into_iter().chain(&mut self.keys).chain(&mut self.values);
        arrays.flatten().for_each(|x| *x = E::narrow(*x).wide());
        self
    }

    /// Calls with the arrays as [`Inputs`].
    pub fn with_inputs<T>(&self, f: impl FnOnce(&Inputs) -> T) -> T {
        self.with_inputs_as::<f32, T>(f)
    }

    /// Calls with the arrays as [`Inputs`] of a type.
    pub fn with_inputs_as<E: Element, T>(&self, f: impl FnOnce(&Inputs<E>) -> T) -> T {
        let narrow = |arrays: &[Vec<f32>]| arrays.iter().map(|x| narrow(x)).collect::<Vec<Vec<E>>>();
        let (q, keys, values) = (narrow(std::slice::from_ref(&self.q)), narrow(&self.keys), narrow(&self.values));
        let keys: Vec<&[E]> = keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[E]> = values.iter().map(Vec::as_slice).collect();
        let biases: Vec<Bias> = self.biases.iter().map(|(axes, values)| Bias { axes: *axes, values }).collect();
        let hidden: Vec<Option<&[bool]>> = self.hidden.iter().map(Option::as_deref).collect();
        f(&Inputs {
            q: &q[0],
            keys: &keys,
            values: &values,
            biases: &biases,
            hidden: &hidden,
            sink: self.sink.as_deref(),
        })
    }
}

pub fn narrow<E: Element>(x: &[f32]) -> Vec<E> {
    x.iter().map(|x| E::narrow(*x)).collect()
}

pub fn wide<E: Element>(x: &[E]) -> Vec<f32> {
    x.iter().map(|x| x.wide()).collect()
}

/// What forward gives.
#[derive(Debug, Clone)]
pub struct Attended {
    pub out: Vec<f32>,
    pub lse: Vec<f32>,
    pub work: Work,
}

impl Attended {
    /// Into buffers full of NaN, so that what is not written shows.
    pub fn of(case: &Case, level: Level) -> Attended {
        Attended::of_type::<f32>(case, level)
    }

    /// With inputs and outputs of a type.
    pub fn of_type<E: Element>(case: &Case, level: Level) -> Attended {
        let problem = &case.problem;
        let (mut out, mut lse) = (vec![E::narrow(f32::NAN); problem.out_numbers()], vec![f32::NAN; problem.rows()]);
        let mut workspace = vec![f32::NAN; forward_workspace(problem).unwrap()];
        let run = |inputs: &Inputs<E>| forward(problem, inputs, &mut out, &mut lse, &mut workspace, level).unwrap();
        let work = case.with_inputs_as(run);
        Attended { out: wide(&out), lse, work }
    }
}

/// What backward gives.
#[derive(Debug, Clone)]
pub struct Gradient {
    pub q: Vec<f32>,
    pub keys: Vec<Vec<f32>>,
    pub values: Vec<Vec<f32>>,
    pub biases: Vec<Vec<f32>>,
    pub sink: Option<Vec<f32>>,
    pub work: Work,
}

impl Gradient {
    /// Into buffers full of NaN, so that what is not written shows.
    pub fn of(case: &Case, out: &[f32], lse: &[f32], level: Level) -> Gradient {
        Gradient::of_type::<f32>(case, out, lse, level)
    }

    /// With inputs and outputs of a type.
    pub fn of_type<E: Element>(case: &Case, out: &[f32], lse: &[f32], level: Level) -> Gradient {
        let nan = |x: &Vec<f32>| vec![f32::NAN; x.len()];
        let nan_as = |x: &Vec<f32>| vec![E::narrow(f32::NAN); x.len()];
        let (mut q, mut keys) = (nan_as(&case.q), case.keys.iter().map(nan_as).collect::<Vec<Vec<E>>>());
        let mut values: Vec<Vec<E>> = case.values.iter().map(nan_as).collect();
        let mut biases: Vec<Vec<f32>> = case.biases.iter().map(|(_, values)| nan(values)).collect();
        let mut sink = case.sink.as_ref().map(nan);
        let (out, dout) = (narrow::<E>(out), narrow::<E>(&case.dout));
        let work = case.with_inputs_as(|inputs: &Inputs<E>| {
            let mut workspace = vec![f32::NAN; backward_workspace(&case.problem, inputs).unwrap()];
            let upstream = Upstream { out: &out, lse, dout: &dout, dlse: Some(&case.dlse) };
            let mut to = Gradients {
                q: &mut q,
                keys: keys.iter_mut().map(Vec::as_mut_slice).collect(),
                values: values.iter_mut().map(Vec::as_mut_slice).collect(),
                biases: biases.iter_mut().map(Vec::as_mut_slice).collect(),
                sink: sink.as_deref_mut(),
            };
            backward(&case.problem, inputs, &upstream, &mut to, &mut workspace, level).unwrap()
        });
        let (keys, values) = [keys, values].map(|arrays| arrays.iter().map(|x| wide(x)).collect()).into();
        Gradient { q: wide(&q), keys, values, biases, sink, work }
    }
}
