//! When tensor attention by polynomials is almost linear, what it gains and what it promises:
//! `cargo bench -p polyad-attention --bench near_linear -- [FOLDER] [--quick] [--npz FILE]..`
//!
//! | section | says |
//! |---|---|
//! | growth | time against tokens, beside the exact kernel |
//! | crossover | from how many tokens on polynomials are faster |
//! | range | error, certificate and time against the bound on scores |
//! | orders | the bound on entries that each order affords |
//! | pieces | the degree that each part of the certificate saves |
//! | products | the share of the machine's peak |
//! | trained | speed and certificate on the operands in each FILE, where there is one |
//!
//! Tables are printed; FOLDER, `target/near_linear` without one, gets `report.html`, which stands alone, and
//! `numbers.json`, every number behind it. Times are the best of several. Up to ten minutes on two cores; `--quick` stays
//! below half a minute, with few tokens. A FILE is what `polyad-shapes`' example `operands` writes of a trained network, and
//! `polyad attend` reads. Arguments that mean nothing, and a FILE that holds no operands, end it with exit code 2 before
//! anything is measured.

mod archive;
mod crossover;
mod growth;
mod orders;
mod pieces;
mod problems;
mod products;
mod range;
mod report;
mod svg;
mod trained;

use polyad_attention::Result;
use polyad_simd::{Level, level};
use report::Section;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use trained::Network;

/// The highest degree that is tried.
const DEGREE: usize = 12;

/// What all sections share.
pub struct Setup {
    level: Level,
    quick: bool,
    /// Seconds that a timing may be repeated for.
    patience: f64,
    networks: Vec<Network>,
}

/// What is asked for.
struct Arguments {
    folder: PathBuf,
    quick: bool,
    networks: Vec<Network>,
}

impl Arguments {
    /// Or what is wrong with them, in a line.
    fn read(mut words: impl Iterator<Item = String>) -> std::result::Result<Arguments, String> {
        // Benchmarks run in their package's folder; paths are meant from the workspace's.
        let from_workspace = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let mut arguments =
            Arguments { folder: from_workspace("target/near_linear"), quick: false, networks: Vec::new() };
        while let Some(word) = words.next() {
            match &word[..] {
                "--quick" => arguments.quick = true,
                // What cargo adds.
                "--bench" => {}
                "--npz" => {
                    let file = words.next().ok_or("--npz wants a file")?;
                    let name = Path::new(&file).file_name().map(|name| name.to_string_lossy().into_owned());
                    let operands = archive::read(&from_workspace(&file))?;
                    arguments.networks.push(Network { name: name.unwrap_or(file), operands });
                }
                other if other.starts_with("--") => {
                    return Err(format!("{other} is none of --quick and --npz FILE"));
                }
                folder => arguments.folder = from_workspace(folder),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("near_linear: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("near_linear: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { folder, quick, networks }: Arguments) -> std::result::Result<(), Box<dyn Error>> {
    let setup = Setup { level: level(), quick, patience: if quick { 0.05 } else { 1.0 }, networks };
    let machine =
        format!("{}, {} threads{}", setup.level, rayon::current_num_threads(), if quick { ", quick" } else { "" });
    println!("{machine}");
    type Make = fn(&Setup) -> Result<Section>;
    let mut makes: Vec<Make> =
        vec![growth::section, crossover::section, range::section, orders::section, pieces::section, products::section];
    if !setup.networks.is_empty() {
        makes.push(trained::section);
    }
    let mut sections = Vec::new();
    for make in makes {
        let start = Instant::now();
        let section = make(&setup)?;
        section.print();
        println!("({:.0} s)", start.elapsed().as_secs_f64());
        sections.push(section);
    }
    report::write(&folder, &machine, &sections)?;
    println!("\n{} and numbers.json", folder.canonicalize()?.join("report.html").display());
    Ok(())
}
