//! A View Set: pictures of one shape, in no order.

/// One picture, 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue) numbers a pixel.
    pub channels: usize,
    /// `height * width * channels` numbers, row by row, channels innermost.
    pub pixels: Vec<u8>,
}

/// Any number (at least one) of pictures of one shape. Their order carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSet {
    /// The pictures: of one size where they are rendered; photographs as they are read may differ.
    pub views: Vec<View>,
}
