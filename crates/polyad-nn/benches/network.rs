//! Image networks: forward on the engine, and a training step (forward and all gradients) of the Burn module:
//! `cargo bench --workspace --bench network [-- WORDS]`, the words being part of a line's name; `network_rivals.py`
//! compares with PyTorch.
//!
//! Each line: milliseconds of the best run, mean processor time (all threads; on a machine that does other things too,
//! the figure to compare), and operations per second of that processor time over the multiply-add peak of a
//! core measured in the same run. Where the processor has bfloat16, 12 pictures also with that. `RAYON_NUM_THREADS=1`
//! measures one core. `-- serve` answers lines `NETWORK BATCH SIDE SECONDS`, or the same after `step`, with the two
//! times in seconds.

use burn::tensor::{Device, Tensor, TensorData};
use polyad_nn::backbone::alexnet::{AlexNet, AlexNetConfig};
use polyad_nn::backbone::efficientnet::{EfficientNet, EfficientNetConfig};
use polyad_nn::backbone::resnet::{ResNet, ResNetConfig};
use polyad_nn::backbone::small::{SmallNet, SmallNetConfig};
use polyad_nn::backbone::vgg::{Vgg, VggConfig};
use polyad_nn::engine::Engine;
use polyad_nn::hadamard::correlation::starnet::{StarNet, StarNetSize};
use polyad_nn::{Error, Result};
use polyad_simd::level;
use polyad_simd::peak::multiply_add_rate;
use std::io::BufRead;
use std::time::Instant;

/// Name, side of a picture, multiply-adds of one in units of 10⁹.
const NETWORKS: [(&str, usize, f64); 11] = [
    ("resnet18", 224, 1.814),
    ("resnet18", 96, 0.334),
    ("resnet50", 224, 4.089),
    ("alexnet", 224, 0.696),
    ("vgg11", 224, 7.593),
    ("lite0", 224, 0.385),
    ("small", 96, 0.060),
    ("builtin", 96, 0.0715),
    ("starnet-s050", 224, 0.0912),
    ("starnet-s050", 96, 0.0167),
    ("starnet-s1", 224, 0.4217),
];

const BATCHES: [usize; 3] = [1, 12, 240];

/// Name, side of a picture, pictures of a training step's batch.
const STEPS: [(&str, usize, usize); 7] = [
    ("small", 96, 64),
    ("builtin", 96, 64),
    ("resnet18", 96, 16),
    ("resnet50", 96, 16),
    ("lite0", 96, 16),
    ("alexnet", 224, 16),
    ("vgg11", 224, 8),
];

/// What is measured, on pictures and their sizes.
type Work = Box<dyn Fn(&[f32], [usize; 4]) -> Result<()>>;

/// A network that can be measured.
enum Network {
    AlexNet(AlexNet),
    Vgg(Vgg),
    ResNet(ResNet),
    EfficientNet(EfficientNet),
    Small(SmallNet),
    StarNet(StarNet),
}

impl Network {
    fn named(name: &str, device: &Device) -> Result<Self> {
        Ok(match name {
            "resnet18" => Network::ResNet(ResNetConfig::resnet18().init(device)?),
            "resnet50" => Network::ResNet(ResNetConfig::resnet50().init(device)?),
            "alexnet" => Network::AlexNet(AlexNetConfig { features: 512 }.init(device)?),
            "vgg11" => Network::Vgg(VggConfig { features: 512 }.init(device)?),
            "lite0" => Network::EfficientNet(EfficientNetConfig::lite0().init(device)?),
            "small" => Network::Small(SmallNetConfig::default().init(device)?),
            // The built-in model's widths.
            "builtin" => Network::Small(SmallNetConfig { widths: vec![32, 48, 96, 256] }.init(device)?),
            "starnet-s050" => Network::StarNet(StarNetSize::S050.config().init(device)?),
            "starnet-s1" => Network::StarNet(StarNetSize::S1.config().init(device)?),
            _ => return Err(Error::config("bench", format!("no network is called {name}"))),
        })
    }

