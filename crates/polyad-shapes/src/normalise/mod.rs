//! A mesh made comparable: centred, scaled to the unit sphere, turned if asked, with normals to light it by.
//!
//! 1. Triangles that are none (a repeated corner, no area, a coordinate that is not a number) are left out,
//!    each judged by itself, so that they change no bit of the rest.
//! 2. The smallest sphere around what remains (`ball`) becomes the unit sphere. Unlike a box, it turns with
//!    the shape, so that a turned shape keeps its size in the pictures.
//! 3. Where asked, the axes of the surface's second moments become x, y, z (`pose`).
//! 4. Vertices at one place are joined, and each corner gets the mean normal of the faces that meet there
//!    smoothly (`normals`). Triangles that then are equal in every corner, by the hundred, are kept once.

mod ball;
mod cloud;
mod normals;
mod pose;

pub use pose::{Pose, Rotation, random_rotation};

use crate::error::{Error, Result};
use crate::job::Job;
use crate::mesh::Mesh;
use crate::vector::{cross, dot};

/// Sine of the smallest corner angle that makes a triangle: nothing thinner is ever seen, and what rounding
/// makes of three points on a line stays below it.
const LEAST_SINE: f64 = 1e-10;

/// A shape in the unit sphere, ready to be drawn.
///
/// Vertices are pairs of a place and a normal: at a crease, one place has several. Coordinates are kept apart
/// (all x, all y, all z), as the renderer reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalMesh {
    positions: [Vec<f32>; 3],
    normals: [Vec<f32>; 3],
    triangles: Vec<[u32; 3]>,
    disc_radius: f32,
}

impl NormalMesh {
    /// Places of the vertices, or the cloud's points: all x, all y, all z, within the unit sphere but for rounding.
    pub fn positions(&self) -> &[Vec<f32>; 3] {
        &self.positions
    }

    /// Unit normals of the vertices, on the side from which the triangle's corners run anticlockwise. A cloud's
    /// normals have no side, and are zero where the points show no surface.
    pub fn normals(&self) -> &[Vec<f32>; 3] {
        &self.normals
    }

    /// Corners as indices of vertices, all valid. Empty: a cloud.
    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.triangles
    }

    /// Radius at which a cloud's points are drawn, so that they close to a surface. 0 for meshes.
    pub fn disc_radius(&self) -> f32 {
        self.disc_radius
    }

    /// The same shape, turned about the origin. Cheap: one pass over the vertices.
    pub fn rotated(&self, rotation: &Rotation) -> NormalMesh {
        let turn = |from: &[Vec<f32>; 3]| {
            rotation.rows().map(|[a, b, c]| {
                let (a, b, c) = (a as f32, b as f32, c as f32);
                let columns = from[0].iter().zip(&from[1]).zip(&from[2]);
                columns.map(|((x, y), z)| a * x + b * y + c * z).collect::<Vec<f32>>()
            })
        };
        NormalMesh {
            positions: turn(&self.positions),
            normals: turn(&self.normals),
            triangles: self.triangles.clone(),
            disc_radius: self.disc_radius,
        }
    }
}

/// Brings a mesh or a cloud into the unit sphere, in the pose asked for.
///
/// # Errors
/// [`Error::Empty`] where no triangle has an area, or a cloud has no point; [`Error::Cancelled`].
///
/// # Cost
/// Linear but for one sort of the vertices; about 10 ms for 50,000 triangles.
pub fn normalise(mesh: &Mesh, pose: Pose, job: Job) -> Result<NormalMesh> {
    job.check()?;
    if mesh.triangles.is_empty() { normalise_cloud(mesh, pose, job) } else { normalise_surface(mesh, pose, job) }
}

fn normalise_surface(mesh: &Mesh, pose: Pose, job: Job) -> Result<NormalMesh> {
    if mesh.triangles.len() > (u32::MAX / 3) as usize {
        return Err(Error::Unsupported(format!("a mesh of {} triangles", mesh.triangles.len())));
    }
    let solid: Vec<[u32; 3]> = mesh.triangles.iter().copied().filter(|t| has_area(&mesh.positions, t)).collect();
    if solid.is_empty() {
        return Err(Error::Empty("no triangle has an area".into()));
    }
    job.check()?;
    let (mut places, triangles) = used_places(&mesh.positions, &solid);
    fit_unit_sphere(&mut places, job)?;
    if pose == Pose::Principal {
        pose::principal_of_surface(&places, &triangles).apply(&mut places);
    }
    job.check()?;
    normals::with_normals(&places, &triangles, job)
}

