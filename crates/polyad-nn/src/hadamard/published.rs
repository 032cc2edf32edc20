//! The published networks of the toolkit, by name, as [`Audit`] sees them.

use super::audit::{Audit, Describe};
use super::correlation::hornet::HorNetConfig;
use super::correlation::monet::MoNetConfig;
use super::correlation::nafnet::NafNetConfig;
use super::correlation::pi_net::PiNetConfig;
use super::correlation::polynext::{NormKind, PolyNextConfig};
use super::correlation::r_polynet::RPolyNetConfig;
use super::correlation::starnet::{StarNetConfig, StarNetSize};
use crate::error::{Error, Result};
use burn::tensor::Device;

/// Classes of ImageNet, for which most were published, and of CIFAR-10.
const CLASSES: usize = 1000;
const CIFAR_CLASSES: usize = 10;

/// A published network, as it was published.
struct Published {
    name: &'static str,
    /// The smallest side of a picture, which also divides the sides that it takes where `divides` says so.
    smallest: usize,
    divides: bool,
    make: fn(&Device) -> Result<Box<dyn Describe>>,
}

fn starnet(size: StarNetSize, device: &Device) -> Result<Box<dyn Describe>> {
    Ok(Box::new(StarNetConfig { classes: Some(CLASSES), ..size.config() }.init(device)?))
}

fn monet(size: &str, device: &Device) -> Result<Box<dyn Describe>> {
    let config = MoNetConfig::published(size).expect("a published size");
    Ok(Box::new(MoNetConfig { classes: Some(CLASSES), ..config }.init(device)?))
}

fn hornet(size: &str, device: &Device) -> Result<Box<dyn Describe>> {
    let config = HorNetConfig::published(size).expect("a published size");
    Ok(Box::new(HorNetConfig { classes: Some(CLASSES), ..config }.init(device)?))
}

fn polynext(norm: NormKind, device: &Device) -> Result<Box<dyn Describe>> {
    Ok(Box::new(PolyNextConfig { classes: Some(CLASSES), ..PolyNextConfig::tiny(norm) }.init(device)?))
}

/// A row of the table: the network takes pictures from this side on.
macro_rules! at_least {
    ($name:literal, $smallest:literal, $make:expr) => {
        Published { name: $name, smallest: $smallest, divides: false, make: $make }
    };
}

/// A row of the table: the network takes pictures of any size.
macro_rules! any_size {
    ($name:literal, $make:expr) => {
        Published { name: $name, smallest: 1, divides: false, make: $make }
    };
}

const PUBLISHED: &[Published] = &[
    any_size!("starnet-s1", |device| starnet(StarNetSize::S1, device)),
    any_size!("starnet-s2", |device| starnet(StarNetSize::S2, device)),
    any_size!("starnet-s3", |device| starnet(StarNetSize::S3, device)),
    any_size!("starnet-s4", |device| starnet(StarNetSize::S4, device)),
    any_size!("starnet-s050", |device| starnet(StarNetSize::S050, device)),
    any_size!("starnet-s100", |device| starnet(StarNetSize::S100, device)),
    any_size!("starnet-s150", |device| starnet(StarNetSize::S150, device)),
    at_least!("monet-t", 16, |device| monet("t", device)),
    at_least!("monet-s", 16, |device| monet("s", device)),
    at_least!("polynext-t", 32, |device| polynext(NormKind::Layer, device)),
    at_least!("polynext-t-bn", 32, |device| polynext(NormKind::Batch, device)),
    at_least!("hornet-t", 32, |device| hornet("t", device)),
    at_least!("hornet-s", 32, |device| hornet("s", device)),
    at_least!("hornet-b", 32, |device| hornet("b", device)),
    Published {
        name: "nafnet-32",
        smallest: 16,
        divides: true,
        make: |device| Ok(Box::new(NafNetConfig::published("gopro").expect("a published size").init(device)?)),
    },
    any_size!("pi-net-18", |device| Ok(Box::new(PiNetConfig::pi_net_18(CLASSES, false).init(device)?))),
    any_size!("r-polynet-18", |device| Ok(Box::new(RPolyNetConfig::r_polynet_18(CIFAR_CLASSES).init(device)?))),
];

