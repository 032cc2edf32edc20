//! Views as a network sees them in training: in random order, moved and mirrored.

use crate::random::Random;
use crate::view_set::View;

/// A view moved by up to a twenty-fourth of its side, mirrored or not, its contrast changed by up to a fifth. What
/// comes in at an edge is white, as the background is.
pub(super) fn jittered(view: &View, random: &mut Random) -> View {
    let reach = (view.width.min(view.height) / 24) as isize;
    let shift = |random: &mut Random| random.count(0, 2 * reach as usize) as isize - reach;
    let (dx, dy) = (shift(random), shift(random));
    let mirrored = random.coin();
    let contrast = random.between(0.8, 1.2) as f32;
    // Darkness, which is 0 on the background, is what is scaled.
    let changed: Vec<u8> =
        (0..=255u8).map(|pixel| 255 - (f32::from(255 - pixel) * contrast).round().clamp(0.0, 255.0) as u8).collect();
    let (width, height, channels) = (view.width, view.height, view.channels);
    let mut pixels = vec![255; view.pixels.len()];
    for (y, row) in pixels.chunks_exact_mut((width * channels).max(1)).enumerate() {
        let Some(from) = y.checked_add_signed(dy).filter(|y| *y < height) else { continue };
        let from = &view.pixels[from * width * channels..(from + 1) * width * channels];
        for (x, to) in row.chunks_exact_mut(channels).enumerate() {
            let x = if mirrored { width - 1 - x } else { x };
            if let Some(x) = x.checked_add_signed(dx).filter(|x| *x < width) {
                for (to, from) in to.iter_mut().zip(&from[x * channels..]) {
                    *to = changed[*from as usize];
                }
            }
        }
    }
    View { width, height, channels, pixels }
}

/// Which of a shape's views a step sees: all of them half of the time, else a random half or more.
pub(super) fn chosen(count: usize, random: &mut Random) -> Vec<usize> {
    let mut views: Vec<usize> = (0..count).collect();
    if random.coin() {
        random.shuffle(&mut views);
        views.truncate(random.count(count.div_ceil(2), count));
    }
    views
}

/// How well a network does on shapes that it does not learn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    smoothing: f64,
    loss: f64,
    right: usize,
    count: usize,
}

impl Tally {
    /// An empty one, whose loss is smoothed as that of training is: a network that has learnt to spread a share of its answer
    /// would look worse than one that has not yet, were it held against the truth alone.
    pub fn new(smoothing: f64) -> Self {
        Tally { smoothing, loss: 0.0, right: 0, count: 0 }
    }

    /// Adds rows of logits with their classes.
    pub fn add(&mut self, logits: &[f32], truth: &[usize]) {
        let width = logits.len() / truth.len().max(1);
        for (logits, truth) in logits.chunks_exact(width.max(1)).zip(truth) {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = logits.iter().map(|x| f64::from(x - most).exp()).sum();
            let mean: f64 = logits.iter().map(|x| f64::from(x - most)).sum::<f64>() / width.max(1) as f64;
            let kept = 1.0 - self.smoothing;
            self.loss += total.ln() - kept * f64::from(logits[*truth] - most) - self.smoothing * mean;
            self.right += usize::from(logits.iter().position(|x| *x == most) == Some(*truth));
            self.count += 1;
        }
    }

    /// The mean loss.
    pub fn loss(&self) -> Option<f64> {
        (self.count > 0).then(|| self.loss / self.count as f64)
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> Option<f64> {
        (self.count > 0).then(|| self.right as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_keeps_the_background_white_and_moves_what_is_there() {
        let mut pixels = vec![255u8; 48 * 48];
        pixels[24 * 48 + 24] = 100;
        let view = View { width: 48, height: 48, channels: 1, pixels };
        let mut places = std::collections::BTreeSet::new();
        for stream in 0..50 {
            let moved = jittered(&view, &mut Random::new(1, stream));
            let dark: Vec<usize> = (0..48 * 48).filter(|i| moved.pixels[*i] != 255).collect();
            assert_eq!(dark.len(), 1);
            // Darkness 155, times 0.8 to 1.2.
            assert!((69..=131).contains(&moved.pixels[dark[0]]), "{}", moved.pixels[dark[0]]);
            places.insert(dark[0]);
        }
        assert!(places.len() > 10, "{places:?}");
    }

    #[test]
    fn tallies_count_right_answers_and_mean_loss() {
        let mut tally = Tally::new(0.0);
        tally.add(&[0.0, 0.0, 10.0, 0.0], &[1, 0]);
        // The first row is a tie, and goes to the first class.
        assert_eq!(tally.accuracy(), Some(0.5));
        let expected = (2f64.ln() + (1.0 + (-10f64).exp()).ln()) / 2.0;
        assert!((tally.loss().expect("two rows") - expected).abs() < 1e-12);
        // Smoothed: the mean of -log p over both classes counts a fifth.
        let mut smoothed = Tally::new(0.2);
        smoothed.add(&[10.0, 0.0], &[0]);
        let (right, wrong) = ((-10f64).exp().ln_1p(), 10.0 + (-10f64).exp().ln_1p());
        assert!((smoothed.loss().expect("a row") - (0.9 * right + 0.1 * wrong)).abs() < 1e-12);
        assert_eq!(Tally::new(0.1).accuracy(), None);
    }
}
