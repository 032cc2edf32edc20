//! The network against the published code, and model files and imports around it.

mod agreement;
mod cases;
mod file;
mod import;
mod pth;
