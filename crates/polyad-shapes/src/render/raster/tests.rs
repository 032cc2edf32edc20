//! Coverage is that of the definition, at every level; what is hidden is left out and changes nothing; work is bounded.

use super::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

fn random(seed: u64) -> impl FnMut(i32) -> i32 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below as u64) as i32
    }
}

fn corner(x: i32, y: i32) -> Corner {
    Corner { x, y, depth: 1000.0, shades: [0; 2] }
}

/// Whether the definition covers a sample: all edge functions positive, or zero on a left or top edge.
fn covers(t: [Corner; 3], x: usize, y: usize) -> bool {
    let (x, y) = (x as i128 * 256 + 128, y as i128 * 256 + 128);
    let at = |p: Corner, q: Corner| {
        let (dx, dy) = (i128::from(q.x - p.x), i128::from(q.y - p.y));
        (dx * (y - i128::from(p.y)) - dy * (x - i128::from(p.x)), dy < 0 || (dy == 0 && dx > 0))
    };
    let [a, b, c] = t;
    let (ab, ac) = ((i128::from(b.x - a.x), i128::from(b.y - a.y)), (i128::from(c.x - a.x), i128::from(c.y - a.y)));
    let area = ab.0 * ac.1 - ab.1 * ac.0;
    let (b, c) = if area > 0 { (b, c) } else { (c, b) };
    let inside = |p, q| matches!(at(p, q), (e, owns) if e > 0 || (e == 0 && owns));
    area != 0 && inside(a, b) && inside(b, c) && inside(c, a)
}

#[test]
fn every_level_covers_exactly_what_the_definition_says() {
    let mut next = random(5);
    for side in [1usize, 7, 90, 200] {
        for round in 0..200 {
            let full = side as i32 * 256;
            let size = [300, 3000, full][round % 3].min(full);
            let (left, top) = (next(full - size + 1), next(full - size + 1));
            // Half the corners lie on centres of samples, where edges tie.
            let snap = |v: i32| if round % 2 == 0 { v } else { (v & !255 | 128).min(full) };
            let t = [0; 3].map(|_| corner(snap(left + next(size + 1)), snap(top + next(size + 1))));
            for level in Level::ALL.into_iter().filter(|l| l.is_present()) {
                let mut samples = Samples::new(side);
                samples.triangles(level, &t, &[[0, 1, 2]], Job::silent()).unwrap();
                for i in 0..side * side {
                    let (x, y) = (i % side, i / side);
                    assert_eq!(samples.covered(x, y), covers(t, x, y), "{level}, side {side}, {t:?}, at {x}, {y}");
                }
            }
        }
    }
}

#[test]
fn the_largest_picture_overflows_nowhere() {
    let full = MOST_SAMPLES as i32 * 256;
    let mut samples = Samples::new(MOST_SAMPLES);
    let corners = [corner(0, 0), corner(full, 0), corner(full, full), corner(0, full), corner(1, full)];
    for (triangle, inside, outside) in [([0, 1, 2], (8000, 10), (10, 8000)), ([0, 4, 3], (0, 8191), (40, 8191))] {
        samples.clear();
        samples.triangles(polyad_simd::level(), &corners, &[triangle], Job::silent()).unwrap();
        let expected = |(x, y)| covers(triangle.map(|v| corners[v as usize]), x, y);
        for place in [inside, outside, (4095, 4096), (4096, 4095), (0, 0), (8191, 8191), (0, 4000)] {
            assert_eq!(samples.covered(place.0, place.1), expected(place), "{triangle:?} at {place:?}");
        }
    }
}

