//! When tensor attention by polynomials is almost linear, what it gains and what it promises:
//! `cargo bench -p polyad-attention --bench near_linear -- [FOLDER] [--quick]`
//!
//! | section | says |
//! |---|---|
//! | growth | time against tokens, beside the exact kernel |
//! | crossover | from how many tokens on polynomials are faster |
//! | range | error, certificate and time against the bound on scores |
//! | orders | the bound on entries that each order affords |
//! | pieces | the degree that each part of the certificate saves |
//! | products | the share of the machine's peak |
//!
//! Tables are printed; FOLDER, `target/near_linear` without one, gets `report.html`, which stands alone, and
//! `numbers.json`, every number behind it. Times are the best of several. Up to ten minutes on two cores; `--quick` stays
//! below half a minute, with few tokens.

mod crossover;
mod growth;
mod orders;
mod pieces;
mod problems;
mod products;
mod range;
mod report;
mod svg;

use polyad_attention::Result;
use polyad_simd::{Level, level};
use report::Section;
use std::path::Path;
use std::time::Instant;

/// The highest degree that is tried.
const DEGREE: usize = 12;

/// What all sections share.
pub struct Setup {
    level: Level,
    quick: bool,
    /// Seconds that a timing may be repeated for.
    patience: f64,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick");
    let folder = words.iter().find(|word| !word.starts_with("--")).map_or("target/near_linear", String::as_str);
    // Benchmarks run in their package's folder; folders are meant from the workspace's.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let setup = Setup { level: level(), quick, patience: if quick { 0.05 } else { 1.0 } };
    let machine =
        format!("{}, {} threads{}", setup.level, rayon::current_num_threads(), if quick { ", quick" } else { "" });
    println!("{machine}");
    type Make = fn(&Setup) -> Result<Section>;
    let makes: [Make; 6] =
        [growth::section, crossover::section, range::section, orders::section, pieces::section, products::section];
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
