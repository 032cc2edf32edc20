//! Higher-order correlations: layers and networks that are, or nearly are, polynomials of their input.

pub mod ccp;
pub mod cross;
pub mod factorisation;
pub mod filters;
pub mod highway;
pub mod ncp;
pub mod prod_poly;
pub mod squeeze_excitation;
pub mod star;
pub mod starnet;

#[cfg(test)]
mod exact;