fn normalise_cloud(mesh: &Mesh, pose: Pose, job: Job) -> Result<NormalMesh> {
    let finite = |p: &&[f64; 3]| p.iter().all(|x| x.is_finite());
    let mut places: Vec<[f64; 3]> = mesh.positions.iter().filter(finite).copied().collect();
    if places.is_empty() {
        return Err(Error::Empty("no triangles and no points".into()));
    }
    fit_unit_sphere(&mut places, job)?;
    if pose == Pose::Principal {
        pose::principal_of_points(&places).apply(&mut places);
    }
    cloud::with_discs(&places, job)
}

/// Whether three corners span a visible triangle; judged at the triangle's own scale.
fn has_area(positions: &[[f64; 3]], triangle: &[u32; 3]) -> bool {
    let corner = |k: usize| positions.get(triangle[k] as usize).copied().unwrap_or([f64::NAN; 3]);
    let (a, b, c) = (corner(0), corner(1), corner(2));
    // Halved, so that differences of the largest numbers stay finite.
    let side = |p: [f64; 3], q: [f64; 3]| -> [f64; 3] { std::array::from_fn(|k| q[k] * 0.5 - p[k] * 0.5) };
    let (u, v) = (side(a, b), side(a, c));
    let largest = u.iter().chain(&v).fold(0.0f64, |m, x| m.max(x.abs()));
    if !(a.iter().chain(&b).chain(&c).all(|x| x.is_finite()) && largest > 0.0) {
        return false;
    }
    let (u, v) = (u.map(|x| x / largest), v.map(|x| x / largest));
    let n = cross(u, v);
    dot(n, n) > LEAST_SINE * LEAST_SINE * dot(u, u) * dot(v, v)
}

/// The places that triangles use, in their order, and the triangles renumbered to match.
fn used_places(positions: &[[f64; 3]], triangles: &[[u32; 3]]) -> (Vec<[f64; 3]>, Vec<[u32; 3]>) {
    const UNUSED: u32 = u32::MAX;
    let mut renumbered = vec![UNUSED; positions.len()];
    for t in triangles {
        t.iter().for_each(|&v| renumbered[v as usize] = 0);
    }
    let mut places = Vec::with_capacity(positions.len().min(3 * triangles.len()));
    for (number, place) in renumbered.iter_mut().zip(positions) {
        if *number != UNUSED {
            *number = places.len() as u32;
            places.push(*place);
        }
    }
    let triangles = triangles.iter().map(|t| t.map(|v| renumbered[v as usize])).collect();
    (places, triangles)
}

/// Moves and scales finite places so that their smallest enclosing sphere is the unit sphere. Places that
/// all coincide come to lie at the origin.
fn fit_unit_sphere(places: &mut [[f64; 3]], job: Job) -> Result<()> {
    // First the box, in halves, to leave the range where squares overflow or vanish.
    let mut low = [f64::INFINITY; 3];
    let mut high = [f64::NEG_INFINITY; 3];
    for p in places.iter() {
        for k in 0..3 {
            low[k] = low[k].min(p[k]);
            high[k] = high[k].max(p[k]);
        }
    }
    let centre: [f64; 3] = std::array::from_fn(|k| low[k] * 0.5 + high[k] * 0.5);
    let half = (0..3).fold(0.0f64, |m, k| m.max(high[k] * 0.5 - low[k] * 0.5));
    if half == 0.0 {
        places.fill([0.0; 3]);
        return Ok(());
    }
    for p in places.iter_mut() {
        *p = std::array::from_fn(|k| (p[k] * 0.5 - centre[k] * 0.5) / half);
    }
    let (centre, radius) = ball::smallest_ball(places, job)?;
    for p in places.iter_mut() {
        *p = std::array::from_fn(|k| (p[k] - centre[k]) / radius);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
