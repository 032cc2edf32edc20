//! StarNet forward on the engine, with its products at the ends of linear maps, as the engine plans them, and as steps
//! of their own.

use crate::{Effort, best, numbers};
use polyad_nn::Result;
use polyad_nn::hadamard::audit::Audit;
use polyad_nn::hadamard::correlation::starnet::{StarNetConfig, StarNetSize};
use polyad_run::{Builder, Id, ImageNetwork, Operand, PICTURE, Packed, Padding};
use polyad_simd::conv::{Combine, Cut};
use std::cell::Cell;

/// A plan of the network's layers with weights of the bench's own, which do not change the time.
struct Layers {
    builder: Builder,
    is_fused: bool,
    /// Layers so far, so that no two have the same weights.
    made: Cell<usize>,
}

impl Layers {
    /// A seeded weight, as large as keeps numbers of so many terms where they are.
    fn weight(layer: usize, terms: usize) -> impl Fn(usize) -> f32 + Sync {
        let scale = (6.0 / terms as f32).sqrt();
        move |index| {
            let bits = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(layer as u64 * 7919);
            let bits = (bits ^ bits >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            scale * ((bits >> 40) as f32 / (1 << 23) as f32 - 1.0)
        }
    }

    fn next(&self) -> usize {
        self.made.replace(self.made.get() + 1)
    }

    fn convolution(
        &mut self,
        x: Id,
        outputs: usize,
        [kernel, stride]: [usize; 2],
        second: Option<Operand>,
        cut: Cut,
    ) -> Result<Id> {
        let (inputs, taps) = (self.builder.channels(x)?, kernel * kernel);
        let weight = Self::weight(self.next(), inputs * taps);
        let at = |o: usize, i: usize, tap: usize| weight((o * inputs + i) * taps + tap);
        let packed =
            Packed::convolution([outputs, inputs], [kernel; 2], self.builder.lanes(x)?, vec![0.1; outputs], at);
        Ok(self.builder.convolution(x, packed, (stride, Padding::Fixed(kernel / 2)), second, cut)?)
    }

    fn depthwise(&mut self, x: Id, kernel: usize, second: Option<Operand>) -> Result<Id> {
        let (channels, taps) = (self.builder.channels(x)?, kernel * kernel);
        let weight = Self::weight(self.next(), taps);
        let packed = Packed::depthwise([kernel; 2], vec![0.1; channels], |channel, tap| weight(channel * taps + tap));
        Ok(self.builder.depthwise(x, packed, (1, Padding::Fixed(kernel / 2)), second, Cut::NONE)?)
    }

    /// `second ∘ f(x)`, f from pixels of one width to those of another.
    fn product(&mut self, x: Id, outputs: usize, second: Id) -> Result<Id> {
        let operand = Some((second, Combine::Multiply));
        if self.is_fused {
            return self.convolution(x, outputs, [1, 1], operand, Cut::NONE);
        }
        let branch = self.convolution(x, outputs, [1, 1], None, Cut::NONE)?;
        // One times the branch, plus nothing, times the other: the engine's own pass over two arrays.
        let ones = Packed::depthwise([1, 1], vec![0.0; outputs], |_, _| 1.0);
        Ok(self.builder.depthwise(branch, ones, (1, Padding::Fixed(0)), operand, Cut::NONE)?)
    }
}

fn starnet(config: &StarNetConfig, is_fused: bool) -> Result<ImageNetwork> {
    let (builder, picture) = Builder::of_pictures(PICTURE);
    let mut plan = Layers { builder, is_fused, made: Cell::new(0) };
    let mut x = plan.convolution(picture, 32, [3, 2], None, Cut::RELU6)?;
    for (stage, depth) in config.depths.iter().enumerate() {
        let width = config.base << stage;
        let inside = config.ratio * width;
        x = plan.convolution(x, width, [3, 2], None, Cut::NONE)?;
        for _ in 0..*depth {
            let inner = plan.depthwise(x, 7, None)?;
            let gate = plan.convolution(inner, inside, [1, 1], None, Cut::RELU6)?;
            let star = plan.product(inner, inside, gate)?;
            let narrow = plan.convolution(star, width, [1, 1], None, Cut::NONE)?;
            x = plan.depthwise(narrow, 7, Some((x, Combine::Add)))?;
        }
    }
    plan.builder.mean_pool(x, 1)?;
    Ok(ImageNetwork::new(plan.builder.finish()?, None)?)
}

/// Prints a line for each network, size of pictures and batch.
pub fn run(effort: Effort, [memory, cache]: [f64; 2]) -> Result<()> {
    println!(
        "\nnetwork: StarNet forward on the engine, its products apart and fused; bytes of all products of two arrays"
    );
    println!(
        "  network, side, batch        products apart      fused   apart / fused   products   at memory's, cache's rate"
    );
    for (size, side) in [(StarNetSize::S050, 224), (StarNetSize::S050, 96), (StarNetSize::S1, 224)] {
        let config = size.config();
        let (apart, fused) = (starnet(&config, false)?, starnet(&config, true)?);
        let module = config.init(&burn::tensor::Device::flex())?;
        let products = Audit::of(&module, &[PICTURE, side, side]).ciphertext_products;
        for batch in [1, 12] {
            let (pictures, shape) = (numbers(batch * PICTURE * side * side), [batch, PICTURE, side, side]);
            let vectors = [apart.run(&pictures, shape)?, fused.run(&pictures, shape)?];
            assert!(vectors[0].iter().all(|number| number.is_normal()), "numbers that networks have");
            assert_eq!(vectors[0], vectors[1], "the same products, in whatever step");
            let run = |network: &ImageNetwork| drop(std::hint::black_box(network.run(&pictures, shape)));
            let [apart, fused] = best(effort, [&mut || run(&apart), &mut || run(&fused)]);
            // Two reads, a write, and the line that the write falls into.
            let bytes = (16 * products * batch) as f64;
            let name = format!("{}, {side}², {batch}", size.name());
            println!(
                "  {name:24}{:14.3} ms{:9.3} ms{:12.3}{:10.1} MB{:12.3} ms{:8.3} ms",
                apart * 1e3,
                fused * 1e3,
                apart / fused,
                bytes / 1e6,
                bytes / memory * 1e3,
                bytes / cache * 1e3
            );
        }
    }
    Ok(())
}
