//! What is to be computed, and the checks that it can be.

use crate::element::Element;
use crate::error::{Result, check_length, problem};
use crate::form::ScoreForm;
use crate::layout::{Layout, Places, Strides};
use crate::packed;

/// The widest head.
pub const MOST_WIDTH: usize = 256;
/// The most numbers of a token: a link of a tree has one more.
pub(crate) const MOST_NUMBERS: usize = MOST_WIDTH + 1;
/// The highest order.
pub const MOST_ORDER: usize = 8;

/// Attention of one query sequence over `keys.len()` key axes, for every head of every batch entry.
///
/// ```text
/// S[i, j1..] = scale · form(q[i], k1[j1], ..)  then softcap, then biases;  −∞ where a key is not visible
/// P[i, ..]   = softmax of S[i, ..] over all visible tuples together
/// out[i]     = Σ P[i, j1..] v1[j1] ∘ v2[j2] ..        lse[i] = ln Σ exp S[i, ..]
/// ```
///
/// A query that sees nothing gives `out` 0 and `lse` −∞, and sends no gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Independent sequences.
    pub batch: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys; they divide `heads`: query head `h` uses key head `h / (heads / key_heads)`.
    pub key_heads: usize,
    /// Queries of a sequence.
    pub queries: usize,
    /// Keys on each axis; the order is one more than there are axes.
    pub keys: Vec<usize>,
    /// Tokens that there is room for on each axis, in the arrays of a head: of a cache, only the first `keys` are looked
    /// at. Empty: as many as there are keys.
    pub room: Vec<usize>,
    /// Features of queries and keys, 1 to 256.
    pub width: usize,
    /// Features of values, 1 to 256.
    pub value_width: usize,
    /// How a score is made.
    pub form: ScoreForm,
    /// What scores are multiplied by. Always explicit: the literature has 1/d and 1/√d.
    pub scale: f32,
    /// Key `j` is visible to query `i` when `j <= i + m − n`, on every axis.
    pub causal: bool,
    /// For each axis, if not `None`: key `j` is visible to query `i` when `i + m − n − j` is less than this. Without
    /// `causal` no later key is hidden. Empty: none on any axis.
    pub windows: Vec<Option<usize>>,
    /// For each batch entry (each sequence, where they are packed), or one for all, the keys that count on each axis.
    /// Empty: all.
    pub lengths: Vec<Vec<usize>>,
    /// Where each of several sequences begins among the queries, then on each key axis, and the end of the last: for
    /// n sequences n + 1 numbers each, the first 0, the last all tokens. Each sequence is attention of its own, with its
    /// own causality, windows and lengths: no tuple crosses sequences, and the cost is the sum of theirs. `batch` is then 1,
    /// and `room` empty: where caches have room to spare, the lengths say how much of each counts (causality and windows
    /// are aligned at the end of the room). Empty: a batch entry is one sequence.
    pub packed: Vec<Vec<usize>>,
    /// Where the numbers of the arrays lie, if not contiguously.
    pub layout: Layout,
    /// Scores `s` become `c · tanh(s / c)`.
    pub softcap: Option<f32>,
    /// The share of weights that is set to 0, the others scaled to make up for it, and what decides which.
    pub dropout: Option<Dropout>,
}

/// Dropout of normalised weights: `lse` is that without it. The same weights are dropped in forward and backward, on any
/// number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The share, at least 0 and below 1.
    pub rate: f32,
    /// What decides which.
    pub seed: u64,
}

impl Problem {
    /// A problem of one head without masks, all axes of the same length as the queries.
    pub fn new(order: usize, tokens: usize, width: usize, scale: f32) -> Self {
        Problem {
            batch: 1,
            heads: 1,
            key_heads: 1,
            queries: tokens,
            keys: vec![tokens; order.saturating_sub(1)],
            room: Vec::new(),
            width,
            value_width: width,
            form: ScoreForm::Linear,
            scale,
            causal: false,
            windows: Vec::new(),
            lengths: Vec::new(),
            packed: Vec::new(),
            layout: Layout::default(),
            softcap: None,
            dropout: None,
        }
    }

    /// The same problem over contiguous arrays `[batch, n, heads, d]`, out too.
    pub fn tokens_outside(self) -> Self {
        let of_keys = |axis: usize, width| Some(Strides::tokens_outside(self.key_heads, self.room(axis), width));
        let of_queries = |width| Some(Strides::tokens_outside(self.heads, self.queries, width));
        let axes = 0..self.keys.len();
        let layout = Layout {
            q: of_queries(self.width),
            keys: axes.clone().map(|axis| of_keys(axis, self.width)).collect(),
            values: axes.map(|axis| of_keys(axis, self.value_width)).collect(),
            out: of_queries(self.value_width),
        };
        Problem { layout, ..self }
    }

