//! Image networks, forward, on the engine: `cargo bench --workspace --bench network [-- WORDS]`, the words being part of a
//! line's name; `network_rivals.py` compares with PyTorch.
//!
//! Each line: milliseconds of the best run, mean processor time (all threads; on a machine that does other things too,
//! the figure to compare), and operations per second of that processor time over the multiply-add peak of a
//! core measured in the same run. `RAYON_NUM_THREADS=1` measures one core. `-- serve` answers lines `NETWORK BATCH SIDE
//! SECONDS` with the two times in seconds.

use burn::tensor::Device;
use polyad_nn::backbone::alexnet::AlexNetConfig;
use polyad_nn::backbone::efficientnet::EfficientNetConfig;
use polyad_nn::backbone::resnet::ResNetConfig;
use polyad_nn::backbone::small::SmallNetConfig;
use polyad_nn::backbone::vgg::VggConfig;
use polyad_nn::engine::Engine;
use polyad_nn::{Error, Result};
use polyad_simd::level;
use polyad_simd::peak::multiply_add_rate;
use std::io::BufRead;
use std::time::Instant;

/// Name, side of a picture, multiply-adds of one in units of 10⁹.
const NETWORKS: [(&str, usize, f64); 7] = [
    ("resnet18", 224, 1.814),
    ("resnet18", 96, 0.334),
    ("resnet50", 224, 4.089),
    ("alexnet", 224, 0.696),
    ("vgg11", 224, 7.593),
    ("lite0", 224, 0.385),
    ("small", 96, 0.060),
];

const BATCHES: [usize; 3] = [1, 12, 240];

fn engine(name: &str) -> Result<Engine> {
    let device = Device::flex();
    match name {
        "resnet18" => Engine::from_resnet(&ResNetConfig::resnet18().init(&device)?),
        "resnet50" => Engine::from_resnet(&ResNetConfig::resnet50().init(&device)?),
        "alexnet" => Engine::from_alexnet(&AlexNetConfig { features: 512 }.init(&device)?),
        "vgg11" => Engine::from_vgg(&VggConfig { features: 512 }.init(&device)?),
        "lite0" => Engine::from_efficientnet(&EfficientNetConfig::lite0().init(&device)?),
        "small" => Engine::from_small(&SmallNetConfig::default().init(&device)?),
        _ => Err(Error::config("bench", format!("no network is called {name}"))),
    }
}

/// Seconds that all threads of this process have run; `None` where the system does not tell.
fn processor_time() -> Option<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let times = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += times.split(' ').next()?.parse::<f64>().ok()?;
    }
    Some(nanoseconds / 1e9)
}

/// Best wall time and mean processor time of runs that take so many seconds together, two at least. The mean, because the
/// system counts processor time in ticks: the least of short runs would be nothing at all.
fn measure(engine: &Engine, batch: usize, side: usize, seconds: f64) -> Result<(f64, f64)> {
    let pictures: Vec<f32> = (0..batch * 3 * side * side).map(|i| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
    let run = || engine.run(&pictures, [batch, 3, side, side]);
    run()?;
    let mut wall = f64::INFINITY;
    let (before, begin) = (processor_time(), Instant::now());
    let mut runs = 0;
    while runs < 2 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run()?;
        wall = wall.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    let spent = processor_time().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    Ok((wall, spent / f64::from(runs)))
}

fn serve() -> Result<()> {
    let mut last: Option<(String, Engine)> = None;
    for line in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<f64> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
        let ([name, ..], [batch, side, seconds]) = (&words[..], &numbers[..]) else {
            return Err(Error::config("bench", format!("not NETWORK BATCH SIDE SECONDS: {line}")));
        };
        if last.as_ref().is_none_or(|(known, _)| known != name) {
            last = Some(((*name).to_owned(), engine(name)?));
        }
        if let Some((_, engine)) = &last {
            let (wall, processor) = measure(engine, *batch as usize, *side as usize, *seconds)?;
            println!("{wall} {processor}");
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if words == ["serve"] {
        return serve();
    }
    let peak = (0..20).map(|_| multiply_add_rate(level())).fold(0.0, f64::max);
    println!("{}, {} threads, peak of a core {:.0} GFLOP/s", level(), rayon::current_num_threads(), peak / 1e9);
    for (name, side, operations) in NETWORKS {
        let mut made = None;
        for batch in BATCHES {
            let line = format!("{name} {side} batch {batch}");
            if !line.contains(&words.join(" ")) {
                continue;
            }
            let engine = match &mut made {
                Some(engine) => engine,
                none => none.insert(engine(name)?),
            };
            let (wall, processor) = measure(engine, batch, side, 2.0)?;
            let share = 2e9 * operations * batch as f64 / processor / peak;
            println!(
                "{line:24} {:9.2} ms {:9.2} ms of processor time  {share:.2} of peak",
                wall * 1e3,
                processor * 1e3
            );
        }
    }
    Ok(())
}
