//! AMX: products of tiles of bfloat16 numbers, 16 x 32 by 32 x 16 in one instruction.
//!
//! The compiler has no stable names for these instructions, so they are written as assembly. It never uses tile registers
//! itself, so what one block of assembly leaves in them is there for the next.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Rows of a tile, and pairs of numbers in one of its rows.
const TILE: usize = 16;
/// Bytes of a row of a tile.
const ROW: usize = 64;

/// Whether the processor has bfloat16 tiles and the system lets this process use them. Asks both, once.
pub fn is_present() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        let has = |leaf: u32| __cpuid_count(0, 0).eax >= leaf;
        has(7) && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE && permitted()
    })
}

/// Asks Linux to keep the tiles of this process's threads; without that the first use of one ends the process. Other
/// systems are not asked.
fn permitted() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: a system call of Linux, that touches no memory of this process; rcx and r11 are those that it overwrites.
    unsafe {
        asm!("syscall", inout("rax") result, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

/// A proof that all eight tiles of this thread are configured as 16 rows of 64 bytes, so it stays in its thread. Dropping
/// the last of a thread gives the tiles back, after which a change of threads need not save them. Either takes about as
/// long as a product of small matrices.
#[derive(Debug)]
pub struct Tiles(PhantomData<*const ()>);

thread_local! {
    /// How many there are of [`Tiles`].
    static PROOFS: Cell<usize> = const { Cell::new(0) };
}

#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// Palette 1; bytes of a row from byte 16, rows from byte 48.
static WHOLE: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = ROW as u8;
        bytes[48 + tile] = TILE as u8;
        tile += 1;
    }
    Configuration(bytes)
};

impl Tiles {
    /// Configures them, where there are any.
    pub fn configure() -> Option<Self> {
        if !is_present() {
            return None;
        }
        if PROOFS.replace(PROOFS.get() + 1) == 0 {
            // SAFETY: the processor has AMX and the system permits it; the configuration is 64 bytes of palette 1.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE, options(nostack, readonly)) };
        }
        Some(Tiles(PhantomData))
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        if PROOFS.replace(PROOFS.get() - 1) == 1 {
            // SAFETY: `self` proves AMX, and no other proof of this thread's tiles is left.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

/// Where the tiles of a block of `c` and of its operands lie. Strides are in bytes.
#[derive(Clone, Copy)]
pub struct Block {
    /// `[32, 32 · depth]`, 32 rows of bfloat16.
    pub a: *const u16,
    /// From a row of `a` to the next.
    pub a_row: usize,
    /// `[16 · depth, columns]` pairs.
    pub b: *const u16,
    /// From a row of pairs of `b` to the next.
    pub b_row: usize,
    /// `[32, columns]`
    pub c: *mut f32,
    /// From a row of `c` to the next.
    pub c_row: usize,
    /// How many 32 numbers deep the product is, at least 1.
    pub depth: usize,
    /// Whether to add to what is in `c`.
    pub add: bool,
}

impl Block {
    /// `c (+)= a b` for 32 rows and 32 columns: four tiles of sums, each operand's tile used twice.
    ///
    /// # Safety
    /// All rows and columns named above must be there to be read, those of `c` to be written.
    #[inline(always)]
    pub unsafe fn wide(self, _tiles: &Tiles) {
        let Block { a, a_row, b, b_row, c, c_row, depth, add } = self;
        let a_low = a.wrapping_byte_add(TILE * a_row);
        let c_low = c.wrapping_byte_add(TILE * c_row);
        // SAFETY: `_tiles` proves that the tiles are configured; the caller promises the memory.
        unsafe {
            if add {
                asm!(
                    "tileloadd tmm0, [{high} + {row} * 1]", "tileloadd tmm1, [{high} + {row} * 1 + 64]",
                    "tileloadd tmm2, [{low} + {row} * 1]", "tileloadd tmm3, [{low} + {row} * 1 + 64]",
                    high = in(reg) c, low = in(reg) c_low, row = in(reg) c_row, options(nostack, readonly),
                );
            } else {
                asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
            }
            asm!(
                "2:",
                "tileloadd tmm6, [{b} + {b_row} * 1]", "tileloadd tmm4, [{high} + {a_row} * 1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {b_row} * 1 + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{low} + {a_row} * 1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {high}, 64", "add {low}, 64", "add {b}, {b_step}",
                "dec {depth}", "jnz 2b",
                high = inout(reg) a => _, low = inout(reg) a_low => _, a_row = in(reg) a_row,
                b = inout(reg) b => _, b_row = in(reg) b_row, b_step = in(reg) TILE * b_row,
                depth = inout(reg) depth => _, options(nostack, readonly),
            );
            asm!(
                "tilestored [{high} + {row} * 1], tmm0", "tilestored [{high} + {row} * 1 + 64], tmm1",
                "tilestored [{low} + {row} * 1], tmm2", "tilestored [{low} + {row} * 1 + 64], tmm3",
                high = in(reg) c, low = in(reg) c_low, row = in(reg) c_row, options(nostack),
            );
        }
    }

    /// The same for 32 rows and 16 columns.
    ///
    /// # Safety
    /// As [`Block::wide`].
    #[inline(always)]
    pub unsafe fn narrow(self, _tiles: &Tiles) {
        let Block { a, a_row, b, b_row, c, c_row, depth, add } = self;
        let a_low = a.wrapping_byte_add(TILE * a_row);
        let c_low = c.wrapping_byte_add(TILE * c_row);
        // SAFETY: `_tiles` proves that the tiles are configured; the caller promises the memory.
        unsafe {
            if add {
                asm!(
                    "tileloadd tmm0, [{high} + {row} * 1]", "tileloadd tmm2, [{low} + {row} * 1]",
                    high = in(reg) c, low = in(reg) c_low, row = in(reg) c_row, options(nostack, readonly),
                );
            } else {
                asm!("tilezero tmm0", "tilezero tmm2", options(nostack, nomem));
            }
            asm!(
                "2:",
                "tileloadd tmm6, [{b} + {b_row} * 1]", "tileloadd tmm4, [{high} + {a_row} * 1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{low} + {a_row} * 1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "add {high}, 64", "add {low}, 64", "add {b}, {b_step}",
                "dec {depth}", "jnz 2b",
                high = inout(reg) a => _, low = inout(reg) a_low => _, a_row = in(reg) a_row,
                b = inout(reg) b => _, b_row = in(reg) b_row, b_step = in(reg) TILE * b_row,
                depth = inout(reg) depth => _, options(nostack, readonly),
            );
            asm!(
                "tilestored [{high} + {row} * 1], tmm0", "tilestored [{low} + {row} * 1], tmm2",
                high = in(reg) c, low = in(reg) c_low, row = in(reg) c_row, options(nostack),
            );
        }
    }
}

/// Runs so many rounds of four products of tiles of zeros; gives the operations that these are.
pub fn multiply_adds(tiles: &Tiles, rounds: usize) -> usize {
    let _ = tiles;
    // SAFETY: `tiles` proves that the tiles are configured.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}", "jnz 2b",
            rounds = inout(reg) rounds.max(1) => _, options(nostack, nomem),
        );
    }
    rounds.max(1) * 4 * 2 * TILE * TILE * 2 * TILE
}
