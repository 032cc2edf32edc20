//! Pieces of a mesh placed in a scene by matrices, as glTF and 3MF do, and the limit on how much they may
//! make of a small file by placing the same piece again and again.

use crate::error::{Error, Result};
use crate::mesh::Mesh;
use crate::vector::{cross, dot};

/// The most vertices, and the most triangles, that placing may give, unless the file has more bytes: 8
/// million, about 300 MB. Whatever is stored, and not repeated, is below the bytes of its file.
const MOST_PLACED: u64 = 1 << 23;
/// The most pieces and groups, unless the file has more bytes.
const MOST_VISITS: u64 = 1 << 20;

/// What placing costs, counted before any memory is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Size {
    pub vertices: u64,
    pub triangles: u64,
    /// Pieces and groups passed through: even empty ones take time.
    pub visits: u64,
}

impl Size {
    /// Both together.
    pub fn plus(self, other: Size) -> Size {
        Size {
            vertices: self.vertices.saturating_add(other.vertices),
            triangles: self.triangles.saturating_add(other.triangles),
            visits: self.visits.saturating_add(other.visits),
        }
    }

    /// Refuses what is over the limit for a file of `stored` bytes, unpacked.
    pub fn check(self, stored: u64) -> Result<Size> {
        let stored = stored.min(u64::from(u32::MAX));
        let over = |number: u64, most: u64| number > most.max(stored);
        if over(self.vertices.max(self.triangles), MOST_PLACED) || over(self.visits, MOST_VISITS) {
            let problem = "scenes that make so much of so little: repeats counted, this one has";
            return Err(Error::Unsupported(format!(
                "{problem} {} vertices, {} triangles and {} pieces",
                self.vertices, self.triangles, self.visits
            )));
        }
        Ok(self)
    }
}

/// An affine map: three columns, then the translation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine(pub [[f64; 3]; 4]);

impl Affine {
    pub const IDENTITY: Affine = Affine([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0; 3]]);

    /// The linear part only: a direction's image.
    fn turn(&self, p: [f64; 3]) -> [f64; 3] {
        let [x, y, z, _] = &self.0;
        std::array::from_fn(|axis| x[axis] * p[0] + y[axis] * p[1] + z[axis] * p[2])
    }

    /// A point's image.
    pub fn apply(&self, p: [f64; 3]) -> [f64; 3] {
        let turned = self.turn(p);
        std::array::from_fn(|axis| turned[axis] + self.0[3][axis])
    }

    /// First `inner`, then this.
    pub fn after(&self, inner: &Affine) -> Affine {
        let [x, y, z, origin] = inner.0;
        Affine([self.turn(x), self.turn(y), self.turn(z), self.apply(origin)])
    }

    /// The map turns space inside out, so that triangles must be turned round to face outwards.
    pub fn mirrors(&self) -> bool {
        let [x, y, z, _] = self.0;
        dot(cross(x, y), z) < 0.0
    }
}

/// Appends a piece of a scene at its place. [`Size::check`] has seen to it that indices fit.
pub(crate) fn place(piece: &Mesh, at: &Affine, scene: &mut Mesh) {
    let first = scene.positions.len() as u32;
    scene.positions.extend(piece.positions.iter().map(|&p| at.apply(p)));
    let mirrors = at.mirrors();
    scene.triangles.extend(piece.triangles.iter().map(|t| {
        let [a, b, c] = t.map(|corner| first + corner);
        if mirrors { [a, c, b] } else { [a, b, c] }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_from_the_inside_out_and_mirrors_turn_triangles_round() {
        let shift = Affine([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]);
        let mirror = Affine([[-2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0; 3]]);
        assert_eq!(mirror.after(&shift).apply([1.0, 0.0, 0.0]), [-4.0, 2.0, 3.0]);
        assert_eq!(shift.after(&mirror).apply([1.0, 0.0, 0.0]), [-1.0, 2.0, 3.0]);
        let piece = Mesh { positions: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 2]], unit: None };
        let mut scene = Mesh::default();
        place(&piece, &shift, &mut scene);
        place(&piece, &mirror, &mut scene);
        assert_eq!(scene.triangles, [[0, 1, 2], [3, 5, 4]]);
    }
}
