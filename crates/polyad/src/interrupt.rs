//! Ctrl-C: the first press asks the job to stop and clean up, the second kills.

use crate::failure::{Failure, INTERRUPTED, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Installs the handler, once, and returns the flag that it raises.
pub fn install() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if CANCELLED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })
    .map_err(|why| Failure::failed(format!("cannot listen for Ctrl-C: {why}")))?;
    Ok(&CANCELLED)
}
