//! Where the numbers of images lie, and what a layer does to a finished sum.

use crate::simd::{LANES, Simd};

/// Images in blocked layout: `[images][blocks][height + 2 border][width + 2 border][lanes]`.
///
/// The border is zero, so that a convolution with padding reads past an image's edge without asking where it is.
/// `lanes` is 16 everywhere but in pictures, which have so few channels that blocks of 16 would be mostly air: there it is
/// the number of channels, and there is one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// Images.
    pub images: usize,
    /// Blocks of channels.
    pub blocks: usize,
    /// Rows, without the border.
    pub height: usize,
    /// Pixels a row, without the border.
    pub width: usize,
    /// Rows and pixels of zeros on each side.
    pub border: usize,
    /// Channels of a block.
    pub lanes: usize,
}

impl Map {
    /// Numbers from a row to the next.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.border) * self.lanes
    }
    /// Numbers from a block to the next.
    pub fn plane(&self) -> usize {
        (self.height + 2 * self.border) * self.row()
    }
    /// Numbers from an image to the next.
    pub fn image(&self) -> usize {
        self.blocks * self.plane()
    }
    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.images * self.image()
    }
    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Where a pixel is in its plane, border counted: (0, 0) is the border's corner.
    pub(super) fn pixel(&self, y: usize, x: usize) -> usize {
        y * self.row() + x * self.lanes
    }

    /// Writes zeros into the border of every plane.
    ///
    /// # Panics
    /// Where `numbers` is shorter than the map.
    pub fn clear_border(&self, numbers: &mut [f32]) {
        if self.border == 0 || self.is_empty() {
            return;
        }
        let (row, side) = (self.row(), self.border * self.lanes);
        for plane in numbers[..self.len()].chunks_exact_mut(self.plane()) {
            let ends = self.border * row;
            let last = plane.len() - ends;
            plane[..ends].fill(0.0);
            plane[last..].fill(0.0);
            for line in plane[ends..last].chunks_exact_mut(row) {
                line[..side].fill(0.0);
                line[row - side..].fill(0.0);
            }
        }
    }
}

/// A window that slides over a map. Rows come first, then pixels of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its size.
    pub kernel: [usize; 2],
    /// From an output pixel to the next, both ways.
    pub stride: usize,
    /// Padding before the image's first row and pixel. How much is behind the last follows from the output's size.
    pub before: [usize; 2],
}

impl Window {
    /// # Panics
    /// Where a window of `to` would leave the bordered planes of `from`, or the maps differ in images.
    pub(super) fn check(&self, from: &Map, to: &Map) {
        for (axis, (size, count)) in [(from.height, to.height), (from.width, to.width)].into_iter().enumerate() {
            assert!(self.before[axis] <= from.border, "a border of {} for a padding of {:?}", from.border, self.before);
            let end = count.saturating_sub(1) * self.stride + self.kernel[axis];
            assert!(end <= self.before[axis] + size + from.border, "{count} windows of {self:?} leave {size} pixels");
        }
        assert_eq!(from.images, to.images, "images in and out differ");
        assert_eq!(to.lanes, LANES, "an output has blocks of {LANES} channels");
    }

    /// Where the window of an output pixel begins in a bordered plane.
    #[inline(always)]
    pub(super) fn start(&self, from: &Map, y: usize, x: usize) -> usize {
        let [above, left] = self.before;
        from.pixel(y * self.stride + from.border - above, x * self.stride + from.border - left)
    }
}

/// What happens to a second map of the output's size at the end of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// `sum + second`: a residual.
    Add,
    /// `sum · second`: an element-wise product.
    Multiply,
}

/// The second operand of a layer's end.
#[derive(Debug, Clone, Copy)]
pub struct Second<'a> {
    /// Its numbers.
    pub numbers: &'a [f32],
    /// Where they are: images, blocks, height and width are those of the output, the border may differ.
    pub map: Map,
    /// What is done with them.
    pub how: Combine,
}

impl Combine {
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, simd: S, sum: S::V, second: S::V) -> S::V {
        match self {
            Combine::Add => simd.add(sum, second),
            Combine::Multiply => simd.mul(sum, second),
        }
    }
}

impl Second<'_> {
    /// # Panics
    /// Where the operand has another size than the output, or fewer numbers than its map says.
    pub(super) fn check(&self, to: &Map) {
        let map = self.map;
        assert_eq!(
            (map.images, map.blocks, map.height, map.width, map.lanes),
            (to.images, to.blocks, to.height, to.width, LANES),
            "the second operand has another size"
        );
        assert!(map.len() <= self.numbers.len(), "the second operand is too short");
    }
}

/// The range to which an output is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Nothing is below.
    pub low: f32,
    /// Nothing is above.
    pub high: f32,
}

impl Cut {
    /// Everything passes.
    pub const NONE: Cut = Cut { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// `max(x, 0)`.
    pub const RELU: Cut = Cut { low: 0.0, high: f32::INFINITY };
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Cut = Cut { low: 0.0, high: 6.0 };

    /// Two instructions a vector whatever the range: a branch would cost as much. The order of operands keeps NaN.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, simd: S, v: S::V) -> S::V {
        simd.min(simd.splat(self.high), simd.max(simd.splat(self.low), v))
    }
}
