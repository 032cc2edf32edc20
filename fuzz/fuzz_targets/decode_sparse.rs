#![no_main]

use libfuzzer_sys::fuzz_target;
use polyad_nn::hadamard::modulation::pruning::decode;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((shape, numbers)) = decode(bytes) {
        assert_eq!(shape.iter().product::<usize>(), numbers.len());
    }
});
