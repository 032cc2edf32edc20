//! vsformer
