//! Numbers that arrays may hold. All sums are in single precision, whatever comes in and goes out.

use half::{bf16, f16};

/// A number type of inputs and outputs.
pub trait Element: Copy + Send + Sync + 'static {
    /// Whether this is bfloat16, whose products some processors compute as they are.
    const IS_BFLOAT16: bool = false;
    /// In single precision, exactly.
    fn wide(self) -> f32;
    /// The nearest of this type, ties to even.
    fn narrow(x: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
    #[inline(always)]
    fn narrow(x: f32) -> f32 {
        x
    }
}

impl Element for f16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn narrow(x: f32) -> f16 {
        f16::from_f32(x)
    }
}

impl Element for bf16 {
    const IS_BFLOAT16: bool = true;

    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn narrow(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
}

/// Writes single precision as another type.
pub(crate) fn narrow_into<E: Element>(from: &[f32], to: &mut [E]) {
    to.iter_mut().zip(from).for_each(|(to, x)| *to = E::narrow(*x));
}
