//! Faces with any number of corners, and the triangles that fill them.
//!
//! A polygon of n corners gives n - 2 triangles: a fan from its first corner where it is convex (what every
//! other program does, so that counts and areas agree), ears clipped off one by one where it is not, so that
//! the area is right. For that it is projected along its largest normal component; a polygon bent far out of
//! any plane has no area of its own, and becomes a fan too.
//!
//! Clipping asks of each ear whether another corner lies in it. That is quadratic for ordinary polygons and
//! cubic for spiteful ones, so the questions are counted, and what is left when they run out becomes a fan.

use crate::vector::{cross, dot, sub};

/// Questions that may be asked for each corner of a polygon: enough for 1,000 corners at their worst.
const PER_CORNER: usize = 1024;
/// Questions that may be asked for all polygons of a file: about a second.
const PER_FILE: usize = 1 << 28;

/// Sine of the angle below which a turn to the wrong side is taken for rounding, not for a concave corner.
const STRAIGHT: f64 = 1e-7;

/// How far a polygon's corners may be from its plane, as a part of its extent, for its outline to mean
/// something.
const BENT: f64 = 0.1;

/// Faces as they are read, in one flat list.
#[derive(Default)]
pub(crate) struct Polygons {
    corners: Vec<u32>,
    ends: Vec<usize>,
}

impl Polygons {
    /// Adds a corner to the face that is being read.
    pub fn corner(&mut self, vertex: u32) {
        self.corners.push(vertex);
    }

    /// Ends the face that is being read; one with fewer than three corners is a point or a line and is
    /// dropped.
    pub fn end_face(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        if self.corners.len() - start < 3 {
            self.corners.truncate(start);
        } else {
            self.ends.push(self.corners.len());
        }
    }

    /// Adds a face of three corners.
    pub fn triangle(&mut self, corners: [u32; 3]) {
        self.corners.extend(corners);
        self.end_face();
    }

    /// The triangles of all faces, in order. Every corner must be an index into `positions`.
    pub fn triangles(&self, positions: &[[f64; 3]]) -> Vec<[u32; 3]> {
        let mut out = Vec::with_capacity(self.corners.len() - 2 * self.ends.len());
        let mut patience = Patience::default();
        let mut start = 0;
        for &end in &self.ends {
            fill(&self.corners[start..end], positions, &mut patience, &mut out);
            start = end;
        }
        out
    }
}

/// The questions that may still be asked about the polygons of a file.
pub(crate) struct Patience(usize);

impl Default for Patience {
    fn default() -> Self {
        Patience(PER_FILE)
    }
}

/// The triangles of a strip: every other one is turned so that all face the same way. Repeated corners,
/// which join strips, give no triangle.
pub(crate) fn strip(corners: &[u32]) -> impl Iterator<Item = [u32; 3]> {
    corners
        .windows(3)
        .enumerate()
        .map(|(i, w)| if i % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] })
        .filter(|[a, b, c]| a != b && b != c && c != a)
}

/// Appends the triangles of one polygon.
pub(crate) fn fill(corners: &[u32], positions: &[[f64; 3]], patience: &mut Patience, out: &mut Vec<[u32; 3]>) {
    match *corners {
        [] | [_] | [_, _] => {}
        [a, b, c] => out.push([a, b, c]),
        _ => {
            let normal = normal(corners, positions);
            let flat = project(corners, positions, normal);
            if is_convex(&flat) || is_bent(corners, positions, normal) {
                fan(corners, out);
            } else {
                let questions = corners.len().saturating_mul(PER_CORNER).min(patience.0);
                patience.0 -= questions - clip_ears(corners, &flat, questions, out);
            }
        }
    }
}

fn fan(corners: &[u32], out: &mut Vec<[u32; 3]>) {
    out.extend(corners[1..].windows(2).map(|edge| [corners[0], edge[0], edge[1]]));
}

