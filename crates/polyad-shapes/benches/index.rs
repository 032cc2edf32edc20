//! The index at 100,000 shapes of 1,024 numbers: building it, and its answers beside brute force.
//!
//! `cargo bench --workspace --bench index [-- SHAPES]`
//!
//! The embeddings are 500 clusters in 32 latent dimensions plus noise, all moved by a common vector as those of one
//! network are; three in ten are near-duplicates of another (a thousandth of noise), where graphs are weak. Views
//! are left out. A found shape is a hit if it is no worse than the true tenth. Both times are medians over queries
//! asked one at a time; brute force runs on all threads over vectors that lie ready in memory.

use polyad_shapes::embedding::Embedding;
use polyad_shapes::index::{IndexWriter, Item, Library, Listing, Prepared, SearchOptions, Settings};
use polyad_shapes::job::Job;
use polyad_shapes::source::Stamp;
use polyad_shapes::{Error, Result};
use polyad_simd::dot;
use rayon::prelude::*;
use std::time::Instant;

const WIDTH: usize = 1024;
const LATENT: usize = 32;
const CLUSTERS: u64 = 500;
const QUERIES: usize = 200;
const K: usize = 10;

fn main() -> Result<()> {
    let shapes = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100_000u64);
    let threads = rayon::current_num_threads();
    println!("{shapes} shapes of {WIDTH} numbers, {threads} threads, {} instructions", polyad_simd::level());
    let library = Numbers { basis: (0..LATENT as u64).map(|i| numbers(i).take(WIDTH).collect()).collect(), shapes };
    let vectors: Vec<Vec<f32>> = (0..shapes).into_par_iter().map(|i| library.vector(i)).collect();

    let dir = tempfile::tempdir().map_err(|e| Error::io("temporary folder", e))?;
    let settings = Settings { identity: "bench".into(), set_width: WIDTH, view_width: 1, model: None };
    let mut writer = IndexWriter::open(dir.path(), &settings)?;
    let start = Instant::now();
    writer.update(&library, Job::silent())?;
    let build = start.elapsed().as_secs_f64();
    let data = std::fs::metadata(dir.path().join("data.mdb")).map_err(|e| Error::io(dir.path(), e))?;
    let start = Instant::now();
    writer.update(&library, Job::silent())?;
    let again = start.elapsed().as_secs_f64();

    let centred = Centred::new(&vectors);
    let (mut hits, mut graph, mut brute) = (0, Vec::new(), Vec::new());
    for q in 0..QUERIES as u64 {
        // Half of the queries are in the library, half are new.
        let query = library.vector(if q % 2 == 0 { q * (shapes / QUERIES as u64) } else { shapes + 7 * q });
        let start = Instant::now();
        let best = centred.nearest(&query);
        brute.push(start.elapsed().as_secs_f64() * 1e3);
        let query = Embedding { set: query, views: Vec::new() };
        let start = Instant::now();
        let found = writer.index().search(&query, &SearchOptions { k: K, ..SearchOptions::default() })?;
        graph.push(start.elapsed().as_secs_f64() * 1e3);
        hits += found.iter().filter(|neighbour| neighbour.score >= best[K - 1] - 1e-5).count();
    }
    // A size that all have makes the index compare all.
    let mut scan = Vec::new();
    for q in 0..QUERIES as u64 / 10 {
        let query = Embedding { set: library.vector(shapes + 7 * q), views: Vec::new() };
        let start = Instant::now();
        writer.index().search(&query, &SearchOptions { k: K, same_size: Some(1.0), ..SearchOptions::default() })?;
        scan.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let recall = hits as f64 / (QUERIES * K) as f64;
    let (graph, brute, scan) = (median(graph), median(brute), median(scan));
    println!("build          {build:9.1} s");
    println!("nothing to do  {again:9.2} s");
    println!("file           {:9.0} MB", data.len() as f64 / 1e6);
    println!("recall@{K}      {recall:9.4}");
    println!("query          {graph:9.3} ms");
    println!("exact scan     {scan:9.3} ms");
    println!("brute force    {brute:9.3} ms, {:.1} times as long", brute / graph);
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Numbers in [-1, 1), by splitmix64.
fn numbers(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

/// Unit vectors without the centre, for brute force.
struct Centred {
    centre: Vec<f32>,
    vectors: Vec<Vec<f32>>,
}

impl Centred {
    fn new(vectors: &[Vec<f32>]) -> Centred {
        let mut sum = vec![0.0f64; WIDTH];
        for vector in vectors {
            sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let centre: Vec<f32> = sum.iter().map(|sum| (sum / (vectors.len() as f64 + 16.0)) as f32).collect();
        let vectors = vectors.par_iter().map(|vector| away(&centre, vector)).collect();
        Centred { centre, vectors }
    }

    /// The scores of the ten nearest.
    fn nearest(&self, query: &[f32]) -> Vec<f32> {
        let query = away(&self.centre, query);
        let mut scores: Vec<f32> = self.vectors.par_iter().with_min_len(256).map(|x| dot(&query, x)).collect();
        scores.select_nth_unstable_by(K, |a, b| b.total_cmp(a));
        scores.truncate(K);
        scores.sort_by(|a, b| b.total_cmp(a));
        scores
    }
}

fn away(centre: &[f32], vector: &[f32]) -> Vec<f32> {
    let mut away: Vec<f32> = vector.iter().zip(centre).map(|(x, c)| x - c).collect();
    let length = dot(&away, &away).sqrt();
    away.iter_mut().for_each(|x| *x /= length);
    away
}

struct Numbers {
    basis: Vec<Vec<f32>>,
    shapes: u64,
}

struct Number(u64, String);

impl Numbers {
    fn vector(&self, i: u64) -> Vec<f32> {
        // Shapes 7, 8 and 9 of every ten repeat shape 6 with a little noise.
        let (original, noise) = if i % 10 > 6 { (i - i % 10 + 6, 1e-3) } else { (i, 0.0) };
        let cluster = numbers(1_000 + original.wrapping_mul(0x9E37_79B9) % CLUSTERS);
        let latent: Vec<f32> = cluster.zip(numbers(10_000 + original)).take(LATENT).map(|(c, e)| c + 0.4 * e).collect();
        let mut vector: Vec<f32> = numbers(5_000_000_000 + original).take(WIDTH).map(|e| 3.0 + 0.1 * e).collect();
        for (weight, direction) in latent.iter().zip(&self.basis) {
            vector.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
        }
        vector.iter_mut().zip(numbers(9_000_000_000 + i)).for_each(|(x, e)| *x += noise * e);
        vector
    }
}

impl Item for Number {
    fn path(&self) -> &str {
        &self.1
    }

    fn stamp(&self) -> Result<Stamp> {
        Ok(Stamp { size: self.0, mtime_ns: 0 })
    }

    fn hash(&self) -> Result<[u8; 32]> {
        Ok(*blake3::hash(&self.0.to_le_bytes()).as_bytes())
    }
}

impl Library for Numbers {
    type Item = Number;

    fn root(&self) -> &str {
        "library"
    }

    fn place(&self) -> Option<String> {
        None
    }

    fn items(&self, _: Job) -> Result<Listing<Number>> {
        let items = (0..self.shapes).map(|i| Number(i, format!("library/{i:07}.stl"))).collect();
        Ok(Listing { items, failures: Vec::new() })
    }

    fn prepare(&self, items: &[&Number], _: Job) -> Vec<Result<Prepared>> {
        let prepare = |item: &&Number| {
            let embedding = Embedding { set: self.vector(item.0), views: Vec::new() };
            Ok(Prepared { embedding, diagonal: Some(1.0), triangles: Some(1), thumbnail: Vec::new() })
        };
        items.par_iter().map(prepare).collect()
    }
}
