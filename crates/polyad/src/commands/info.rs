//! `polyad info`: what is in files.

use super::sources;
use crate::args::InfoArgs;
use crate::failure::{Exit, Result};
use crate::printer::Printer;
use crate::table::{Table, card};
use crate::{paths, table};
use polyad_shapes::Error;
use polyad_shapes::job::Job;
use polyad_shapes::mesh::{MeshInfo, describe};
use polyad_shapes::read::extension;
use polyad_shapes::source::{Shape, Source};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Info {
    path: String,
    #[serde(flatten)]
    mesh: MeshInfo,
    /// Number of photographs; absent for meshes and clouds.
    #[serde(skip_serializing_if = "Option::is_none")]
    photographs: Option<usize>,
}

pub fn run(args: &InfoArgs, printer: &Printer, job: Job) -> Result<Exit> {
    paths::exist(&args.paths)?;
    let found = sources::all(&args.paths, job)?;
    for failure in &found.failures {
        printer.failed(&failure.path, &failure.error)?;
    }
    let mut failures = found.failures.len();
    let mut infos = Vec::new();
    job.reporter().begin("reading", found.shapes.len() as u64);
    for source in &found.shapes {
        job.check()?;
        match describe_source(source) {
            Ok(info) if printer.json() => printer.result(&info, |_| String::new())?,
            Ok(info) => infos.push(info),
            Err(why) => {
                failures += 1;
                printer.failed(&source.path, &why.reason())?;
            }
        }
        job.reporter().advance(1);
    }
    job.reporter().end();
    if !printer.json() {
        printer.text(&words(&infos))?;
    }
    Ok(Exit::after(failures))
}

fn describe_source(source: &Source) -> Result<Info, Error> {
    let format = extension(&source.path);
    let (mesh, photographs) = match source.load()? {
        Shape::Mesh(mesh) => (describe(&mesh, &format), None),
        Shape::Photos(set) => {
            let nothing = MeshInfo {
                format,
                unit: None,
                triangles: 0,
                points: 0,
                bounds: None,
                area: None,
                watertight: None,
                parts: 0,
            };
            (nothing, Some(set.views.len()))
        }
    };
    Ok(Info { path: source.path.clone(), mesh, photographs })
}

fn words(infos: &[Info]) -> String {
    match infos {
        [] => String::new(),
        [one] => in_full(one),
        many => {
            let mut table = Table::new(&["path", "triangles", "points", "parts", "closed", "size", "unit"]);
            for Info { path, mesh, .. } in many {
                table.row([
                    path.clone(),
                    mesh.triangles.to_string(),
                    mesh.points.to_string(),
                    mesh.parts.to_string(),
                    closed(mesh),
                    size(mesh),
                    mesh.unit.clone().unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            table.text()
        }
    }
}

fn in_full(info: &Info) -> String {
    let Info { path, mesh, photographs } = info;
    if let Some(count) = photographs {
        return card(&[("path", path.clone()), ("photographs", count.to_string())]);
    }
    let corner = |point: [f64; 3]| point.map(table::short).join("  ");
    let [low, high] = mesh.bounds.map_or(["-".to_owned(), "-".to_owned()], |bounds| bounds.map(corner));
    card(&[
        ("path", path.clone()),
        ("format", mesh.format.clone()),
        ("unit", mesh.unit.clone().unwrap_or_else(|| "-".to_owned())),
        ("triangles", mesh.triangles.to_string()),
        ("points", mesh.points.to_string()),
        ("parts", mesh.parts.to_string()),
        ("closed", closed(mesh)),
        ("size", size(mesh)),
        ("from", low),
        ("to", high),
        ("area", mesh.area.map_or_else(|| "-".to_owned(), table::short)),
    ])
}

fn closed(mesh: &MeshInfo) -> String {
    mesh.watertight.map_or("-", |closed| if closed { "yes" } else { "no" }).to_owned()
}

fn size(mesh: &MeshInfo) -> String {
    let extent = |[low, high]: [[f64; 3]; 2]| [0, 1, 2].map(|axis| table::short(high[axis] - low[axis])).join(" x ");
    mesh.bounds.map_or_else(|| "-".to_owned(), extent)
}
