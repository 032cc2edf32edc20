//! Shapes without end: procedural grammars of plausible things, every dimension drawn from a seed.
//!
//! ```text
//! (seed, index) --kind--> grammar --parts--> Mesh --finish--> Mesh
//! ```
//!
//! A kind is a grammar with its discrete choices made, such as `chair-with-arms`; what is left to chance within it is
//! every dimension and many details. The kinds of a family lie in one file. Two floors carry them all: surfaces through
//! rings and grids (`form`, with the crate's extruded and revolved solids), and solids given by a signed distance
//! (`implicit`, meshed by `nets`), for what is grown rather than built. `finish` then makes the mesh as untidy as
//! meshes are.
//!
//! The generator knows no data set. The same arguments give the same bytes on every machine. Z is up in most kinds;
//! the largest side is 1.

mod abstraction;
mod aircraft;
mod animals;
mod buildings;
mod creatures;
mod crossing;
mod electronics;
mod emblems;
mod finish;
mod form;
mod furniture;
mod household;
mod implicit;
mod instruments;
mod machine;
mod nets;
mod people;
mod plants;
mod plates;
mod seats;
mod ships;
mod structures;
mod tools;
mod turned;
mod vector;
mod vehicles;
mod vessels;

use crate::mesh::Mesh;
use crate::random::Random;
use std::sync::LazyLock;

type Builder = fn(&mut Random) -> Mesh;
/// Name and builder of a kind.
type Kind = (&'static str, Builder);

/// Every family, with how often each of its kinds is drawn. The order is part of what a seed means.
const FAMILIES: &[(usize, &[Kind])] = &[
    (1, turned::KINDS),
    (1, plates::KINDS),
    (1, emblems::KINDS),
    (1, machine::KINDS),
    (1, electronics::KINDS),
    (1, tools::KINDS),
    (1, seats::KINDS),
    (1, instruments::KINDS),
    (1, furniture::KINDS),
    (1, aircraft::KINDS),
    (1, household::KINDS),
    (1, vessels::KINDS),
    (1, buildings::KINDS),
    (1, structures::KINDS),
    (1, vehicles::KINDS),
    (1, ships::KINDS),
    (1, animals::KINDS),
    (1, people::KINDS),
    (1, creatures::KINDS),
    (1, plants::KINDS),
    (4, abstraction::KINDS),
    (12, crossing::KINDS),
];

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| FAMILIES.iter().flat_map(|(_, kinds)| *kinds).copied().collect());
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| KINDS.iter().map(|(name, _)| *name).collect());
/// The number of each kind as often as it is to be drawn.
static LOTS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let often = FAMILIES.iter().flat_map(|(often, kinds)| kinds.iter().map(|_| *often));
    often.enumerate().flat_map(|(kind, often)| std::iter::repeat_n(kind, often)).collect()
});

/// A generated shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its place in [`kinds`].
    pub kind: usize,
    /// Its surface, which may be open, inside out in places, or of parts that overlap.
    pub mesh: Mesh,
}

/// The names of the kinds, fit for names of folders.
pub fn kinds() -> &'static [&'static str] {
    &NAMES
}

/// The shape of a number in the sequence of a seed.
pub fn shape(seed: u64, index: u64) -> Shape {
    let mut random = Random::new(seed, index);
    let kind = random.pick(&LOTS);
    Shape { kind, mesh: made(kind, &mut random) }
}

/// The shape of a number in the sequence of a kind and a seed.
///
/// # Panics
/// If `kind` is not below `kinds().len()`.
pub fn shape_of_kind(kind: usize, seed: u64, index: u64) -> Mesh {
    made(kind, &mut Random::new(seed ^ (kind as u64 + 1).rotate_left(40), index))
}

fn made(kind: usize, random: &mut Random) -> Mesh {
    loop {
        let mesh = KINDS[kind].1(random);
        let mesh = finish::finish(mesh, random);
        // Once in some thousands a level that was drawn is one that no point reaches.
        if !mesh.triangles.is_empty() {
            return mesh;
        }
    }
}