/// The names that [`audit`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    PUBLISHED.iter().map(|network| network.name)
}

/// What the published network of that name costs and is, for a picture of `[3, height, width]`.
///
/// # Errors
/// Where no network has that name, or the network takes no such pictures.
pub fn audit(name: &str, input: [usize; 3]) -> Result<Audit> {
    let known = || names().collect::<Vec<_>>().join(", ");
    let network = PUBLISHED.iter().find(|network| network.name == name);
    let network =
        network.ok_or_else(|| Error::config("audit", format!("no network is called {name:?}; known: {}", known())))?;
    let [channels, height, width] = input;
    check_picture(input)?;
    let fits = |side: usize| side >= network.smallest && (!network.divides || side.is_multiple_of(network.smallest));
    if channels != 3 || !fits(height) || !fits(width) {
        let sides = if network.divides { "sides that are multiples of" } else { "sides of at least" };
        let problem = format!(
            "a picture of {channels}x{height}x{width}; {name} takes 3 channels and {sides} {}",
            network.smallest
        );
        return Err(Error::config("audit", problem));
    }
    Ok(Audit::of((network.make)(&Device::flex())?.as_ref(), &input))
}

/// Refuses pictures whose counts would not fit into a number.
fn check_picture([_, height, width]: [usize; 3]) -> Result<()> {
    const LARGEST: usize = 1 << 14;
    match [height, width].into_iter().find(|side| *side > LARGEST) {
        Some(side) => Err(Error::config("audit", format!("a side of {side}; at most {LARGEST}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_its_layers_add_up() {
        for name in names() {
            let audit = audit(name, [3, 96, 96]).expect(name);
            assert_eq!(audit.parameters, audit.layers.iter().map(|layer| layer.parameters).sum::<usize>(), "{name}");
            assert!(audit.activation_bytes <= audit.peak_bytes && audit.multiply_adds > 0, "{name}");
        }
    }

    #[test]
    fn published_parameters_and_verdicts_come_out() {
        for (name, parameters, verdicts) in [
            ("monet-t", 10_339_436, [true, false, false]),
            ("monet-s", 32_880_688, [true, false, false]),
            ("polynext-t", 6_431_752, [true, false, false]),
            ("hornet-t", 22_409_512, [false; 3]),
            ("hornet-s", 49_528_264, [false; 3]),
            ("hornet-b", 87_256_680, [false; 3]),
            ("nafnet-32", 17_111_907, [true, false, false]),
            ("pi-net-18", 11_693_352, [true, false, false]),
            ("r-polynet-18", 11_874_130, [true, false, false]),
        ] {
            let audit = audit(name, [3, 96, 96]).expect(name);
            assert_eq!(audit.parameters, parameters, "{name}");
            let found = [audit.activation_free, audit.polynomial_at_inference, audit.only_add_mul];
            assert_eq!(found, verdicts, "{name}");
        }
        // Its variant with batch norm is the only one of pictures that is additions and multiplications alone.
        let batch = audit("polynext-t-bn", [3, 96, 96]).expect("a published network");
        assert!(batch.activation_free && batch.polynomial_at_inference && batch.only_add_mul);
        assert_eq!(batch.product_depth, Some(73));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = audit("starnet-s5", [3, 96, 96]).expect_err("no such network").to_string();
        assert!(error.contains("starnet-s5") && error.contains("starnet-s4"), "{error}");
        let error = audit("starnet-s1", [4, 96, 96]).expect_err("four channels").to_string();
        assert!(error.contains("4x96x96"), "{error}");
        assert!(audit("starnet-s1", [3, 0, 96]).is_err() && audit("starnet-s1", [3, usize::MAX, 96]).is_err());
    }
}
