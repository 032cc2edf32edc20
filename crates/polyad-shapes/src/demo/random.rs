//! Numbers from a seed: splitmix64 over a counter, the same on every machine.

use super::solid::Matrix;
use std::f64::consts::TAU;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A stream of its own for every pair of seed and stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random { state: mix(seed ^ mix(stream.wrapping_add(GOLDEN))) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// A whole number from `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// A rotation, uniform over all of them (Shoemake: a quaternion from three uniform numbers).
    pub fn rotation(&mut self) -> Matrix {
        let u = self.between(0.0, 1.0);
        let (a, b) = (self.between(0.0, TAU), self.between(0.0, TAU));
        let (p, q) = ((1.0 - u).sqrt(), u.sqrt());
        let (x, y, z, w) = (p * libm::sin(a), p * libm::cos(a), q * libm::sin(b), q * libm::cos(b));
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