#[test]
fn triangles_of_a_torn_up_square_cover_every_sample_once() {
    let mut next = random(8);
    for _ in 0..20 {
        let (side, cells) = (60usize, 5usize);
        let full = side as i32 * 256;
        // A grid whose inner corners are moved, some of them onto centres of samples.
        let mut corners = Vec::new();
        for i in 0..=cells {
            for j in 0..=cells {
                let step = full / cells as i32;
                let inner = |k: usize| k > 0 && k < cells;
                let mut moved = |k: usize, inner: bool| k as i32 * step + if inner { next(step / 2) } else { 0 };
                let (x, y) = (moved(j, inner(j)), moved(i, inner(i)));
                let snap = |v: i32, inner: bool| if inner && (i + j) % 2 == 0 { v & !255 | 128 } else { v };
                corners.push(corner(snap(x, inner(j)), snap(y, inner(i))));
            }
        }
        let at = |i: usize, j: usize| (i * (cells + 1) + j) as u32;
        let mut hits = vec![0; side * side];
        for k in 0..cells * cells {
            let (i, j) = (k / cells, k % cells);
            for t in [[at(i, j), at(i, j + 1), at(i + 1, j)], [at(i, j + 1), at(i + 1, j), at(i + 1, j + 1)]] {
                let mut samples = Samples::new(side);
                samples.triangles(polyad_simd::level(), &corners, &[t], Job::silent()).unwrap();
                (0..side * side).for_each(|p| hits[p] += u32::from(samples.covered(p % side, p / side)));
            }
        }
        assert!(hits.iter().all(|&h| h == 1), "{hits:?}");
    }
}

/// Corners of triangles: any that are large, some of them in one plane or close to it, many small ones.
fn soup(count: usize, side: usize) -> Vec<[Corner; 3]> {
    let mut next = random(21);
    let full = side as i32 * 256;
    (0..count)
        .map(|i| {
            let (left, top) = (next(full), next(full));
            let tilt = [3.0, 0.0, 900.0][i % 3];
            std::array::from_fn(|_| {
                let (x, y) = if i % 4 == 0 {
                    ((left + next(1500)).min(full), (top + next(1500)).min(full))
                } else {
                    (next(full + 1), next(full + 1))
                };
                let depth = if i % 5 == 0 { next(8_000_000) as f32 } else { 4e6 + tilt * x as f32 + next(3) as f32 };
                Corner { x, y, depth: depth.min(FARTHEST), shades: [next(65_281) as u16, next(65_281) as u16] }
            })
        })
        .collect()
}

fn least(into: &mut [i32], keys: &[i32]) {
    into.iter_mut().zip(keys).for_each(|(a, b)| *a = (*a).min(*b));
}

/// Draws shapes alone, each in an empty picture, and together: as they come, and as in a crowded picture.
fn check_together(side: usize, count: usize, draw: impl Fn(&mut Samples, std::ops::Range<usize>)) {
    let (mut alone, mut expected) = (Samples::new(side), vec![EMPTY; (side + LANES) * side]);
    for i in 0..count {
        alone.clear();
        draw(&mut alone, i..i + 1);
        least(&mut expected, &alone.keys.keys);
    }
    for crowded in [u64::MAX, (side * side) as u64, 0] {
        let mut together = Samples::new(side);
        together.crowded = crowded;
        draw(&mut together, 0..count);
        assert!(together.keys.keys == expected, "side {side}, crowded from {crowded}");
    }
}

#[test]
fn triangles_that_are_left_out_where_they_are_hidden_change_no_key() {
    for level in Level::ALL.into_iter().filter(|l| l.is_present()) {
        for side in [40usize, 150, 300] {
            let corners = soup(400, side).concat();
            let triangles: Vec<[u32; 3]> = (0..400).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
            check_together(side, triangles.len(), |samples, these| {
                samples.triangles(level, &corners, &triangles[these], Job::silent()).unwrap();
            });
        }
    }
}

#[test]
fn discs_that_are_left_out_where_they_are_hidden_change_no_key() {
    let corners: Vec<Corner> = soup(200, 200).concat();
    for radius in [700, 3000, 12_000, 40_000] {
        check_together(200, corners.len(), |samples, these| {
            samples.discs(polyad_simd::level(), &corners[these], radius, Job::silent()).unwrap();
        });
    }
}

/// Squares of a whole picture, each nearer than the one before.
fn layers(count: usize, side: usize) -> (Vec<Corner>, Vec<[u32; 3]>) {
    let full = side as i32 * 256;
    let mut corners = Vec::new();
    let mut triangles = Vec::new();
    for i in 0..count {
        let first = corners.len() as u32;
        let depth = (count - i) as f32 * 10.0;
        let places = [(0, 0), (full, 0), (full, full), (0, full)];
        corners.extend(places.map(|(x, y)| Corner { x, y, depth, shades: [(i % 256) as u16 * 256; 2] }));
        triangles.extend([[first, first + 1, first + 2], [first, first + 2, first + 3]]);
    }
    (corners, triangles)
}

