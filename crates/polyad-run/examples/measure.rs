//! What a network of `polyad export` costs on this machine: `cargo run --release --example measure -- FILE [VIEWS]`.
//!
//! On one thread; views are noise, whose time is that of any others.

use polyad_run::{Error, Network};
use std::time::{Duration, Instant};

/// Runs that the median is of.
const RUNS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let path = args.next().ok_or("a FILE that `polyad export` wrote")?;
    let views = args.next().map_or(Ok(12), |views| views.to_string_lossy().parse())?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let bytes = std::fs::read(path)?;
    let network = Network::from_bytes(&bytes)?;
    let length = bytes.len();
    drop(bytes);
    let (one, set) = pool.install(|| Ok::<_, Error>((median(&network, 1)?, median(&network, views)?)))?;
    let peak = peak_bytes().map_or("null".to_owned(), |peak| peak.to_string());
    println!(
        "{{\"bytes\":{length},\"peak_bytes\":{peak},\"one_view_ms\":{:.2},\"views\":{views},\"view_set_ms\":{:.2}}}",
        one.as_secs_f64() * 1e3,
        set.as_secs_f64() * 1e3
    );
    Ok(())
}

/// The median time of an embedding of so many views.
fn median(network: &Network, views: usize) -> Result<Duration, Error> {
    let size = network.input().size;
    let mut state = 1u32;
    let pixels: Vec<u8> = (0..views * size * size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let numbers = network.input().numbers(&pixels, 1)?;
    // The first run takes the memory that later ones find.
    network.embed(&numbers, [views, 3, size, size])?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        std::hint::black_box(network.embed(&numbers, [views, 3, size, size])?);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[RUNS / 2])
}

/// The most memory that this process has had, where the system tells it as Linux does.
fn peak_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
