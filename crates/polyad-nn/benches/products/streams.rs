//! Products of whole arrays, beside a triad of the same arrays.
//!
//! Bytes are counted as they cross the bus: reads, writes, and for each write the read of the line that it falls into
//! (*write-allocate*), unless the line was read already. In the cache no line comes from elsewhere, and the same are
//! counted, so that rates compare. Bytes of a number:
//!
//! ```text
//! triad a + b / 2         2 reads, 1 write, 1 line      16
//! a ∘ b                   the same                      16
//! a ∘ b ∘ c, one pass     3 reads, 1 write, 1 line      20
//! a ∘ b, then ∘ c         twice a product of two        32
//! Burn: a ∘ b             a new array                   16
//! Burn: a ∘ b ∘ c         the second over the first     28
//! Burn: a := a ∘ b        over its own numbers          12
//! ```

use crate::{Effort, best, numbers};
use burn::tensor::{Device, Tensor, TensorData};
use polyad_simd::{Kernel, LANES, Simd, dispatch, level};
use rayon::prelude::*;
use std::hint::black_box;

/// Numbers of an array for each thread that stay in the second-level cache: five arrays are 320 KiB, and a level has
/// 512 at least.
const CACHED: usize = 16 << 10;

/// Passes over the cache in one run, so that threads do not wait for each other most of the time.
const REPEATS: usize = 200;

/// The products of `N` arrays, or the triad of two.
struct Pass<'a, const N: usize, const TRIAD: bool> {
    inputs: [&'a [f32]; N],
    to: &'a mut [f32],
}

impl<const N: usize, const TRIAD: bool> Kernel for Pass<'_, N, TRIAD> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let half = simd.splat(0.5);
        let (to, _) = self.to.as_chunks_mut::<LANES>();
        let inputs = self.inputs.map(|input| &input.as_chunks::<LANES>().0[..to.len()]);
        for (at, to) in to.iter_mut().enumerate() {
            let mut result = simd.load(&inputs[0][at]);
            for input in &inputs[1..] {
                let number = simd.load(&input[at]);
                result = if TRIAD { simd.mul_add(number, half, result) } else { simd.mul(result, number) };
            }
            simd.store(result, to);
        }
    }
}

/// One pass over numbers of a multiple of 16.
fn pass<const N: usize, const TRIAD: bool>(inputs: [&[f32]; N], to: &mut [f32]) {
    dispatch(level(), Pass::<N, TRIAD> { inputs, to });
}

/// `a ∘ b`, each thread its part.
pub fn multiply(a: &[f32], b: &[f32], to: &mut [f32]) {
    let part = to.len().div_ceil(rayon::current_num_threads()).next_multiple_of(LANES);
    let inputs = a.par_chunks(part).zip(b.par_chunks(part));
    inputs.zip(to.par_chunks_mut(part)).for_each(|((a, b), to)| pass::<2, false>([a, b], to));
}

/// Arrays of one length: what is read, and what is written.
struct Arrays {
    read: [Vec<f32>; 3],
    between: Vec<f32>,
    to: Vec<f32>,
}

/// A thread's part of them.
type Part<'a> = ([&'a [f32]; 3], &'a mut [f32], &'a mut [f32]);

impl Arrays {
    fn new(count: usize) -> Self {
        let zeros = || vec![0.0; count];
        Arrays { read: [numbers(count), numbers(count), numbers(count)], between: zeros(), to: zeros() }
    }

    /// Work of all threads, each over its part so many times.
    fn each(&mut self, repeats: usize, work: impl Fn(Part) + Sync) {
        let part = self.to.len().div_ceil(rayon::current_num_threads()).next_multiple_of(LANES);
        let written = self.between.par_chunks_mut(part).zip(self.to.par_chunks_mut(part));
        written.enumerate().for_each(|(index, (between, to))| {
            let read = self.read.each_ref().map(|array| &array[index * part..][..to.len()]);
            for _ in 0..repeats {
                work((read, between, to));
                black_box(&mut *to);
            }
        });
    }
}