#[test]
fn layers_cost_little_more_than_the_nearest_of_them() {
    let side = 192;
    let (corners, triangles) = layers(5000, side);
    let mut samples = Samples::new(side);
    let work = samples.triangles(polyad_simd::level(), &corners, &triangles, Job::silent()).unwrap();
    // Once it is crowded each is asked for once, and cells are measured only after some layers.
    let asked = triangles.len() as u64 * PART_WORK;
    assert!(work < asked + (CROWDED + 30) * (side * side) as u64, "{work}, of which {asked} for asking");
    assert_eq!(samples.keys.keys[0] >> 8, 10, "the last is the nearest");
}

#[test]
fn discs_in_one_place_are_drawn_once() {
    let centres: Vec<Corner> =
        (0..1000).map(|i| Corner { x: 20_000, y: 20_000, depth: (2000 - i) as f32, shades: [0; 2] }).collect();
    let mut samples = Samples::new(160);
    let work = samples.discs(polyad_simd::level(), &centres, 10_000, Job::silent()).unwrap();
    assert!(work < 160 * 160, "{work}");
    assert_eq!(samples.keys.keys[78 * samples.keys.stride + 78] >> 8, 1001);
}

#[test]
fn work_beyond_the_bound_is_refused_and_says_how_often_the_picture_is_covered() {
    // Tilted planes that cross: none is behind another throughout a tile.
    let (mut corners, triangles) = layers(400, 192);
    for (i, corner) in corners.iter_mut().enumerate() {
        corner.depth = 1e6 + corner.x as f32 * 100.0 + (i % 7) as f32;
    }
    let mut samples = Samples::new(192);
    samples.most_work = 50 * 192 * 192;
    let error = samples.triangles(polyad_simd::level(), &corners, &triangles, Job::silent()).unwrap_err();
    assert_eq!(error.to_string(), "not supported: a surface that covers its picture over 50 times");

    let discs: Vec<Corner> = (0..4000).map(|i| Corner { x: 20_000 + i, y: 20_000, ..corner(0, 0) }).collect();
    samples.clear();
    assert!(samples.discs(polyad_simd::level(), &discs, 10_000, Job::silent()).is_err());
    let ordinary = Samples::new(448);
    assert_eq!(ordinary.most_work / (448 * 448), 668);
    assert!(Samples::new(MOST_SAMPLES).most_work > 60 * (MOST_SAMPLES * MOST_SAMPLES) as u64);
}

/// Triangles of which one cancels the job when it is asked for, and that count how often one was asked for.
struct Cancelling<'a> {
    triangles: Triangles<'a>,
    last: usize,
    cancelled: &'a AtomicBool,
    asked: Cell<usize>,
}

impl Shapes for Cancelling<'_> {
    type Shape = super::super::triangle::Triangle;

    fn len(&self) -> usize {
        self.triangles.len()
    }

    fn get(&self, index: usize, side: usize) -> Option<Self::Shape> {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() == self.last {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        self.triangles.get(index, side)
    }
}

#[test]
fn a_job_that_is_cancelled_while_a_picture_is_drawn_stops_there() {
    let (large, squares) = layers(500, 64);
    let small: Vec<Corner> = large.iter().map(|c| Corner { x: c.x / 16, y: c.y / 16, ..*c }).collect();
    // The next large one stops, as it comes or in its order. Small ones stop at the next look.
    let many: Vec<[u32; 3]> = squares.iter().copied().cycle().take(3 * CHECKED).collect();
    let cases = [(&large, &squares, 20, 20), (&large, &squares, 1500, 1500), (&small, &many, 10, CHECKED)];
    for (corners, triangles, last, most) in cases {
        let cancelled = AtomicBool::new(false);
        let triangles = Triangles { corners, triangles };
        let shapes = &Cancelling { triangles, last, cancelled: &cancelled, asked: Cell::new(0) };
        let job = Job::new(&crate::job::Silent, &cancelled);
        let mut samples = Samples::new(64);
        let drawn = samples.draw(polyad_simd::level(), shapes, job);
        assert!(matches!(drawn, Err(Error::Cancelled)));
        assert_eq!(shapes.asked.get(), most);
    }
}
