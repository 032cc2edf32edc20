//! The kernels against the definition in double precision, against properties, and at their edges.

mod agreement;
mod bfloat16;
mod forms;
mod hostile;
mod properties;
mod support;
