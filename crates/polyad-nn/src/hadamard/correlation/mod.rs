//! Higher-order correlations: layers and networks that are, or nearly are, polynomials of their input.

pub mod ccp;
pub mod cross;
pub mod d_polynet;
pub mod demonet;
pub mod factorisation;
pub mod gnconv;
pub mod highway;
pub mod hornet;
pub mod monet;
pub mod multiplicative_filters;
pub mod nafnet;
pub mod ncp;
pub mod pdc;
pub mod pi_net;
pub mod planar;
pub mod polynext;
pub mod prod_poly;
pub mod quadratic;
pub mod r_polynet;
pub mod residual;
pub mod squeeze_excitation;
pub mod star;
pub mod starnet;

#[cfg(test)]
mod exact;
