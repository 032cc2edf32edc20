//! Higher-order correlations: layers and networks that are, or nearly are, polynomials of their input.

pub mod ccp;
pub mod demonet;
pub mod gnconv;
pub mod hornet;
pub mod monet;
pub mod nafnet;
pub mod planar;
pub mod polynext;
pub mod starnet;
