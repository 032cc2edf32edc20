//! A model as a network that runs without the training stack.

use super::header::{Header, InputNormalisation};
use super::{Definition, file};
use crate::error::Result;
use crate::render::RenderSettings;
use crate::vsformer::{EncoderBlock, HeadLayer, Projection, ViewAttention, VsFormer, VsFormerConfig};
use polyad_nn::engine::parts;
use serde::Serialize;

/// What of a model's header travels with its network, as JSON.
#[derive(Debug, Serialize)]
struct Description<'a> {
    /// Version of polyad that made the model.
    polyad: &'a str,
    /// What tells the model from others.
    model: &'a str,
    architecture: &'a VsFormerConfig,
    input: &'a InputNormalisation,
    render: &'a RenderSettings,
    classes: &'a Option<Vec<String>>,
}

impl Definition {
    /// The network as `polyad_run` runs it, batch norms folded in. Cost: the weights are read and written once.
    pub fn export(&self) -> Result<polyad_run::Network> {
        let Definition { header, network } = self;
        let Header { polyad, checksum, architecture, input, render, classes, .. } = header;
        let description = Description { polyad, model: checksum, architecture, input, render, classes };
        let VsFormer { initializer, encoder, head } = network;
        let InputNormalisation { scale, mean, deviation } = *input;
        Ok(polyad_run::Network::new(polyad_run::Parts {
            description: file::json(&description)?,
            input: polyad_run::Input { size: render.size, scale, mean, deviation },
            images: initializer.backbone.engine()?.into_network(),
            projection: initializer.projection.as_ref().map(projection).transpose()?,
            blocks: encoder.blocks.iter().map(block).collect::<Result<_>>()?,
            head: head.iter().flat_map(|head| &head.layers).map(head_layer).collect::<Result<_>>()?,
        })?)
    }
}

fn projection(projection: &Projection) -> Result<polyad_run::Projection> {
    let linear = parts::linear(&projection.linear, Some(&projection.norm))?;
    Ok(polyad_run::Projection { linear, rectified: projection.is_rectified() })
}

fn block(block: &EncoderBlock) -> Result<polyad_run::Block> {
    Ok(polyad_run::Block {
        norm: parts::layer_norm(&block.norm)?,
        attention: match &block.attention {
            ViewAttention::Pairs(attention) => attention.to_run()?,
            ViewAttention::Tuples(attention) => attention.to_run()?,
        },
        mlp_norm: parts::layer_norm(&block.mlp_norm)?,
        expand: parts::linear(&block.expand, None)?,
        contract: parts::linear(&block.contract, None)?,
    })
}

fn head_layer(layer: &HeadLayer) -> Result<polyad_run::HeadLayer> {
    let norm = layer.norm.as_ref().map(parts::batch_norm).transpose()?;
    Ok(polyad_run::HeadLayer { norm, linear: parts::linear(&layer.linear, None)? })
}