    /// One more than there are key axes.
    pub fn order(&self) -> usize {
        self.keys.len() + 1
    }

    /// Refuses what contradicts itself, saying what does.
    pub fn check(&self) -> Result<()> {
        let order = self.order();
        if !(2..=MOST_ORDER).contains(&order) {
            return problem(format!("{} key axes; there can be 1 to {}", self.keys.len(), MOST_ORDER - 1));
        }
        for (name, width) in [("width", self.width), ("value_width", self.value_width)] {
            if !(1..=MOST_WIDTH).contains(&width) {
                return problem(format!("{name} is {width}; it can be 1 to {MOST_WIDTH}"));
            }
        }
        if self.heads == 0 || self.key_heads == 0 || !self.heads.is_multiple_of(self.key_heads) {
            return problem(format!("{} key heads do not divide {} heads", self.key_heads, self.heads));
        }
        if order != 3 && matches!(self.form, ScoreForm::Determinant | ScoreForm::Strassen) {
            return problem(format!("the {} form is of order 3, the problem of order {order}", self.form.name()));
        }
        if !self.scale.is_finite() {
            return problem(format!("scale is {}", self.scale));
        }
        if let Some(cap) = self.softcap
            && !(cap.is_finite() && cap > 0.0)
        {
            return problem(format!("softcap is {cap}; it must be positive"));
        }
        if let Some(Dropout { rate, .. }) = self.dropout
            && !(0.0..1.0).contains(&rate)
        {
            return problem(format!("dropout is {rate}; it can be 0 up to, not including, 1"));
        }
        if !self.room.is_empty() && self.room.len() != self.keys.len() {
            return problem(format!("room on {} axes for {} key axes", self.room.len(), self.keys.len()));
        }
        if let Some((room, keys)) = self.room.iter().zip(&self.keys).find(|(room, keys)| room < keys) {
            return problem(format!("room for {room} tokens on an axis of {keys} keys"));
        }
        if !self.windows.is_empty() && self.windows.len() != self.keys.len() {
            return problem(format!("{} windows for {} key axes", self.windows.len(), self.keys.len()));
        }
        packed::check(self)?;
        if !matches!(self.lengths.len(), 0 | 1) && self.lengths.len() != self.sequences() {
            let entries = if self.packed.is_empty() { "batch entries" } else { "packed sequences" };
            return problem(format!("lengths for {} {entries} of {}", self.lengths.len(), self.sequences()));
        }
        for lengths in &self.lengths {
            if lengths.len() != self.keys.len() {
                return problem(format!("{} lengths for {} key axes", lengths.len(), self.keys.len()));
            }
            if let Some((length, keys)) = lengths.iter().zip(&self.keys).find(|(length, keys)| length > keys) {
                return problem(format!("length {length} on an axis of {keys} keys"));
            }
        }
        packed::check_lengths(self)?;
        // Positions are compared as signed numbers, and all sizes are products of these.
        let sizes = self.keys.iter().chain(&self.room).copied().chain([self.queries]);
        let sizes = sizes.map(|tokens| tokens.checked_mul(self.heads).and_then(|x| x.checked_mul(self.batch)));
        let widest = self.width.max(self.value_width) * order;
        for size in sizes {
            if size.and_then(|x| x.checked_mul(widest)).is_none_or(|x| x > isize::MAX as usize / 64) {
                return problem("there are more tokens than memory has addresses");
            }
        }
        if self.keys.iter().try_fold(self.queries, |all, keys| all.checked_mul(*keys)).is_none() {
            return problem("there are more tuples than a number can count");
        }
        for (name, strides) in [("keys", &self.layout.keys), ("values", &self.layout.values)] {
            if !strides.is_empty() && strides.len() != self.keys.len() {
                return problem(format!("strides of {} {name} for {} key axes", strides.len(), self.keys.len()));
            }
        }
        self.query_places().check("q")?;
        for axis in 0..self.keys.len() {
            self.key_places(axis).check(&format!("k{}", axis + 1))?;
            self.value_places(axis).check(&format!("v{}", axis + 1))?;
        }
        self.out_places().check("out")?;
        self.out_places().check_apart("out")
    }

