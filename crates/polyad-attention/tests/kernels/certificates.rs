//! The polynomial method: no certificate is ever beaten, and a tolerance is met or the exact kernel has been used.

use crate::support::{Case, Random, tokens};
use polyad_attention::polynomial::{EXACT, Method, Options, Outputs, Polynomial, Summary, Tolerance, certified, plan};
use polyad_attention::{Problem, ScoreForm, reference};
use polyad_simd::Level;
use rayon::prelude::*;

/// What [`certified`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Approximated {
    pub out: Vec<f32>,
    pub lse: Vec<f32>,
    pub certificate: Vec<f32>,
    pub lse_certificate: Vec<f32>,
    pub method: Vec<u8>,
    pub summary: Summary,
}

impl Approximated {
    pub fn of(case: &Case, options: &Options, level: Level) -> Approximated {
        Approximated::try_of(case, options, level).unwrap()
    }

    pub fn try_of(case: &Case, options: &Options, level: Level) -> polyad_attention::Result<Approximated> {
        let problem = &case.problem;
        let (mut out, mut lse) = (vec![f32::NAN; problem.out_numbers()], vec![f32::NAN; problem.rows()]);
        let (mut certificate, mut method) = (vec![f32::NAN; problem.rows()], vec![u8::MAX; problem.rows()]);
        let mut lse_certificate = certificate.clone();
        let mut to = Outputs {
            out: &mut out,
            lse: &mut lse,
            certificate: &mut certificate,
            lse_certificate: &mut lse_certificate,
            method: &mut method,
        };
        let summary = case.with_inputs(|inputs| certified(problem, inputs, options, &mut to, level))?;
        Ok(Approximated { out, lse, certificate, lse_certificate, method, summary })
    }
}

/// A problem small enough for the definition, of a kind that is hard on approximations. `most` is about the greatest score.
fn hard(random: &mut Random) -> Case {
    let order = [2, 2, 3, 3, 3, 4][random.below(6)];
    let longest = [0, 0, 60, 16, 7][order];
    let form = match random.below(4) {
        0 if order == 3 => ScoreForm::ALL[random.below(4)],
        1 if order != 3 => ScoreForm::Tree,
        _ => ScoreForm::Linear,
    };
    let width = [1, 2, 3, 4, 6, 8][random.below(if form == ScoreForm::Linear { 6 } else { 3 })];
    let key_heads = random.between(1, 2);
    let mut problem = Problem {
        heads: key_heads * random.between(1, 2),
        key_heads,
        queries: random.between(1, longest),
        keys: (1..order).map(|_| random.between(1, longest)).collect(),
        value_width: [1, 2, 5, 16, 17][random.below(5)],
        form,
        causal: random.chance(3),
        ..Problem::new(order, 1, width, 1.0)
    };
    if random.chance(4) {
        problem.windows = (1..order).map(|_| (!random.chance(3)).then(|| random.between(1, longest))).collect();
    }
    if random.chance(4) {
        problem.lengths = vec![problem.keys.iter().map(|m| random.between(0, *m)).collect()];
    }
    let mut case = Case::of(problem, random);
    if random.chance(5) {
        let hidden = |m: &usize| Some((0..*m).map(|_| random.chance(4)).collect());
        case.hidden = case.problem.keys.iter().map(hidden).collect();
    }
    let all = |case: &mut Case, factor: f32| case.keys.iter_mut().flatten().for_each(|x| *x *= factor);
    match random.below(12) {
        // Tied scores.
        0 => case.q.fill(0.0),
        1 => case.keys.iter_mut().flatten().for_each(|x| *x = x.signum()),
        // One huge token: of the keys, the queries, the values.
        2 => case.keys[0].iter_mut().take(width).for_each(|x| *x *= 1e3),
        3 => case.q.iter_mut().take(width).for_each(|x| *x *= 1e4),
        4 => case.values[0].iter_mut().take(case.problem.value_width).for_each(|x| *x *= 1e6),
        // Values that cancel.
        5 => case
            .values
            .iter_mut()
            .flatten()
            .enumerate()
            .for_each(|(i, x)| *x = 1e3 * (1.0 - 2.0 * (i % 2) as f32) + *x * 1e-3),
        // Zero rows.
        6 => case.values.iter_mut().chain(&mut case.keys).flatten().skip(1).step_by(2).for_each(|x| *x = 0.0),
        // Subnormal numbers: values; keys made up for by the queries.
        7 => case.values.iter_mut().flatten().for_each(|x| *x *= 1e-40),
        8 => {
            all(&mut case, 1e-38);
            case.q.iter_mut().for_each(|x| *x *= 1e37);
        }
        // A common shift of all keys, and of all values.
        9 => case.keys.iter_mut().flatten().for_each(|x| *x = 3.0 + 0.1 * *x),
        10 => case.values.iter_mut().flatten().for_each(|x| *x = 100.0 + 0.01 * *x),
        _ => {}
    }
    // Scores of about this size, at the edge of what a degree can do and beyond.
    let typical = (width as f32).sqrt() * (1.0 + order as f32);
    case.problem.scale = [0.05, 0.3, 1.0, 2.0, 6.0][random.below(5)] / typical;
    case
}

