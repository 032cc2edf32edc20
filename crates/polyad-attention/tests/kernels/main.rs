//! The kernels against the definition in double precision, against properties, and at their edges.

mod agreement;
mod cost;
mod forms;
mod hostile;
mod layout;
mod measure;
mod packed;
mod plain;
mod properties;
mod support;