    /// Sequences in all: those that are packed, or the batch's entries.
    pub(crate) fn sequences(&self) -> usize {
        self.packed.first().map_or(self.batch, |offsets| offsets.len() - 1)
    }

    fn places_of_queries(&self, width: usize, strides: Option<Strides>) -> Places {
        Places { sizes: [self.batch, self.heads, self.queries], width, strides }
    }

    fn places_on_axis(&self, axis: usize, width: usize, strides: &[Option<Strides>]) -> Places {
        let strides = strides.get(axis).copied().flatten();
        Places { sizes: [self.batch, self.key_heads, self.room(axis)], width, strides }
    }

    /// Where q lies, and its gradient.
    pub(crate) fn query_places(&self) -> Places {
        self.places_of_queries(self.width, self.layout.q)
    }

    /// Where out lies, and its gradient.
    pub(crate) fn out_places(&self) -> Places {
        self.places_of_queries(self.value_width, self.layout.out)
    }

    /// Where the keys of an axis lie, and their gradient.
    pub(crate) fn key_places(&self, axis: usize) -> Places {
        self.places_on_axis(axis, self.width, &self.layout.keys)
    }

    /// Where the values of an axis lie, and their gradient.
    pub(crate) fn value_places(&self, axis: usize) -> Places {
        self.places_on_axis(axis, self.value_width, &self.layout.values)
    }

    /// Numbers in q, and in its gradient: where it has strides, up to the last that is used.
    pub fn query_numbers(&self) -> usize {
        self.query_places().numbers()
    }

    /// Numbers in out, and in its gradient: where it has strides, up to the last that is used.
    pub fn out_numbers(&self) -> usize {
        self.out_places().numbers()
    }

    /// Numbers in lse, and in its gradient.
    pub fn rows(&self) -> usize {
        self.batch * self.heads * self.queries
    }

    /// Tokens that an axis has room for.
    pub(crate) fn room(&self, axis: usize) -> usize {
        self.room.get(axis).copied().unwrap_or(self.keys[axis])
    }

    /// Numbers in the keys of an axis, counted from 0: where they have strides, up to the last that is used.
    pub fn key_numbers(&self, axis: usize) -> usize {
        self.key_places(axis).numbers()
    }

    /// Numbers in the values of an axis, counted from 0: where they have strides, up to the last that is used.
    pub fn value_numbers(&self, axis: usize) -> usize {
        self.value_places(axis).numbers()
    }

    /// Refuses axes of biases that are not two of the score's, the smaller first, and a pair that is there twice.
    pub fn check_pairs(&self, pairs: &[(usize, usize)]) -> Result<()> {
        for (index, (a, b)) in pairs.iter().enumerate() {
            if a >= b || *b >= self.order() {
                return problem(format!("a bias of axes {a} and {b} in a problem of order {}", self.order()));
            }
            if pairs[..index].contains(&(*a, *b)) {
                return problem(format!("two biases of axes {a} and {b}"));
            }
        }
        Ok(())
    }

    /// Tokens on an axis of a score: 0 is the query, `a` the key axis `a − 1`.
    pub fn tokens(&self, operand: usize) -> usize {
        if operand == 0 { self.queries } else { self.keys[operand - 1] }
    }

    /// From a tuple to that with the next token of an axis, among all tuples, key axis 1 outermost.
    pub(crate) fn tuple_stride(&self, axis: usize) -> usize {
        self.keys[axis + 1..].iter().product()
    }

    /// The keys that count on an axis, counted from 0, for a batch entry, where sequences are not packed.
    pub fn length(&self, batch: usize, axis: usize) -> usize {
        match self.lengths.len() {
            0 => self.keys[axis],
            1 => self.lengths[0][axis],
            _ => self.lengths[batch][axis],
        }
    }

    /// The keys of an axis, counted from 0, that query `i` may see, by causality and window: from the first up to, not
    /// including, the second. Lengths are not looked at, and sequences are not packed.
    pub fn visible(&self, axis: usize, i: usize) -> (usize, usize) {
        let keys = self.keys[axis];
        let at = i as isize + keys as isize - self.queries as isize;
        let high = if self.causal { (at + 1).clamp(0, keys as isize) as usize } else { keys };
        let low = match self.windows.get(axis).copied().flatten() {
            Some(window) => (at + 1).saturating_sub_unsigned(window).clamp(0, keys as isize) as usize,
            None => 0,
        };
        (low, high.max(low))
    }

