//! Seeded problems with their arrays.

use polyad_attention::{Bias, Dropout, Gradients, Inputs, Problem, ScoreForm, Upstream, backward, backward_workspace};
use polyad_simd::Level;

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
        let mut case = Case::of(problem, random);
        let problem = &case.problem;
        let tokens = |axis: usize| if axis == 0 { problem.queries } else { problem.keys[axis - 1] };
        for b in 1..order {
            for a in 0..b {
                if random.chance(5) {
                    let heads = if random.chance(2) { problem.batch * problem.heads } else { 1 };
                    case.biases.push(((a, b), random.normals(tokens(a) * tokens(b) * heads)));
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

    /// Calls with the arrays as [`Inputs`].
    pub fn with_inputs<T>(&self, f: impl FnOnce(&Inputs) -> T) -> T {
        let keys: Vec<&[f32]> = self.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        let biases: Vec<Bias> = self.biases.iter().map(|(axes, values)| Bias { axes: *axes, values }).collect();
        let hidden: Vec<Option<&[bool]>> = self.hidden.iter().map(Option::as_deref).collect();
        f(&Inputs {
            q: &self.q,
            keys: &keys,
            values: &values,
            biases: &biases,
            hidden: &hidden,
            sink: self.sink.as_deref(),
        })
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
}

impl Gradient {
    /// From buffers full of NaN, so that what is not written shows.
    pub fn of(case: &Case, out: &[f32], lse: &[f32], level: Level) -> Gradient {
        let nan = |x: &Vec<f32>| vec![f32::NAN; x.len()];
        let mut gradient = Gradient {
            q: nan(&case.q),
            keys: case.keys.iter().map(nan).collect(),
            values: case.values.iter().map(nan).collect(),
            biases: case.biases.iter().map(|(_, values)| nan(values)).collect(),
            sink: case.sink.as_ref().map(nan),
        };
        case.with_inputs(|inputs| {
            let mut workspace = vec![f32::NAN; backward_workspace(&case.problem, inputs).unwrap()];
            let upstream = Upstream { out, lse, dout: &case.dout, dlse: Some(&case.dlse) };
            let mut to = Gradients {
                q: &mut gradient.q,
                keys: gradient.keys.iter_mut().map(Vec::as_mut_slice).collect(),
                values: gradient.values.iter_mut().map(Vec::as_mut_slice).collect(),
                biases: gradient.biases.iter_mut().map(Vec::as_mut_slice).collect(),
                sink: gradient.sink.as_deref_mut(),
            };
            backward(&case.problem, inputs, &upstream, &mut to, &mut workspace, level).unwrap();
        });
        gradient
    }
}
