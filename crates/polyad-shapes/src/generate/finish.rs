//! The last touch on every shape: stretched a little, and meshed as meshes are met: finer, torn into single triangles,
//! with holes, with faces turned round.

use super::form::{fitted, flipped, largest, stretched, subdivided};
use super::vector::{Point, dot, sub};
use crate::mesh::Mesh;
use crate::random::Random;

/// Triangles that subdividing may lead to.
const MOST_TRIANGLES: usize = 10_000;

/// The shape with its largest side 1, in one of many meshings.
pub(super) fn finish(mut mesh: Mesh, random: &mut Random) -> Mesh {
    if random.chance(0.5) {
        mesh = stretched(mesh, std::array::from_fn(|_| random.between(0.8, 1.25)));
    }
    if random.chance(0.2) && 4 * mesh.triangles.len() <= MOST_TRIANGLES {
        mesh = subdivided(&mesh);
    }
    if random.chance(0.06) {
        mesh = torn(mesh, random);
    }
    match random.count(0, 19) {
        0 => mesh = flipped(mesh),
        1 => {
            let share = random.between(0.02, 0.5);
            mesh.triangles.iter_mut().filter(|_| random.chance(share)).for_each(|t| t.swap(1, 2));
        }
        _ => {}
    }
    if random.chance(0.3) {
        mesh = soup(&mesh);
    }
    fitted(mesh, 1.0).tidied()
}

/// The mesh without some triangles: here and there, or all within a ball about one of its corners.
fn torn(mut mesh: Mesh, random: &mut Random) -> Mesh {
    let before = mesh.triangles.clone();
    if random.coin() {
        let share = random.between(0.01, 0.08);
        mesh.triangles.retain(|_| !random.chance(share));
    } else if let Some(bounds) = mesh.bounds() {
        let centre = mesh.positions[random.count(0, mesh.positions.len() - 1)];
        let reach = random.between(0.04, 0.14) * largest(bounds);
        let away = |p: Point| {
            let off = sub(p, centre);
            dot(off, off) > reach * reach
        };
        mesh.triangles.retain(|t| t.iter().any(|i| away(mesh.positions[*i as usize])));
    }
    // A few large triangles can all be hit at once.
    if 2 * mesh.triangles.len() < before.len() {
        mesh.triangles = before;
    }
    mesh
}

/// Every triangle with corners of its own, as STL files have them.
fn soup(mesh: &Mesh) -> Mesh {
    let corners = mesh.triangles.iter().flatten().map(|i| mesh.positions[*i as usize]);
    let triangles = (0..mesh.triangles.len() as u32).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]);
    Mesh { positions: corners.collect(), triangles: triangles.collect(), unit: None }
}
