//! What a VSFormer says of itself to an audit.

use super::encoder::{EncoderBlock, ViewAttention};
use super::initializer::Backbone;
use super::network::VsFormer;
use crate::error::{Error, Result};
use polyad_nn::hadamard::audit::{Audit, Describe, Signal, Trace};

impl VsFormer {
    /// What the network costs and is for a View Set of so many views of `[3, height, width]`, looked at one after the other.
    ///
    /// # Errors
    /// Where the image network takes no such pictures, or there are no views.
    pub fn audit(&self, views: usize, input: [usize; 3], smallest: usize) -> Result<Audit> {
        const LARGEST: usize = 1 << 14;
        let [channels, height, width] = input;
        if channels != 3 || [height, width].iter().any(|side| !(smallest..=LARGEST).contains(side)) {
            return Err(Error::Invalid(format!(
                "pictures of {channels}x{height}x{width}; the network takes 3 channels and sides of {smallest} to {LARGEST}"
            )));
        }
        if views == 0 {
            return Err(Error::Invalid("0 views: nothing to look at".into()));
        }
        let mut trace = Trace::new();
        let x = trace.input(&input);
        let output = self.describe(&mut trace, views, x);
        Ok(trace.audit(&output))
    }

    fn describe(&self, trace: &mut Trace, views: usize, x: Signal) -> Signal {
        let initializer = &self.initializer;
        let x = trace.repeated(views, |trace| {
            let x = trace.within("initializer", |trace| initializer.backbone.describe(trace, x));
            let Some(projection) = &initializer.projection else { return x };
            trace.within("projection", |trace| {
                let x = trace.linear("linear", &projection.linear, &x);
                let x = trace.batch_norm("norm", &projection.norm, &x);
                if projection.is_rectified() { trace.activation("relu", 0, &x) } else { x }
            })
        });
        let dim = x.elements();
        let mut x = trace.relocate("views", &[&x], &[views, dim]);
        for (index, block) in self.encoder.blocks.iter().enumerate() {
            x = trace.within(format!("encoder.{index}"), |trace| block.describe(trace, &x));
        }
        let greatest = trace.select("max", &x, &[dim]);
        let mean = trace.mean("mean", &x, &[dim]);
        let mut x = trace.relocate("transition", &[&greatest, &mean], &[2 * dim]);
        for (index, layer) in self.head.iter().flat_map(|head| &head.layers).enumerate() {
            x = trace.within(format!("head.{index}"), |trace| {
                let x = match &layer.norm {
                    Some(norm) => {
                        let x = trace.batch_norm("norm", norm, &x);
                        trace.activation("relu", 0, &x)
                    }
                    None => x.clone(),
                };
                trace.linear("linear", &layer.linear, &x)
            });
        }
        x
    }
}

impl Describe for Backbone {
    fn describe(&self, trace: &mut Trace, x: Signal) -> Signal {
        match self {
            Backbone::AlexNet(net) => net.describe(trace, x),
            Backbone::Vgg(net) => net.describe(trace, x),
            Backbone::ResNet(net) => net.describe(trace, x),
            Backbone::EfficientNet(net) => net.describe(trace, x),
            Backbone::Small(net) => net.describe(trace, x),
            Backbone::StarNet(net) => net.describe(trace, x),
        }
    }
}

impl EncoderBlock {
    fn describe(&self, trace: &mut Trace, x: &Signal) -> Signal {
        let attended = trace.layer_norm("norm", &self.norm, x);
        let attended = trace.within("attention", |trace| match &self.attention {
            ViewAttention::Pairs(attention) => attention.describe(trace, attended),
            ViewAttention::Tuples(attention) => attention.describe(trace, attended),
        });
        let x = trace.sum("residual", x, &attended);
        let hidden = trace.layer_norm("mlp_norm", &self.mlp_norm, &x);
        let hidden = trace.linear("expand", &self.expand, &hidden);
        let hidden = trace.activation("gelu", 0, &hidden);
        let hidden = trace.linear("contract", &self.contract, &hidden);
        trace.sum("residual", &x, &hidden)
    }
}

#[cfg(test)]
mod tests {
    use crate::vsformer::{BackboneKind, VsFormerConfig};
    use burn::module::Module;
    use burn::tensor::Device;

    #[test]
    fn an_audit_counts_every_parameter_of_every_network() {
        for backbone in BackboneKind::ALL {
            for order in [2, 3] {
                let config = VsFormerConfig { layers: 1, order, ..VsFormerConfig::published(backbone, Some(7)) };
                let net = config.init(&Device::flex()).expect("published sizes");
                let audit = net.audit(12, [3, 96, 96], backbone.smallest()).expect("pictures that it takes");
                // Burn counts running statistics, two numbers a channel, among the parameters.
                let norms: usize = audit
                    .layers
                    .iter()
                    .filter(|layer| layer.name.ends_with("norm") || layer.name.ends_with("bn"))
                    .filter(|layer| layer.kind == polyad_nn::hadamard::audit::Kind::Affine)
                    .map(|layer| layer.parameters)
                    .sum();
                assert_eq!(audit.parameters + norms, net.num_params(), "{backbone}, order {order}");
            }
        }
    }

    #[test]
    fn views_cost_alike_and_attention_among_them_by_their_tuples() {
        let config = VsFormerConfig { layers: 1, order: 3, ..VsFormerConfig::published(BackboneKind::Small, None) };
        let net = config.init(&Device::flex()).expect("sizes");
        let cost = |views| {
            let audit = net.audit(views, [3, 96, 96], 1).expect("pictures");
            let of = |part: &str| {
                audit
                    .layers
                    .iter()
                    .filter(|layer| layer.name.contains(part))
                    .map(|layer| layer.multiply_adds)
                    .sum::<usize>()
            };
            (of("initializer"), of("attention.mixed"))
        };
        assert_eq!((cost(20).0, cost(20).1), (20 * cost(1).0, 8000 * cost(1).1));
        assert!(net.audit(0, [3, 96, 96], 1).is_err() && net.audit(12, [1, 96, 96], 1).is_err());
    }
}