    fn engine(&self) -> Result<Engine> {
        match self {
            Network::AlexNet(net) => Engine::from_alexnet(net),
            Network::Vgg(net) => Engine::from_vgg(net),
            Network::ResNet(net) => Engine::from_resnet(net),
            Network::EfficientNet(net) => Engine::from_efficientnet(net),
            Network::Small(net) => Engine::from_small(net),
            Network::StarNet(net) => Engine::from_starnet(net),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Network::AlexNet(net) => net.forward(images),
            Network::Vgg(net) => net.forward(images),
            Network::ResNet(net) => net.forward(images),
            Network::EfficientNet(net) => net.forward(images),
            Network::Small(net) => net.forward(images),
            Network::StarNet(net) => net.features(images),
        }
    }
}

fn forward(name: &str) -> Result<Work> {
    let engine = engine(name)?;
    Ok(Box::new(move |pictures, sizes| engine.run(pictures, sizes).map(drop)))
}

fn engine(name: &str) -> Result<Engine> {
    Network::named(name, &Device::flex())?.engine()
}

/// Forward, a sum of squares, and the gradients of all weights.
fn step(name: &str) -> Result<Work> {
    let device = Device::flex().autodiff();
    let network = Network::named(name, &device)?;
    Ok(Box::new(move |pictures, sizes| {
        let images = TensorData::new(pictures.to_vec(), sizes);
        let numbers = network.forward(Tensor::from_data(images, &device));
        std::hint::black_box(numbers.powf_scalar(2.0).sum().backward());
        Ok(())
    }))
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

/// Best wall time and mean processor time of runs that take so many seconds together, two at least. The mean, because
/// the system counts processor time in ticks: the least of short runs would be nothing at all.
fn measure(work: &Work, batch: usize, side: usize, seconds: f64) -> Result<(f64, f64)> {
    let pictures: Vec<f32> = (0..batch * 3 * side * side).map(|i| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
    let run = || work(&pictures, [batch, 3, side, side]);
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
    let mut last: Option<(String, Work)> = None;
    for line in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let step_wanted = words.first() == Some(&"step");
        if step_wanted {
            words.remove(0);
        }
        let numbers: Vec<f64> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
        let ([name, ..], [batch, side, seconds]) = (&words[..], &numbers[..]) else {
            return Err(Error::config("bench", format!("not NETWORK BATCH SIDE SECONDS: {line}")));
        };
        let key = format!("{name} {step_wanted}");
        if last.as_ref().is_none_or(|(known, _)| *known != key) {
            last = Some((key, if step_wanted { step(name)? } else { forward(name)? }));
        }
        if let Some((_, work)) = &last {
            let (wall, processor) = measure(work, *batch as usize, *side as usize, *seconds)?;
            println!("{wall} {processor}");
        }
    }
    Ok(())
}

fn print_line(line: &str, wall: f64, processor: f64, share: f64) {
    let (wall, processor) = (wall * 1e3, processor * 1e3);
    println!("{line:34} {wall:9.2} ms {processor:9.2} ms of processor time  {share:.2} of peak");
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
            let work = match &mut made {
                Some(work) => work,
                none => none.insert(forward(name)?),
            };
            let (wall, processor) = measure(work, batch, side, 2.0)?;
            let share = 2e9 * operations * batch as f64 / processor / peak;
            print_line(&line, wall, processor, share);
        }
    }
    for (name, side, operations) in NETWORKS {
        let line = format!("{name} {side} batch 12 bfloat16");
        if Engine::has_bfloat16() && line.contains(&words.join(" ")) {
            let engine = engine(name)?.with_bfloat16();
            let work: Work = Box::new(move |pictures, sizes| engine.run(pictures, sizes).map(drop));
            let (wall, processor) = measure(&work, 12, side, 2.0)?;
            print_line(&line, wall, processor, 2e9 * operations * 12.0 / processor / peak);
        }
    }
    for (name, side, batch) in STEPS {
        let line = format!("step {name} {side} batch {batch}");
        if line.contains(&words.join(" ")) {
            let (wall, processor) = measure(&step(name)?, batch, side, 2.0)?;
            println!("{line:34} {:9.2} ms {:9.2} ms of processor time", wall * 1e3, processor * 1e3);
        }
    }
    Ok(())
}
