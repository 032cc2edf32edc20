//! The kernels against the definition in double precision, against properties, and at their edges.

mod agreement;
mod bfloat16;
mod cases;
mod certificates;
mod cost;
mod differences;
mod forms;
mod hostile;
mod identities;
mod layout;
mod look;
mod measure;
mod packed;
mod plain;
mod properties;
mod sketch;
mod support;