/// Prints a line, and gives bytes a second.
fn line(name: &str, seconds: f64, count: usize, bytes: usize, triad: Option<f64>) -> f64 {
    let rate = (count * bytes) as f64 / seconds;
    let of_triad = rate / triad.unwrap_or(rate);
    println!("  {name:22}{:11.3} ms{bytes:6} bytes a number{:9.1} GB/s{of_triad:7.2}", seconds * 1e3, rate / 1e9);
    rate
}

/// Passes over arrays of so many numbers; bytes a second of the triad.
fn passes(effort: Effort, count: usize, repeats: usize) -> f64 {
    let arrays = std::cell::RefCell::new(Arrays::new(count));
    let each = |work: fn(Part)| arrays.borrow_mut().each(repeats, work);
    let mut triad = || each(|([a, b, _], _, to)| pass::<2, true>([a, b], to));
    let mut product = || each(|([a, b, _], _, to)| pass::<2, false>([a, b], to));
    let mut chain = || each(|([a, b, c], _, to)| pass::<3, false>([a, b, c], to));
    let mut two = || {
        each(|([a, b, c], between, to)| {
            pass::<2, false>([a, b], between);
            pass::<2, false>([between, c], to);
        });
    };
    let times = best(effort, [&mut triad, &mut product, &mut chain, &mut two]);
    let [triad, product, chain, two] = times.map(|seconds| seconds / repeats as f64);
    let rate = line("triad a + b / 2", triad, count, 16, None);
    line("a ∘ b", product, count, 16, Some(rate));
    line("a ∘ b ∘ c, one pass", chain, count, 20, Some(rate));
    line("a ∘ b, then ∘ c", two, count, 32, Some(rate));
    rate
}

/// The same products by Burn's operation.
fn burn(effort: Effort, count: usize, triad: f64) {
    let tensor = |factor: f32| {
        let numbers: Vec<f32> = numbers(count).into_iter().map(|number| number * factor).collect();
        Tensor::<1>::from_data(TensorData::new(numbers, [count]), &Device::flex())
    };
    let (a, b) = (tensor(1.0), tensor(1.0));
    let mut product = || drop(black_box(a.clone() * b.clone()));
    let mut chain = || drop(black_box(a.clone() * b.clone() * b.clone()));
    // Signs alone, so that numbers neither grow nor vanish.
    let signs = b.clone().sign();
    let mut own = Some(tensor(1.0));
    let mut over = || own = own.take().map(|own| own * signs.clone());
    let [product, chain, over] = best(effort, [&mut product, &mut chain, &mut over]);
    line("Burn: a ∘ b", product, count, 16, Some(triad));
    line("Burn: a ∘ b ∘ c", chain, count, 28, Some(triad));
    line("Burn: a := a ∘ b", over, count, 12, Some(triad));
}

/// Bytes of the last cache, where Linux tells them, or of one that few processors exceed.
fn last_cache() -> usize {
    let told = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index3/size").ok();
    let kilobytes = told.and_then(|told| told.trim().strip_suffix('K')?.parse::<usize>().ok());
    kilobytes.map_or(256 << 20, |kilobytes| kilobytes << 10)
}

/// Bytes a second of the triad from memory and from the cache, in this order.
pub fn run(effort: Effort) -> [f64; 2] {
    // Each array as large as the last cache, and no less than 256 MiB, so that little of five of them is found there.
    let large = if effort.is_quick { 4 << 20 } else { last_cache().max(256 << 20) / size_of::<f32>() };
    let cached = CACHED * rayon::current_num_threads();
    [("memory", large, 1), ("cache", cached, REPEATS)].map(|(name, count, repeats)| {
        let megabytes = (count * size_of::<f32>()) as f64 / (1 << 20) as f64;
        println!(
            "\nstreams from {name}, arrays of {megabytes:.2} MiB; the last column is of the triad's bytes a second"
        );
        let rate = passes(effort, count, repeats);
        burn(effort, count, rate);
        rate
    })
}