/// Of all rows the greatest error over its certificate; rows that see nothing have neither.
fn worst(case: &Case, found: &Approximated, shrunk: f64) -> Result<f64, String> {
    let problem = &case.problem;
    let (out, lse) = case.with_inputs(|inputs| {
        reference::forward(problem, &reference::Numbers::new(problem, inputs).expect("it is right"))
    });
    let width = problem.value_width;
    let mut worst = 0.0f64;
    for row in 0..problem.rows() {
        let certificate = f64::from(found.certificate[row]) * shrunk;
        for l in 0..width {
            let error = (f64::from(found.out[row * width + l]) - out[row * width + l]).abs();
            // The definition's own rounding, in double precision.
            let slack = 1e-13 * out[row * width + l].abs();
            if error.is_nan() || error > certificate + slack {
                return Err(format!("row {row}, column {l}: off by {error:e}, certified {certificate:e}"));
            }
            if certificate > 0.0 {
                worst = worst.max(error / certificate);
            }
        }
        let (error, certificate) = (f64::from(found.lse[row]) - lse[row], f64::from(found.lse_certificate[row]));
        if lse[row].is_finite() && error.abs() > certificate * shrunk + 1e-13 {
            return Err(format!("row {row}: lse off by {error:e}, certified {certificate:e}"));
        }
    }
    Ok(worst)
}

#[test]
fn no_certificate_is_beaten_by_ten_thousand_hard_problems() {
    let one = |seed: u64| {
        let mut random = Random(seed);
        let case = hard(&mut random);
        let options = Options {
            tolerance: match random.below(3) {
                0 => Tolerance::Relative(1e-3),
                1 => Tolerance::Relative(1e-2),
                _ => Tolerance::Relative(0.3),
            },
            degree: random.between(1, 8),
            ..Options::default()
        };
        let found = Approximated::of(&case, &options, Level::ALL[random.below(3)]);
        let worst = worst(&case, &found, 1.0).unwrap_or_else(|why| panic!("seed {seed}: {why}: {:?}", case.problem));
        (worst, found.summary)
    };
    let done: Vec<(f64, Summary)> = (0..10_000).into_par_iter().map(one).collect();
    let rows = |of: fn(&Summary) -> usize| done.iter().map(|(_, summary)| of(summary)).sum::<usize>();
    let (polynomial, exact) = (rows(|s| s.polynomial), rows(|s| s.exact));
    println!("{polynomial} rows by polynomials, {exact} exactly");
    let mut ratios: Vec<f64> = done.iter().filter(|(worst, _)| *worst > 0.0).map(|(worst, _)| worst.recip()).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| ratios[((ratios.len() - 1) as f64 * q) as usize];
    println!(
        "certificate / error of a problem's worst row: least {:.3}, {:.1} for one in ten, {:.0} in the middle",
        ratios[0],
        quantile(0.1),
        quantile(0.5)
    );
    assert!(polynomial > exact / 4 && exact > 0, "both ways are tried: {polynomial} and {exact}");
}

/// Two scores where the polynomial is furthest above e^x and furthest below, with values 1 and −1: what the proof of the
/// range certificate calls the worst.
fn extremal(degree: usize, half: f64) -> Case {
    let p = Polynomial::near_exp(degree, 0, half);
    let error = |x: f64| p.at(x) * (-x).exp() - 1.0;
    let points: Vec<f64> = (0..=4000).map(|i| half * (i as f64 / 2000.0 - 1.0)).collect();
    let furthest = |sign: f64| {
        points.iter().copied().max_by(|a, b| (sign * error(*a)).total_cmp(&(sign * error(*b)))).expect("points")
    };
    let (above, below) = (furthest(1.0), furthest(-1.0));
    // Weights of both sides alike: as many tokens as make up for the scores' difference.
    let (few, many) = if above > below { (above, below) } else { (below, above) };
    let times = ((few - many).exp().round() as usize).max(1);
    // Tokens at both ends, of which there are few, give the interval.
    let scores: Vec<f32> = std::iter::repeat_n(few, 40)
        .chain(std::iter::repeat_n(many, 40 * times))
        .chain([-half * 0.9999, half * 0.9999])
        .map(|x| x as f32)
        .collect();
    let problem = Problem { queries: 1, keys: vec![scores.len()], ..Problem::new(2, 1, 1, 1.0) };
    let mut case = Case::of(problem, &mut Random(1));
    case.q = vec![1.0];
    case.values = vec![scores.iter().map(|x| if (*x - few as f32).abs() < 1e-6 { 1.0 } else { -1.0 }).collect()];
    case.keys = vec![scores];
    case
}

