//! The smallest ball around points.
//!
//! The ball is determined by at most four points on its surface. Starting from one, the point farthest from the
//! centre joins them, the smallest ball of these few is found by trying all their subsets, and those that
//! determine it are kept: the radius grows until nothing lies outside. A handful of passes over the points.
//! (E. Welzl, "Smallest enclosing disks", 1991, for why it is unique; B. Gärtner, 1999, for the farthest point.)

use crate::error::Result;
use crate::job::Job;
use crate::vector::{cross, dot, sub};

/// Passes after which the ball is taken as it is: more than any real shape has needed, by far.
const PASSES: usize = 100;
/// How far outside, relative to the radius, a point may lie by rounding.
const SLACK: f64 = 1e-12;

/// Centre and radius of the smallest ball around finite points of magnitude about 1. The radius is the largest
/// distance from the centre as computed, so that nothing is outside. (0, 0) for no points.
pub(super) fn smallest_ball(points: &[[f64; 3]], job: Job) -> Result<([f64; 3], f64)> {
    let Some(&first) = points.first() else { return Ok(([0.0; 3], 0.0)) };
    let mut support = vec![first];
    let (mut centre, mut radius2) = (first, 0.0);
    for _ in 0..PASSES {
        job.check()?;
        let (index, distance2) = farthest(points, centre);
        if distance2 <= radius2 * (1.0 + SLACK) {
            break;
        }
        support.push(points[index]);
        let Some(ball) = ball_of_few(&support) else { break };
        (centre, radius2, support) = ball;
    }
    Ok((centre, farthest(points, centre).1.sqrt()))
}

fn farthest(points: &[[f64; 3]], centre: [f64; 3]) -> (usize, f64) {
    let mut best = (0, -1.0);
    for (i, &p) in points.iter().enumerate() {
        let d = sub(p, centre);
        let distance2 = dot(d, d);
        if distance2 > best.1 {
            best = (i, distance2);
        }
    }
    best
}

/// The smallest ball of up to five points, as centre, squared radius and the points that determine it.
fn ball_of_few(points: &[[f64; 3]]) -> Option<([f64; 3], f64, Vec<[f64; 3]>)> {
    let mut best: Option<([f64; 3], f64, Vec<[f64; 3]>)> = None;
    for subset in 1u32..1 << points.len() {
        if subset.count_ones() > 4 {
            continue;
        }
        let chosen: Vec<[f64; 3]> =
            points.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, p)| *p).collect();
        let Some((centre, radius2)) = circumscribed(&chosen) else { continue };
        if best.as_ref().is_some_and(|b| b.1 <= radius2) {
            continue;
        }
        let inside = |&p: &[f64; 3]| dot(sub(p, centre), sub(p, centre)) <= radius2 * (1.0 + SLACK) + 1e-30;
        if points.iter().all(inside) {
            best = Some((centre, radius2, chosen));
        }
    }
    best
}

/// The smallest ball with one to four points on its surface; `None` where they are not in general position.
fn circumscribed(points: &[[f64; 3]]) -> Option<([f64; 3], f64)> {
    let origin = points[0];
    let offset = match *points {
        [_] => [0.0; 3],
        [_, b] => sub(b, origin).map(|x| x * 0.5),
        [_, b, c] => {
            let (u, v) = (sub(b, origin), sub(c, origin));
            let n = cross(u, v);
            let (a, b) = (cross(n, u), cross(v, n));
            let (uu, vv, scale) = (dot(u, u), dot(v, v), 0.5 / dot(n, n));
            std::array::from_fn(|k| (vv * a[k] + uu * b[k]) * scale)
        }
        [_, b, c, d] => {
            let (u, v, w) = (sub(b, origin), sub(c, origin), sub(d, origin));
            let (vw, wu, uv) = (cross(v, w), cross(w, u), cross(u, v));
            let scale = 0.5 / dot(u, vw);
            let (uu, vv, ww) = (dot(u, u), dot(v, v), dot(w, w));
            std::array::from_fn(|k| (uu * vw[k] + vv * wu[k] + ww * uv[k]) * scale)
        }
        _ => return None,
    };
    let centre: [f64; 3] = std::array::from_fn(|k| origin[k] + offset[k]);
    let radius2 = dot(offset, offset);
    radius2.is_finite().then_some((centre, radius2))
}
