//! Which instruction sets there are, which this processor has, and which one is used.

use std::fmt;
use std::sync::OnceLock;

/// An instruction set for which kernels are compiled. Later ones include earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and FMA: 8 numbers an instruction.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 16 numbers an instruction.
    Avx512,
    /// AVX-512 with bfloat16 dot products.
    Avx512Bf16,
    /// AMX: tiles of bfloat16 numbers, beside the former.
    Amx,
}

/// A level that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LevelError {
    /// No level has this name.
    Unknown(String),
    /// The processor lacks it.
    Absent(Level),
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LevelError::Unknown(name) => {
                write!(f, "no instruction set is called `{name}`; there are portable, avx2, avx512, avx512bf16, amx")
            }
            LevelError::Absent(level) => write!(f, "this processor has no {level}; it has {}", Level::best()),
        }
    }
}

impl std::error::Error for LevelError {}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Level {
    /// All levels, the plainest first.
    pub const ALL: [Level; 5] = [Level::Portable, Level::Avx2, Level::Avx512, Level::Avx512Bf16, Level::Amx];

    /// The name used on the command line and in `POLYAD_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Avx512Bf16 => "avx512bf16",
            Level::Amx => "amx",
        }
    }

    /// Whether this processor has it.
    pub fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match self {
                Level::Portable => true,
                Level::Avx2 => avx2,
                Level::Avx512 => avx512,
                Level::Avx512Bf16 => avx512 && has!("avx512bf16"),
                Level::Amx => avx512 && has!("avx512bf16") && crate::amx::is_present(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Level::Portable
        }
    }

    /// The last level that this processor has.
    pub fn best() -> Level {
        Level::ALL.into_iter().rev().find(|level| level.is_present()).unwrap_or(Level::Portable)
    }

    /// The level of this name, if the processor has it.
    pub fn from_name(name: &str) -> Result<Level, LevelError> {
        let level = Level::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or_else(|| LevelError::Unknown(name.to_owned()))?;
        if level.is_present() { Ok(level) } else { Err(LevelError::Absent(level)) }
    }

    /// What the environment variable `POLYAD_ISA` asks for; the best level where it is unset or empty.
    pub fn from_env() -> Result<Level, LevelError> {
        match std::env::var("POLYAD_ISA") {
            Ok(name) if !name.is_empty() => Level::from_name(&name),
            _ => Ok(Level::best()),
        }
    }
}

/// The level that polyad uses, chosen once: [`Level::from_env`], or [`Level::Portable`] where that fails. Programs
/// call `from_env` first and refuse to start on an error, so that a level that is lacking is never silently replaced.
pub fn level() -> Level {
    static CHOSEN: OnceLock<Level> = OnceLock::new();
    *CHOSEN.get_or_init(|| Level::from_env().unwrap_or(Level::Portable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused() {
        for level in Level::ALL {
            match Level::from_name(level.name()) {
                Ok(found) => assert_eq!(found, level),
                Err(error) => {
                    assert_eq!(error, LevelError::Absent(level));
                    assert!(!level.is_present());
                }
            }
        }
        assert_eq!(Level::from_name("mmx"), Err(LevelError::Unknown("mmx".into())));
        assert!(Level::best().is_present());
    }
}
