//! How far results are from the definition in double precision, and how far they may be. No tolerance is picked by hand:
//! of every array, no number may be further off than twice what the plain version in the same precision is at worst, and
//! the floor that [`crate::plain`] derives.

use crate::plain::{Number, Plain, Precision, plain};
use crate::support::{Attended, Case, Gradient};
use polyad_attention::reference;

/// An array that was found, by the plain version, and by the definition.
pub struct Array<'a> {
    pub name: String,
    /// Numbers of a row.
    pub width: usize,
    pub found: &'a [f32],
    pub plain: &'a [Number],
    pub exact: &'a [f64],
}

pub fn error(found: f32, exact: f64) -> f64 {
    let found = f64::from(found);
    if found == exact { 0.0 } else { (found - exact).abs() }
}

impl Array<'_> {
    /// The first number that is further off than it may be, in words.
    pub fn complaint(&self) -> Option<String> {
        assert!(self.found.len() == self.exact.len() && self.plain.len() == self.exact.len(), "{}", self.name);
        let of_plain = self.plain.iter().zip(self.exact).map(|(plain, exact)| error(plain.value, *exact));
        let worst = of_plain.fold(0.0, f64::max);
        let mut numbers = self.found.iter().zip(self.plain).zip(self.exact).enumerate();
        // Not a number is never near enough.
        let wrong = numbers.find(|(_, ((found, plain), exact))| {
            let near = error(**found, **exact) <= 2.0 * worst + plain.floor;
            !near
        });
        wrong.map(|(index, ((found, plain), exact))| {
            let (name, floor) = (&self.name, plain.floor);
            format!(
                "{name}[{index}] is {found}, expected {exact}; the plain version errs by {worst:.1e}, floor {floor:.1e}"
            )
        })
    }

    /// The greatest error relative to its row's greatest number, or mass where terms cancel.
    pub fn relative(&self) -> f64 {
        let rows = self.found.chunks(self.width).zip(self.exact.chunks(self.width)).zip(self.plain.chunks(self.width));
        let of_row = |((found, exact), plain): ((&[f32], &[f64]), &[Number])| {
            let most = exact.iter().filter(|x| x.is_finite()).fold(0f64, |most, x| most.max(x.abs()));
            let most = plain.iter().fold(most, |most, plain| most.max(plain.mass));
            let worst = found.iter().zip(exact).map(|(found, exact)| error(*found, *exact)).fold(0.0, f64::max);
            if worst == 0.0 { 0.0 } else { worst / most }
        };
        rows.map(of_row).fold(0.0, f64::max)
    }
}

/// What a case gives by the plain version and by the definition.
pub struct Expected {
    pub plain: Plain,
    pub out: Vec<f64>,
    pub lse: Vec<f64>,
    pub gradients: reference::Gradients,
}

impl Expected {
    pub fn of(case: &Case, precision: Precision) -> Expected {
        let problem = &case.problem;
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let numbers = case.with_inputs(|inputs| reference::Numbers::new(problem, inputs).unwrap());
        let (out, lse) = reference::forward(problem, &numbers);
        let gradients = reference::backward(problem, &numbers, &wide(&case.dout), &wide(&case.dlse));
        Expected { plain: plain(case, precision), out, lse, gradients }
    }

    /// All arrays of results.
    pub fn arrays<'a>(&'a self, case: &Case, attended: &'a Attended, gradient: &'a Gradient) -> Vec<Array<'a>> {
        let (problem, Expected { plain, out, lse, gradients }) = (&case.problem, self);
        let array =
            |name: &str, width, found, plain, exact| Array { name: name.to_owned(), width, found, plain, exact };
        let mut all = vec![
            array("out", problem.value_width, &attended.out[..], &plain.out[..], &out[..]),
            array("lse", problem.queries, &attended.lse, &plain.lse, lse),
            array("dq", problem.width, &gradient.q, &plain.q, &gradients.q),
        ];
        for axis in 0..problem.keys.len() {
            let (found, plain, exact) = (&gradient.keys[axis], &plain.keys[axis], &gradients.keys[axis]);
            all.push(array(&format!("dk{}", axis + 1), problem.width, found, plain, exact));
        }
        for axis in 0..problem.keys.len() {
            let (found, plain, exact) = (&gradient.values[axis], &plain.values[axis], &gradients.values[axis]);
            all.push(array(&format!("dv{}", axis + 1), problem.value_width, found, plain, exact));
        }
        for (index, (axes, numbers)) in case.biases.iter().enumerate() {
            let (found, plain, exact) = (&gradient.biases[index], &plain.biases[index], &gradients.biases[index]);
            all.push(array(&format!("dbias {axes:?}"), numbers.len(), found, plain, exact));
        }
        if let Some(found) = &gradient.sink {
            all.push(array("dsink", found.len(), found, &plain.sink, &gradients.sink));
        }
        all
    }

    /// Refuses results of which a number is further off than it may be. Gives the arrays.
    #[track_caller]
    pub fn check<'a>(
        &'a self,
        case: &Case,
        attended: &'a Attended,
        gradient: &'a Gradient,
        what: &str,
    ) -> Vec<Array<'a>> {
        let arrays = self.arrays(case, attended, gradient);
        for array in &arrays {
            if let Some(complaint) = array.complaint() {
                panic!("{complaint}: {what}, {:?}", case.problem);
            }
        }
        arrays
    }
}
