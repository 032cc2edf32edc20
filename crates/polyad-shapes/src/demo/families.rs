//! The families of generated parts: their names, and how one part of a family is made.

use super::{coded, hardware, household};
use crate::build::solid::{mapped, moved, rotation};
use crate::mesh::Mesh;
use crate::random::Random;

type Builder = fn(&mut Random) -> Mesh;

/// Name and builder of every family. The order is part of what a seed means.
const FAMILIES: [(&str, Builder); 24] = [
    ("angle-bracket", hardware::angle_bracket),
    ("ball-bearing", hardware::ball_bearing),
    ("bottle", household::bottle),
    ("chair", household::chair),
    ("coded-wheel-000", |random| coded::wheel(random, [false, false, false])),
    ("coded-wheel-001", |random| coded::wheel(random, [false, false, true])),
    ("coded-wheel-010", |random| coded::wheel(random, [false, true, false])),
    ("coded-wheel-011", |random| coded::wheel(random, [false, true, true])),
    ("coded-wheel-100", |random| coded::wheel(random, [true, false, false])),
    ("coded-wheel-101", |random| coded::wheel(random, [true, false, true])),
    ("coded-wheel-110", |random| coded::wheel(random, [true, true, false])),
    ("coded-wheel-111", |random| coded::wheel(random, [true, true, true])),
    ("flange", hardware::flange),
    ("hex-bolt", hardware::hex_bolt),
    ("hex-nut", hardware::hex_nut),
    ("hinge", hardware::hinge),
    ("mug", household::mug),
    ("pipe-elbow", hardware::pipe_elbow),
    ("pulley", hardware::pulley),
    ("spring", hardware::spring),
    ("spur-gear", hardware::spur_gear),
    ("table", household::table),
    ("washer", hardware::washer),
    ("wrench", hardware::wrench),
];

static NAMES: [&str; FAMILIES.len()] = {
    let mut names = [""; FAMILIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = FAMILIES[i].0;
        i += 1;
    }
    names
};

/// The names of the families, in byte order, fit for names of folders.
pub fn families() -> &'static [&'static str] {
    &NAMES
}

/// A part of a family: dimensions, tessellation and pose are drawn from `seed`. Millimetres; closed solids, which may
/// overlap; a few hundred to some ten thousand triangles. The same arguments give the same bytes on every machine.
///
/// # Panics
/// If `family` is not below `families().len()`.
pub fn generate(family: usize, seed: u64) -> Mesh {
    let mut part = FAMILIES[family].1(&mut stream(family, seed));
    let mut pose = Random::new(seed, (FAMILIES.len() + family) as u64);
    part = mapped(part, rotation(&mut pose));
    let by = std::array::from_fn(|_| pose.between(-20.0, 20.0));
    part = moved(part, by);
    part.unit = Some("millimeter".into());
    part
}

/// Which of the three features (dome, cross, lug) the parts of a coded family have; `None` for the other families, and
/// where there is no such family. See [`coded`].
pub fn coded_features(family: usize) -> Option<[bool; 3]> {
    let code = FAMILIES.get(family)?.0.strip_prefix("coded-wheel-")?.as_bytes();
    code.try_into().ok().map(|code: [u8; 3]| code.map(|digit| digit == b'1'))
}

/// The numbers that the dimensions of a part are drawn from.
fn stream(family: usize, seed: u64) -> Random {
    Random::new(seed, family as u64)
}
