//! Image networks that turn a view into a vector.

pub mod small;
