//! Which weights are dropped: a function of the seed, the head, the query and the tuple, so of no thread.
//!
//! Philox 4x32-10 (Salmon et al., SC 2011), a counter-based generator: block `(row, tuple / 4)` of key `seed`.

use crate::problem::Dropout;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four random words of a counter and a key.
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], mut key) = (counter, key);
    for _ in 0..10 {
        let [x, y] = [u64::from(a) * u64::from(MULTIPLIERS[0]), u64::from(c) * u64::from(MULTIPLIERS[1])];
        (a, b, c, d) = ((y >> 32) as u32 ^ b ^ key[0], y as u32, (x >> 32) as u32 ^ d ^ key[1], x as u32);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    [a, b, c, d]
}

impl Dropout {
    /// That of one of several packed sequences, so that each has a pattern of its own: the seed is drawn anew, by a counter
    /// that no row and tuple have.
    pub fn of_sequence(self, sequence: usize) -> Dropout {
        let sequence = sequence as u64;
        let counter = [sequence as u32, (sequence >> 32) as u32, u32::MAX, u32::MAX];
        let [low, high, ..] = philox(counter, [self.seed as u32, (self.seed >> 32) as u32]);
        Dropout { seed: u64::from(low) | u64::from(high) << 32, ..self }
    }

    /// What the weight of a tuple (its index among all tuples, key axis 1 outermost) of a row (its index among all rows of
    /// all heads) is multiplied by.
    pub fn factor(&self, row: u64, tuple: u64) -> f32 {
        let block = tuple / 4;
        let counter = [block as u32, (block >> 32) as u32, row as u32, (row >> 32) as u32];
        let word = philox(counter, [self.seed as u32, (self.seed >> 32) as u32])[(tuple % 4) as usize];
        // 24 bits, so that the comparison is exact.
        let uniform = (word >> 8) as f32 / (1 << 24) as f32;
        if uniform < self.rate { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_its_authors_known_answers() {
        // From the known-answer file of Random123.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn the_share_that_is_dropped_is_the_rate_and_the_mean_stays() {
        let dropout = Dropout { rate: 0.25, seed: 7 };
        let factors: Vec<f32> = (0..100).flat_map(|row| (0..1000).map(move |t| dropout.factor(row, t))).collect();
        let dropped = factors.iter().filter(|f| **f == 0.0).count() as f64 / 1e5;
        // Five standard deviations of a binomial share.
        assert!((dropped - 0.25).abs() < 5.0 * (0.25f64 * 0.75 / 1e5).sqrt(), "{dropped}");
        assert!(factors.iter().all(|f| *f == 0.0 || *f == 1.0 / 0.75));
        assert_ne!(dropout.factor(1, 2), Dropout { seed: 8, ..dropout }.factor(1, 2) + 10.0);
    }
}