/// The polygon's normal, as long as twice its area.
fn normal(corners: &[u32], positions: &[[f64; 3]]) -> [f64; 3] {
    let from_first = |corner: u32| sub(positions[corner as usize], positions[corners[0] as usize]);
    corners[1..]
        .windows(2)
        .map(|edge| cross(from_first(edge[0]), from_first(edge[1])))
        .fold([0.0; 3], |sum, n| [sum[0] + n[0], sum[1] + n[1], sum[2] + n[2]])
}

fn is_bent(corners: &[u32], positions: &[[f64; 3]], normal: [f64; 3]) -> bool {
    let count = corners.len() as f64;
    let points = || corners.iter().map(|&corner| positions[corner as usize]);
    let middle = points().fold([0.0; 3], |sum, p| [0, 1, 2].map(|axis| sum[axis] + p[axis] / count));
    let length = dot(normal, normal).sqrt();
    let (off, extent) = points().map(|p| sub(p, middle)).fold((0.0f64, 0.0f64), |(off, extent), p| {
        (off.max(dot(p, normal).abs() / length), extent.max(dot(p, p).sqrt()))
    });
    off > BENT * extent
}

/// The polygon in a coordinate plane, anticlockwise. Without an area (or with NaN) any plane is as good.
fn project(corners: &[u32], positions: &[[f64; 3]], normal: [f64; 3]) -> Vec<[f64; 2]> {
    let largest = (0..3).fold(0, |best, axis| if normal[axis].abs() > normal[best].abs() { axis } else { best });
    let (mut u, mut v) = ((largest + 1) % 3, (largest + 2) % 3);
    if normal[largest] < 0.0 {
        (u, v) = (v, u);
    }
    let origin = positions[corners[0] as usize];
    corners.iter().map(|&corner| sub(positions[corner as usize], origin)).map(|p| [p[u], p[v]]).collect()
}

/// Twice the signed area of a triangle: positive where a, b, c turn left.
fn turn(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
}

fn is_convex(flat: &[[f64; 2]]) -> bool {
    let n = flat.len();
    // No corner is seen to be concave: with NaN none is, and a fan is as good as anything.
    !(0..n).any(|i| {
        let (a, b, c) = (flat[i], flat[(i + 1) % n], flat[(i + 2) % n]);
        let length = |p: [f64; 2], q: [f64; 2]| (q[0] - p[0]).hypot(q[1] - p[1]);
        turn(a, b, c) < -STRAIGHT * length(a, b) * length(b, c)
    })
}

/// Appends the triangles, and returns how many questions are left.
fn clip_ears(corners: &[u32], flat: &[[f64; 2]], mut questions: usize, out: &mut Vec<[u32; 3]>) -> usize {
    let n = corners.len();
    let mut next: Vec<usize> = (1..n).chain([0]).collect();
    let mut previous: Vec<usize> = [n - 1].into_iter().chain(0..n - 1).collect();
    let (mut left, mut here, mut refused) = (n, 0, 0);
    while left > 3 {
        let (before, after) = (previous[here], next[here]);
        // A ring without an ear crosses itself: clip all the same, there is no right answer.
        if refused < left && questions > 0 && !is_ear(here, &previous, &next, flat, &mut questions) {
            refused += 1;
            here = after;
            continue;
        }
        out.push([corners[before], corners[here], corners[after]]);
        next[before] = after;
        previous[after] = before;
        left -= 1;
        refused = 0;
        here = after;
    }
    out.push([corners[previous[here]], corners[here], corners[next[here]]]);
    questions
}

