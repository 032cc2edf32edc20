//! `polyad doctor`: what this machine offers, and what polyad uses of it.

use crate::failure::{Exit, Result};
use crate::printer::Printer;
use crate::table;
use polyad_shapes::model::Definition;
use polyad_simd::Level;
use serde::Serialize;

/// The formats of models that are read; the first is also written.
const MODEL_FORMATS: [&str; 1] = ["safetensors"];
/// The formats that `import` turns into a model.
const IMPORT_FORMATS: [&str; 2] = ["pth", "safetensors"];
const MESH_FORMATS: [&str; 8] = ["stl", "obj", "ply", "off", "xyz", "gltf", "glb", "3mf"];
const IMAGE_FORMATS: [&str; 3] = ["png", "jpg", "jpeg"];

#[derive(Debug, Serialize)]
struct Doctor {
    version: &'static str,
    instruction_sets: InstructionSets,
    cores: usize,
    memory_bytes: Option<u64>,
    /// What tells the built-in model from others.
    builtin_model: String,
    model_formats: &'static [&'static str],
    import_formats: &'static [&'static str],
    mesh_formats: &'static [&'static str],
    image_formats: &'static [&'static str],
}

#[derive(Debug, Serialize)]
struct InstructionSets {
    present: Vec<&'static str>,
    used: &'static str,
    absent: Vec<&'static str>,
}

pub fn run(printer: &Printer) -> Result<Exit> {
    let names = |present: bool| -> Vec<&'static str> {
        Level::ALL.into_iter().filter(|level| level.is_present() == present).map(Level::name).collect()
    };
    let doctor = Doctor {
        version: env!("CARGO_PKG_VERSION"),
        instruction_sets: InstructionSets {
            present: names(true),
            used: polyad_simd::level().name(),
            absent: names(false),
        },
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_bytes(),
        builtin_model: Definition::builtin()?.header().checksum.clone(),
        model_formats: &MODEL_FORMATS,
        import_formats: &IMPORT_FORMATS,
        mesh_formats: &MESH_FORMATS,
        image_formats: &IMAGE_FORMATS,
    };
    printer.result(&doctor, words)?;
    Ok(Exit::Done)
}

fn words(doctor: &Doctor) -> String {
    let sets = &doctor.instruction_sets;
    let list = |names: &[&str]| if names.is_empty() { "-".to_owned() } else { names.join(" ") };
    let memory = doctor.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    table::card(&[
        ("version", doctor.version.to_owned()),
        ("instruction sets", list(&sets.present)),
        ("  used", sets.used.to_owned()),
        ("  absent", list(&sets.absent)),
        ("cores", doctor.cores.to_string()),
        ("memory", memory),
        ("built-in model", doctor.builtin_model.clone()),
        ("models", list(doctor.model_formats)),
        ("imports", list(doctor.import_formats)),
        ("meshes", format!("{}, each also as .gz or inside a .zip", list(doctor.mesh_formats))),
        ("photographs", list(doctor.image_formats)),
    ])
}

/// Memory of the machine, where the system tells it as Linux does.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
