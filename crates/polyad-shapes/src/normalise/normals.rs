//! Normals of corners: smooth where faces meet at a small angle, sharp at creases, whatever the winding.
//!
//! The normal of a corner is the sum of the normals, times areas, of those faces at its place whose plane is
//! within [`CREASE_COSINE`] of the corner's own. A neighbour wound the other way counts with its normal turned
//! over, so that soups of inconsistent winding are smooth too. Sums are of integers: their order, which is the
//! order of the triangles in the file, changes nothing.

use super::NormalMesh;
use crate::error::Result;
use crate::job::Job;
use crate::vector::{cross, dot, sub};
use rayon::prelude::*;
use std::collections::HashSet;

/// Cosine of 40 degrees: the facets of a cylinder of ten sides blend, those of nine and fewer are seen.
const CREASE_COSINE: f32 = 0.766_044_4;
/// Places on a grid of this many steps a unit are one: finer than a pixel by a thousand, coarser than what text
/// formats round to.
const GRID: f64 = (1 << 20) as f64;
/// Faces at one place beyond which corners keep their face's normal. They meet at a hub, which is flat or a tip.
const MOST_FACES: usize = 64;
/// Places between two looks at the job: each takes some microseconds at most.
const CHECKED: usize = 1024;
/// Steps a unit of area in the sums: the area of a triangle in the unit sphere times this fits 42 bits.
const AREA_STEPS: f64 = (1u64 << 40) as f64;

struct Face {
    /// Normal times twice the area, in steps.
    weighted: [i64; 3],
    unit: [f32; 3],
}

/// Gives each corner its normal, and joins corners that agree in place and normal.
///
/// Of equal triangles at three hubs one is kept: what a file repeats half a million times is drawn once.
pub(super) fn with_normals(places: &[[f64; 3]], triangles: &[[u32; 3]], job: Job) -> Result<NormalMesh> {
    let (joined, representatives) = join_places(places);
    let count = representatives.len();
    let faces: Vec<Face> = triangles.iter().map(|t| face(t.map(|v| places[v as usize]))).collect();

    // Corners by place: `corners[starts[p]..starts[p + 1]]` are those at place p, as 3 * triangle + corner.
    let mut starts = vec![0usize; count + 1];
    triangles.iter().flatten().for_each(|&v| starts[joined[v as usize] as usize + 1] += 1);
    (0..count).for_each(|p| starts[p + 1] += starts[p]);
    let mut filled = starts.clone();
    let mut corners = vec![0u32; 3 * triangles.len()];
    for (c, &v) in triangles.iter().flatten().enumerate() {
        let slot = &mut filled[joined[v as usize] as usize];
        corners[*slot] = c as u32;
        *slot += 1;
    }

    job.check()?;
    let is_hub = |place: u32| starts[place as usize + 1] - starts[place as usize] > MOST_FACES;
    let mut at_hubs = HashSet::new();
    let kept: Vec<bool> = triangles
        .iter()
        .zip(&faces)
        .map(|(t, face)| {
            let here = t.map(|v| joined[v as usize]);
            !here.into_iter().all(is_hub) || at_hubs.insert((here, face.weighted))
        })
        .collect();

    let mut mesh = NormalMesh {
        positions: std::array::from_fn(|_| Vec::with_capacity(count)),
        normals: std::array::from_fn(|_| Vec::with_capacity(count)),
        triangles: vec![[0; 3]; triangles.len()],
        disc_radius: 0.0,
    };
    let mut emitted: Vec<([i64; 3], u32)> = Vec::new();
    for p in 0..count {
        if p % CHECKED == 0 {
            job.check()?;
        }
        let here = &corners[starts[p]..starts[p + 1]];
        emitted.clear();
        for &c in here {
            let (t, k) = (c as usize / 3, c as usize % 3);
            if !kept[t] {
                continue;
            }
            let normal = corner_normal(&faces, here, &faces[t]);
            let known = emitted.iter().find(|e| e.0 == normal).map(|e| e.1);
            let vertex = known.unwrap_or_else(|| {
                let vertex = mesh.positions[0].len() as u32;
                let place = places[representatives[p] as usize];
                let unit = unit(normal.map(|x| x as f64)).unwrap_or(faces[t].unit);
                for axis in 0..3 {
                    mesh.positions[axis].push(place[axis] as f32);
                    mesh.normals[axis].push(unit[axis]);
                }
                if here.len() <= MOST_FACES {
                    emitted.push((normal, vertex));
                }
                vertex
            });
            mesh.triangles[t][k] = vertex;
        }
    }
    let mut kept = kept.into_iter();
    mesh.triangles.retain(|_| kept.next().unwrap_or(true));
    Ok(mesh)
}

fn corner_normal(faces: &[Face], here: &[u32], own: &Face) -> [i64; 3] {
    if here.len() > MOST_FACES {
        return own.weighted;
    }
    let mut sum = [0i64; 3];
    for &c in here {
        let other = &faces[c as usize / 3];
        let cosine = (0..3).map(|k| own.unit[k] * other.unit[k]).sum::<f32>();
        if cosine.abs() >= CREASE_COSINE {
            let side = if cosine < 0.0 { -1 } else { 1 };
            (0..3).for_each(|k| sum[k] += side * other.weighted[k]);
        }
    }
    sum
}

fn face([a, b, c]: [[f64; 3]; 3]) -> Face {
    let n = cross(sub(b, a), sub(c, a));
    Face { weighted: n.map(|x| (x * AREA_STEPS) as i64), unit: unit(n).unwrap_or([0.0; 3]) }
}

fn unit(n: [f64; 3]) -> Option<[f32; 3]> {
    let largest = n.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let n = n.map(|x| x / largest);
    let length = dot(n, n).sqrt();
    (length.is_finite() && length > 0.0).then(|| n.map(|x| (x / length) as f32))
}

/// Numbers places so that those in one cell of the grid share a number; and the first place of each number.
fn join_places(places: &[[f64; 3]]) -> (Vec<u32>, Vec<u32>) {
    // Cells are centred on multiples of a step: zero, where symmetric shapes have their seams, is inside one.
    let cell = |x: f64| ((x * GRID + 0.5).floor() as i64 + (1 << 20)).clamp(0, (1 << 21) - 1) as u64;
    let mut keyed: Vec<(u64, u32)> =
        (0u32..).zip(places).map(|(i, p)| (cell(p[0]) << 42 | cell(p[1]) << 21 | cell(p[2]), i)).collect();
    // No two are equal, so that any way of sorting gives the same.
    keyed.par_sort_unstable();
    let mut joined = vec![0u32; places.len()];
    let mut representatives = Vec::new();
    let mut last = None;
    for (key, i) in keyed {
        if last != Some(key) {
            last = Some(key);
            representatives.push(i);
        }
        joined[i as usize] = representatives.len() as u32 - 1;
    }
    (joined, representatives)
}
