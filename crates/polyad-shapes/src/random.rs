//! Numbers from a seed: splitmix64 (Steele, Lea and Flood, 2014) over a counter, the same on every machine.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of numbers that a seed and a stream's number determine.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A stream of its own for every pair of seed and stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random { state: mix(seed ^ mix(stream.wrapping_add(GOLDEN))) }
    }

    /// splitmix64 itself, from this state.
    pub fn splitmix64(state: u64) -> Self {
        Random { state }
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait, reason = "a stream without end, of which an iterator would say `Option`")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// A whole number from `low` to `high`, both included; `low` must not be greater.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// True in `share` of all cases.
    pub fn chance(&mut self, share: f64) -> bool {
        self.between(0.0, 1.0) < share
    }

    /// One of these, all alike likely.
    ///
    /// # Panics
    /// Where there are none.
    pub fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.count(0, these.len() - 1)]
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// Puts things into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.count(0, last));
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