fn is_ear(tip: usize, previous: &[usize], next: &[usize], flat: &[[f64; 2]], questions: &mut usize) -> bool {
    let (before, after) = (previous[tip], next[tip]);
    let (a, b, c) = (flat[before], flat[tip], flat[after]);
    let area = turn(a, b, c);
    if area <= 0.0 {
        return area == 0.0;
    }
    let mut other = next[after];
    while other != before {
        *questions = questions.saturating_sub(1);
        let p = flat[other];
        // Holes are joined to the outside by edges walked twice, whose corners coincide: those do not block.
        let inside = turn(a, b, p) >= 0.0 && turn(b, c, p) >= 0.0 && turn(c, a, p) >= 0.0 && p != a && p != b && p != c;
        if inside && turn(flat[previous[other]], p, flat[next[other]]) <= 0.0 {
            return false;
        }
        other = next[other];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;
    use proptest::prelude::*;

    fn filled(outline: &[[f64; 3]]) -> Mesh {
        let corners: Vec<u32> = (0..outline.len() as u32).collect();
        let mut triangles = Vec::new();
        fill(&corners, outline, &mut Patience::default(), &mut triangles);
        Mesh { positions: outline.to_vec(), triangles, unit: None }
    }

    #[test]
    fn a_convex_polygon_is_a_fan_from_its_first_corner() {
        let square = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]];
        assert_eq!(filled(&square).triangles, [[0, 1, 2], [0, 2, 3]]);
    }

    #[test]
    fn a_concave_quad_keeps_its_area_wherever_it_starts_and_whichever_way_it_turns() {
        let dart = [[0.0, 0.0, 3.0], [2.0, -2.0, 3.0], [0.0, 4.0, 3.0], [-2.0, -2.0, 3.0]];
        for start in 0..4 {
            let mut outline = dart;
            outline.rotate_left(start);
            assert_eq!(filled(&outline).area(), 8.0, "start {start}");
            outline.reverse();
            assert_eq!(filled(&outline).area(), 8.0, "start {start}, reversed");
        }
    }

    #[test]
    fn a_hole_joined_by_a_double_edge_is_left_open() {
        let ring = [
            [0., 0.],
            [4., 0.],
            [4., 4.],
            [0., 4.],
            [0., 0.], // outside, then over to the hole
            [1., 1.],
            [1., 3.],
            [3., 3.],
            [3., 1.],
            [1., 1.],
        ];
        let mesh = filled(&ring.map(|[x, y]| [x, y, x + y]));
        assert!((mesh.area() - 12.0 * 3f64.sqrt()).abs() < 1e-12, "{}", mesh.area());
        assert_eq!(mesh.triangles.len(), 8);
    }

    #[test]
    fn a_polygon_bent_out_of_its_plane_is_a_fan() {
        let bent = [[-5., 0., 5.], [5., 0., 5.], [5., 0., -5.], [-5., 0., -5.], [0., 5., -5.]];
        assert_eq!(filled(&bent).triangles, [[0, 1, 2], [0, 2, 3], [0, 3, 4]]);
    }

    #[test]
    fn a_spiteful_polygon_ends_in_time_with_all_its_triangles() {
        let comb: Vec<[f64; 3]> =
            (0..20_000).map(|i| [(i * 7919 % 20_011) as f64, (i * i % 10_007) as f64, 0.0]).collect();
        assert_eq!(filled(&comb).triangles.len(), comb.len() - 2);
    }

    proptest! {
        #[test]
        fn a_star_shaped_polygon_keeps_its_area(radii in prop::collection::vec(0.1f64..10.0, 4..60), axis in 0usize..3) {
            let n = radii.len();
            let outline: Vec<[f64; 3]> = radii.iter().enumerate().map(|(i, r)| {
                let (sin, cos) = (i as f64 / n as f64 * std::f64::consts::TAU).sin_cos();
                let mut p = [0.5; 3];
                p[(axis + 1) % 3] = r * cos;
                p[(axis + 2) % 3] = r * sin;
                p
            }).collect();
            let area: f64 = (0..n).map(|i| radii[i] * radii[(i + 1) % n]).sum::<f64>()
                * (std::f64::consts::TAU / n as f64).sin() / 2.0;
            let mesh = filled(&outline);
            prop_assert_eq!(mesh.triangles.len(), n - 2);
            prop_assert!((mesh.area() - area).abs() < 1e-6 * area, "{} for {}", mesh.area(), area);
        }
    }
}