#[test]
fn certificates_that_are_a_little_too_small_are_caught() {
    let mut caught = 0;
    for degree in 1..=5 {
        // Just below a step of the polynomials' intervals, so that little is lost by rounding up.
        for half in [0.4994, 0.9994, 1.9994] {
            let case = extremal(degree, half);
            let options = Options { tolerance: Tolerance::Absolute(2.0), degree, ..Options::default() };
            let found = Approximated::of(&case, &options, Level::best());
            let worst = worst(&case, &found, 1.0).expect("no certificate is beaten");
            println!("degree {degree}, scores within {half}: error / certificate {worst:.3}");
            caught += usize::from(self::worst(&case, &found, 0.5).is_err());
        }
    }
    assert!(caught >= 4, "half of the certificate goes unnoticed but for {caught} problems");
}

#[test]
fn a_tolerance_is_met_or_the_row_is_exact_or_an_error_says_why() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let case = hard(&mut random);
        let tolerance = [1e-4, 1e-2, 0.1][random.below(3)];
        let options =
            Options { tolerance: Tolerance::Absolute(tolerance), method: Method::Polynomial, ..Options::default() };
        let found = Approximated::of(&case, &options, Level::best());
        for row in 0..case.problem.rows() {
            let met = f64::from(found.certificate[row]) <= tolerance * 1.0001;
            assert!(met || found.method[row] == EXACT, "seed {seed}, row {row}: {}", found.certificate[row]);
        }
        let strict = Options { exact_rows: 0.0, ..options };
        match Approximated::try_of(&case, &strict, Level::best()) {
            Ok(strict) => assert_eq!(strict.summary.exact, 0),
            Err(why) => {
                assert!(found.summary.exact > 0);
                assert!(why.to_string().contains("cannot be certified"), "{why}");
            }
        }
    }
}

#[test]
fn what_polynomials_cannot_do_is_refused_by_them_and_done_exactly_by_auto() {
    let mut case = Case::of(Problem::new(3, 6, 4, 0.3), &mut Random(5));
    case.biases.push(((0, 1), vec![0.5; 36]));
    let why = Approximated::try_of(&case, &Options::default(), Level::best()).expect_err("biases");
    assert!(why.to_string().contains("biases"), "{why}");
    let auto = Options { method: Method::Auto, ..Options::default() };
    let found = Approximated::of(&case, &auto, Level::best());
    assert_eq!((found.summary.exact, found.summary.polynomial), (6, 0));
    worst(&case, &found, 1.0).expect("its certificate holds");
    for wrong in [
        Options { tolerance: Tolerance::Relative(0.0), ..auto },
        Options { tolerance: Tolerance::Absolute(f64::NAN), ..auto },
        Options { degree: 0, ..auto },
        Options { degree: 99, ..auto },
    ] {
        assert!(Approximated::try_of(&case, &wrong, Level::best()).is_err(), "{wrong:?}");
    }
}

#[test]
fn moving_states_are_the_dense_form_under_a_mask_and_the_bits_do_not_depend_on_threads() {
    for seed in 0..40 {
        let mut random = Random(1000 + seed);
        let order = random.between(2, 3);
        let n = random.between(2, if order == 2 { 700 } else { 40 });
        let mut problem = Problem::new(order, n, random.between(1, 4), 0.2);
        problem.causal = random.chance(2);
        if !problem.causal || random.chance(2) {
            problem.windows = (1..order).map(|_| (!random.chance(4)).then(|| random.between(1, n))).collect();
        }
        let case = Case::of(problem, &mut random);
        let options = Options { tolerance: Tolerance::Relative(0.05), ..Options::default() };
        let one = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| Approximated::of(&case, &options, Level::best()))
        };
        let found = one(1);
        assert_eq!(found, one(3), "seed {seed}");
        worst(&case, &found, 1.0).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!(tokens(&case.problem, 0), n);
    }
}

#[test]
fn a_plan_says_truly_why_the_exact_kernel_is_taken() {
    let why = |width: usize, scale: f32, method: Method| {
        let mut case = Case::of(Problem::new(2, 6, width, scale), &mut Random(77));
        // Scores of a few hundredths to some units, as the scale says, whatever the width.
        case.q.iter_mut().for_each(|x| *x /= (width as f32).sqrt());
        let options = Options { method, ..Options::default() };
        let plan = case.with_inputs(|inputs| plan(&case.problem, inputs, &options, Level::best())).unwrap();
        assert_eq!((plan.choice, plan.degree.is_some()), (Method::Exact, plan.seconds.is_some()), "{}", plan.why);
        plan.why
    };
    // Six tokens are soonest done exactly, though a polynomial would do.
    assert_eq!(why(8, 0.02, Method::Auto), "degree 2 is predicted to take longer already, whatever it certifies");
    let would = why(8, 0.02, Method::Polynomial);
    assert!(would.starts_with("degree 2 would certify it, but is predicted to take "), "{would}");
    // C(259, 3) is more than a million; degree 2 certifies none of these.
    assert_eq!(why(256, 0.1, Method::Polynomial), "degree 3 has more than 1048576 monomials in 256 channels");
    let far = why(8, 40.0, Method::Polynomial);
    assert!(far.starts_with("no polynomial of degree up to 8 certifies scores within ±8.000"), "{far}");
}
