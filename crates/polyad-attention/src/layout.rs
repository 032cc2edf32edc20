//! Where the tokens of an array lie, and arrays cut into them.

use crate::error::{Error, Result, problem};

/// Steps, in numbers, from one batch entry, head, token to the next. The features of a token lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strides {
    /// From a batch entry to the next.
    pub batch: usize,
    /// From a head to the next.
    pub head: usize,
    /// From a token to the next.
    pub token: usize,
}

impl Strides {
    /// Of a contiguous `[batch, heads, tokens, width]`.
    pub fn heads_outside(heads: usize, tokens: usize, width: usize) -> Self {
        Strides { batch: heads * tokens * width, head: tokens * width, token: width }
    }

    /// Of a contiguous `[batch, tokens, heads, width]`.
    pub fn tokens_outside(heads: usize, tokens: usize, width: usize) -> Self {
        Strides { batch: heads * tokens * width, head: width, token: heads * width }
    }
}

/// Where the numbers of each array of a problem lie: `None`, and an empty list, are contiguous `[batch, heads, n, d]`.
///
/// A gradient lies as what it is the gradient of. What lies between tokens is neither read nor written. Inputs may use
/// the same numbers twice (a step of 0 is one head for all); what is written must not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Of q.
    pub q: Option<Strides>,
    /// Of the keys of each axis, for as many tokens as there is room for.
    pub keys: Vec<Option<Strides>>,
    /// Of the values of each axis, for as many tokens as there is room for.
    pub values: Vec<Option<Strides>>,
    /// Of out.
    pub out: Option<Strides>,
}

/// The places of all tokens of one array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// Batch entries, heads, tokens.
    pub sizes: [usize; 3],
    pub width: usize,
    /// `None`: contiguous.
    pub strides: Option<Strides>,
}

impl Places {
    /// The strides, those of a contiguous array too.
    pub fn strides(&self) -> Strides {
        let [_, heads, tokens] = self.sizes;
        self.strides.unwrap_or(Strides::heads_outside(heads, tokens, self.width))
    }

    fn steps(&self) -> [usize; 3] {
        let Strides { batch, head, token } = self.strides();
        [batch, head, token]
    }

    /// Tokens of all heads.
    fn rows(&self) -> usize {
        self.sizes.iter().product()
    }

    /// Where a row of `[batch, heads, tokens]` begins.
    pub fn start(&self, row: usize) -> usize {
        if self.strides.is_none() {
            return row * self.width;
        }
        let [_, heads, tokens] = self.sizes;
        let at = [row / tokens / heads, row / tokens % heads, row % tokens];
        at.iter().zip(self.steps()).map(|(at, step)| at * step).sum()
    }

    /// The numbers of a row.
    pub fn row<'a, E>(&self, array: &'a [E], row: usize) -> &'a [E] {
        &array[self.start(row)..][..self.width]
    }

    /// An array from a head on, counted over all batch entries; it is empty where there is no token.
    pub fn since_head<'a, E>(&self, array: &'a [E], head: usize) -> &'a [E] {
        &array[self.start(head * self.sizes[2]).min(array.len())..]
    }

    /// Numbers up to the last that is used.
    pub fn numbers(&self) -> usize {
        match self.rows() {
            0 => 0,
            rows => self.start(rows - 1) + self.width,
        }
    }

    /// Refuses steps that no memory has room for. Sizes alone have been looked at.
    pub fn check(&self, name: &str) -> Result<()> {
        let Some(strides) = self.strides else { return Ok(()) };
        let last = self.sizes.iter().zip(self.steps()).try_fold(self.width, |sum, (size, step)| {
            size.saturating_sub(1).checked_mul(step).and_then(|way| sum.checked_add(way))
        });
        match last.filter(|last| *last <= isize::MAX as usize / 64) {
            Some(_) => Ok(()),
            None => problem(format!("{name} with {strides:?} reaches further than memory has addresses")),
        }
    }

    /// Refuses an array of another length: of more or less where it is contiguous, of less where it has strides.
    pub fn check_length(&self, name: &str, found: usize) -> Result<()> {
        let expected = self.numbers();
        match self.strides {
            None if found != expected => Err(Error::Length { name: name.to_owned(), expected, found }),
            Some(strides) if found < expected => {
                problem(format!("{name} has {found} numbers, and with {strides:?} it reaches number {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses places that are to be written and of which one number belongs to two. Each step must go past all that
    /// the smaller steps reach, which every permutation of axes does, with whatever lies between.
    pub fn check_apart(&self, name: &str) -> Result<()> {
        if self.strides.is_none() || self.rows() == 0 {
            return Ok(());
        }
        let mut axes: Vec<(usize, usize, &str)> = ["batch", "head", "token"]
            .into_iter()
            .zip(self.sizes.into_iter().zip(self.steps()))
            .map(|(axis, (size, step))| (step, size, axis))
            .filter(|(_, size, _)| *size > 1)
            .collect();
        axes.sort_unstable();
        let mut within = self.width;
        for (step, size, axis) in axes {
            if step < within {
                return problem(format!(
                    "{name} overlaps itself: from one {axis} to the next are {step} numbers, and each takes {within}"
                ));
            }
            within += (size - 1) * step;
        }
        Ok(())
    }

    /// An array as its rows, in the order of `[batch, heads, tokens]`, after [`Places::check_apart`].
    pub fn cut<'a, E>(&self, array: &'a mut [E]) -> Vec<&'a mut [E]> {
        if self.strides.is_none() {
            return array.chunks_exact_mut(self.width).collect();
        }
        let mut starts: Vec<(usize, usize)> = (0..self.rows()).map(|row| (self.start(row), row)).collect();
        starts.sort_unstable();
        let (mut rest, mut at) = (array, 0);
        let mut rows: Vec<(usize, &mut [E])> = Vec::with_capacity(starts.len());
        for (start, row) in starts {
            let (own, after) = std::mem::take(&mut rest)[start - at..].split_at_mut(self.width);
            rows.push((row, own));
            (rest, at) = (after, start + self.width);
        }
        rows.sort_unstable_by_key(|(row, _)| *row);
        rows.into_iter().map(|(_, own)| own).collect()
    }
}
