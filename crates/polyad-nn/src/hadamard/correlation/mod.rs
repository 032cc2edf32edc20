//! Higher-order correlations: layers and networks that are, or nearly are, polynomials of their input.

pub mod ccp;
pub mod ncp;
pub mod prod_poly;
pub mod star;
pub mod starnet;

#[cfg(test)]
mod exact;