    /// The queries that may see key `j` of an axis, by causality and window.
    pub(crate) fn seen_by(&self, axis: usize, j: usize) -> (usize, usize) {
        let queries = self.queries as isize;
        // Query i stands at key i + m − n.
        let own = j as isize - (self.keys[axis] as isize - queries);
        let low = if self.causal { own.clamp(0, queries) } else { 0 };
        let high = match self.windows.get(axis).copied().flatten() {
            Some(window) => own.saturating_add_unsigned(window).clamp(0, queries),
            None => queries,
        };
        (low as usize, high.max(low) as usize)
    }
}

/// A bias of a pair of axes, added to all scores.
#[derive(Debug, Clone, Copy)]
pub struct Bias<'a> {
    /// Two of the score's axes, the smaller first: 0 is the query, `a` key axis `a`.
    pub axes: (usize, usize),
    /// `[tokens, tokens]` for all heads, or `[batch, heads, tokens, tokens]`. Of packed sequences one such array after
    /// the other, each of its own tokens only and with a batch of 1.
    pub values: &'a [f32],
}

/// What a problem is computed from. All arrays are contiguous, the last axis innermost, unless the problem's
/// [`Layout`] says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, E = f32> {
    /// `[batch, heads, n, d]`
    pub q: &'a [E],
    /// For each axis `[batch, key_heads, room, d]`, room being the keys unless said otherwise.
    pub keys: &'a [&'a [E]],
    /// For each axis `[batch, key_heads, room, d_v]`.
    pub values: &'a [&'a [E]],
    /// Any number, of different pairs.
    pub biases: &'a [Bias<'a>],
    /// For each axis, if not empty: `[batch, m]`, true where a key must not be seen.
    pub hidden: &'a [Option<&'a [bool]>],
    /// If there: `[heads]`, a logit that joins every softmax with value 0, so that a query may attend to nothing.
    pub sink: Option<&'a [f32]>,
}

impl<'a, E: Element> Inputs<'a, E> {
    /// Queries, keys and values alone.
    pub fn new(q: &'a [E], keys: &'a [&'a [E]], values: &'a [&'a [E]]) -> Self {
        Inputs { q, keys, values, biases: &[], hidden: &[], sink: None }
    }

    /// The sink of a row of `[batch, heads, n]`.
    pub(crate) fn sink_of(&self, problem: &Problem, row: usize) -> Option<f32> {
        self.sink.map(|sink| sink[row / problem.queries % problem.heads])
    }

    /// Refuses arrays that do not fit the problem, and the problem if it is wrong.
    pub fn check(&self, problem: &Problem) -> Result<()> {
        problem.check()?;
        problem.query_places().check_length("q", self.q.len())?;
        for (name, arrays, of) in [
            ("k", self.keys, Problem::key_places as fn(&Problem, usize) -> Places),
            ("v", self.values, Problem::value_places),
        ] {
            if arrays.len() != problem.keys.len() {
                return self::problem(format!("{} arrays {name} for {} key axes", arrays.len(), problem.keys.len()));
            }
            for (axis, array) in arrays.iter().enumerate() {
                of(problem, axis).check_length(&format!("{name}{}", axis + 1), array.len())?;
            }
        }
        problem.check_pairs(&self.biases.iter().map(|bias| bias.axes).collect::<Vec<_>>())?;
        for bias in self.biases {
            let (a, b) = bias.axes;
            let one = packed::bias_numbers(problem, bias.axes);
            if bias.values.len() != one {
                check_length(format!("bias_{a}{b}"), bias.values.len(), one * problem.batch * problem.heads)?;
            }
        }
        if !self.hidden.is_empty() && self.hidden.len() != problem.keys.len() {
            return self::problem(format!("{} padding masks for {} key axes", self.hidden.len(), problem.keys.len()));
        }
        for (axis, hidden) in self.hidden.iter().enumerate() {
            if let Some(hidden) = hidden {
                check_length(format!("hidden{}", axis + 1), hidden.len(), problem.batch * problem.keys[axis])?;
            }
        }
        if let Some(sink) = self.sink {
            check_length("sink", sink.len(), problem.heads)?;
        }
        Ok(())
    }
}

impl Bias<'_> {
    /// Where the bias of a head begins.
    pub(crate) fn start(&self, problem: &Problem, batch: usize, head: usize) -> usize {
        let one = problem.tokens(self.axes.0) * problem.tokens(self.axes.1);
        if self.values.len() == one { 0 } else { (batch * problem.heads + head) * one }
    }
}
