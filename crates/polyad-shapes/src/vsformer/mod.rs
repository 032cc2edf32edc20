//! VSFormer: a transformer over View Sets (Sun et al., arXiv 2409.09254).
//!
//! ```text
//! pictures --initializer--> d numbers a view --encoder--> the same, aware of each other
//!          --transition--> maximum, then mean, over the views: 2 d numbers --head--> classes
//! ```
//!
//! Views carry no position and there is no class token, so their order does not matter. A batch may mix shapes with
//! different numbers of views: [`batch_views`] pads, and the padding is hidden from attention and both pools.

mod config;
mod describe;
mod encoder;
mod flow;
mod head;
mod initializer;
mod network;
mod views;

pub use config::{BackboneKind, VsFormerConfig};
pub use encoder::{Encoder, EncoderBlock, ViewAttention};
pub use head::{Head, HeadLayer};
pub use initializer::{Backbone, Initializer, Projection, ViewClassifier};
pub use network::VsFormer;
pub(crate) use views::numbers;
pub use views::{batch_views, transition};
