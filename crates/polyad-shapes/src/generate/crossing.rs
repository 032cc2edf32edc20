//! Crossings: one thing on another, or several things side by side.

use super::form::{fitted, placed};
use super::vector::{cross, sub, unit};
use super::{FAMILIES, Kind};
use crate::build::solid::{mapped, merge, moved, rotation};
use crate::mesh::Mesh;
use crate::random::Random;

pub(super) const KINDS: &[Kind] = &[("one-thing-on-another", grafted), ("things-side-by-side", side_by_side)];

/// Triangles of one thing among several.
const MOST_TRIANGLES: usize = 5_000;

/// A shape of any other kind, of size 1.
fn other(random: &mut Random) -> Mesh {
    loop {
        let (_, kinds) = random.pick(&FAMILIES[..FAMILIES.len() - 1]);
        let mesh = random.pick(kinds).1(random);
        if mesh.triangles.len() <= MOST_TRIANGLES {
            return fitted(mesh, 1.0);
        }
    }
}

/// One to three smaller things that stand on the surface of a larger one.
fn grafted(random: &mut Random) -> Mesh {
    let ground = other(random);
    let mut parts = vec![ground.clone()];
    for _ in 0..random.count(1, 3) {
        let corners = random.pick(&ground.triangles).map(|i| ground.positions[i as usize]);
        let outwards = unit(cross(sub(corners[1], corners[0]), sub(corners[2], corners[0])));
        let size = random.between(0.25, 0.7);
        let guest = other(random);
        let guest = fitted(guest, size);
        let foot = guest.bounds().map_or(0.0, |[low, _]| low[2]);
        let standing = moved(guest, [0.0, 0.0, -foot - 0.02 * size]);
        parts.push(placed(standing, super::form::middle(&corners), outwards));
    }
    merge(parts)
}

/// Two or three things that touch or nearly do, each in its own pose.
fn side_by_side(random: &mut Random) -> Mesh {
    let mut parts = Vec::new();
    let mut edge = 0.0;
    for _ in 0..random.count(2, 3) {
        let size = random.between(0.5, 1.0);
        let thing = other(random);
        let mut thing = fitted(thing, size);
        if random.coin() {
            thing = mapped(thing, rotation(random));
        }
        let [low, high] = thing.bounds().unwrap_or_default();
        let shift = [edge - low[0], random.between(-0.2, 0.2), random.between(-0.2, 0.2)];
        edge += (high[0] - low[0]) * random.between(0.75, 1.05);
        parts.push(moved(thing, shift));
    }
    merge(parts)
}
