//! Tells the allocator to keep what it has been given.

/// Networks take and give back the same arrays of megabytes at every step. glibc maps each of them anew by default, and the
/// system then fills its pages with zeros: a fifth of the time of training. Kept, they are taken from the heap.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub fn keep() {
    // As glibc bounds it; larger arrays stay rare enough.
    const MAPPED_FROM: libc::c_int = 1 << 30;
    const TRIMMED_FROM: libc::c_int = libc::c_int::MAX;
    // SAFETY: called once, before there is another thread; these options take any number, and a refusal changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIMMED_FROM);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Other allocators keep it anyway, or have no such options.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
pub fn keep() {}
