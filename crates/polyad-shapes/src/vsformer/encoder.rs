//! The encoder: pre-norm blocks in which the views of a shape take notice of each other.

use super::config::VsFormerConfig;
use super::views::transition;
use crate::error::Result;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Bool, Device, Tensor};
use polyad_nn::attention::{MultiHeadAttention, MultiHeadAttentionConfig, TensorAttention, TensorAttentionConfig};

/// Blocks one after the other, without a norm at the end.
#[derive(Module, Debug)]
pub struct Encoder {
    /// The blocks, in order.
    pub blocks: Vec<EncoderBlock>,
}

/// ```text
/// x = x + dropout(attention(norm(x)))
/// x = x + dropout(contract(gelu(expand(mlp_norm(x)))))
/// ```
#[derive(Module, Debug)]
pub struct EncoderBlock {
    /// Before attention.
    pub norm: LayerNorm,
    /// Among the views.
    pub attention: ViewAttention,
    /// Before the hidden layer.
    pub mlp_norm: LayerNorm,
    /// `[dim, ratio * dim]` and a bias.
    pub expand: Linear,
    /// `[ratio * dim, dim]` and a bias.
    pub contract: Linear,
    attention_dropout: Dropout,
    mlp_dropout: Dropout,
}

/// How views take notice of each other.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a block, and modules do not derive through a box")]
pub enum ViewAttention {
    /// In pairs, as published.
    Pairs(MultiHeadAttention),
    /// In tuples, or in pairs of normalised queries and keys.
    Tuples(TensorAttention),
}

impl ViewAttention {
    fn init(config: &VsFormerConfig, device: &Device) -> Result<Self> {
        let (dim, heads, dropout) = (config.dim, config.heads, ATTENTION_DROPOUT);
        if config.order == 2 && !config.qk_norm {
            return Ok(ViewAttention::Pairs(MultiHeadAttentionConfig { dim, heads, dropout }.init(device)?));
        }
        let tuples = TensorAttentionConfig::new(dim, heads, config.order);
        Ok(ViewAttention::Tuples(TensorAttentionConfig { qk_norm: config.qk_norm, dropout, ..tuples }.init(device)?))
    }

    fn forward(&self, views: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<3> {
        match self {
            ViewAttention::Pairs(attention) => attention.forward(views, absent),
            ViewAttention::Tuples(attention) => attention.forward(views, absent),
        }
    }
}

/// Dropout of the published code: on the attention probabilities, and again on what attention adds.
const ATTENTION_DROPOUT: f64 = 0.1;
/// Dropout of the published code on what the hidden layer adds.
const MLP_DROPOUT: f64 = 0.5;

impl Encoder {
    /// Makes the encoder of a configuration.
    pub fn init(config: &VsFormerConfig, device: &Device) -> Result<Self> {
        let blocks = (0..config.layers).map(|_| EncoderBlock::init(config, device)).collect::<Result<_>>()?;
        Ok(Encoder { blocks })
    }

    /// Lets the views of each shape take notice of each other.
    ///
    /// # Shapes
    /// - views: `[shapes, views, dim]`
    /// - absent: `[shapes, views]`, true where there is no view
    /// - output: `[shapes, views, dim]`; rows of absent views mean nothing
    pub fn forward(&self, views: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<3> {
        self.blocks.iter().fold(views, |x, block| block.forward(x, absent.clone()))
    }

    /// The views of each shape, when they have taken notice of each other, as one vector.
    ///
    /// # Shapes
    /// - views, absent: as in [`Encoder::forward`]
    /// - output: `[shapes, 2 * dim]`
    pub fn pooled(&self, views: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<2> {
        transition(self.forward(views, absent.clone()), absent)
    }
}

impl EncoderBlock {
    fn init(config: &VsFormerConfig, device: &Device) -> Result<Self> {
        let (dim, hidden) = (config.dim, config.dim * config.ratio);
        Ok(EncoderBlock {
            norm: LayerNormConfig::new(dim).init(device),
            attention: ViewAttention::init(config, device)?,
            mlp_norm: LayerNormConfig::new(dim).init(device),
            expand: LinearConfig::new(dim, hidden).init(device),
            contract: LinearConfig::new(hidden, dim).init(device),
            attention_dropout: DropoutConfig::new(ATTENTION_DROPOUT).init(),
            mlp_dropout: DropoutConfig::new(MLP_DROPOUT).init(),
        })
    }

    fn forward(&self, x: Tensor<3>, absent: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let attended = self.attention.forward(self.norm.forward(x.clone()), absent);
        let x = x + self.attention_dropout.forward(attended);
        let hidden = gelu(self.expand.forward(self.mlp_norm.forward(x.clone())));
        x + self.mlp_dropout.forward(self.contract.forward(hidden))
    }
}
