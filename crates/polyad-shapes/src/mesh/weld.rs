//! Merging vertices that lie at the same place: STL knows no shared corners, OBJ and glTF split them at seams.

use super::Mesh;
use foldhash::quality::RandomState;
use std::collections::HashMap;

impl Mesh {
    /// The same shape with each place named once, in order of first appearance; triangles that thereby
    /// lose a corner are dropped. Places are the same when their coordinates are equal as numbers
    /// (`-0` is `0`): any tolerance would be a guess at the file's units. Linear time.
    pub fn welded(&self) -> Mesh {
        // The order of names does not depend on the hash, so it may be a fast one with a random seed.
        let capacity = self.positions.len() / 2;
        let mut places: HashMap<[u64; 3], u32, _> = HashMap::with_capacity_and_hasher(capacity, RandomState::default());
        let mut positions = Vec::new();
        let mut name_of = Vec::with_capacity(self.positions.len());
        for &p in &self.positions {
            let p = p.map(|x| x + 0.0);
            let next = positions.len() as u32;
            let name = *places.entry(p.map(f64::to_bits)).or_insert(next);
            if name == next {
                positions.push(p);
            }
            name_of.push(name);
        }
        let triangles = self
            .triangles
            .iter()
            .map(|t| t.map(|corner| name_of[corner as usize]))
            .filter(|[a, b, c]| a != b && b != c && c != a)
            .collect();
        Mesh { positions, triangles, unit: self.unit.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_become_one_whatever_the_sign_of_their_zeros() {
        let soup = Mesh {
            positions: vec![
                [0.0, 0.0, 0.0],
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [-0.0, 0.0, -0.0],
                [0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0],
            ],
            triangles: vec![[0, 1, 2], [3, 4, 5], [0, 3, 1]],
            unit: None,
        };
        let welded = soup.welded();
        assert_eq!(welded.positions.len(), 4);
        assert_eq!(welded.triangles, [[0, 1, 2], [0, 2, 3]], "the sliver between two names of one place is gone");
    }
}
