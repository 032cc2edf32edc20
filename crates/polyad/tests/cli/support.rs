//! Running the binary in an empty folder, and comparing with committed snapshots.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary, to run in `folder`, with nothing of the caller's settings.
pub fn command<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyad"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for name in ["POLYAD_ISA", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "TERM"] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary in `folder`.
pub fn polyad<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Run {
    finished(command(folder, args).output().expect("the binary runs"))
}

pub fn finished(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The lines of standard output as JSON.
pub fn json_lines(run: &Run) -> Vec<serde_json::Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("not JSON ({why}): {line}"));
    run.stdout.lines().map(parse).collect()
}

/// The names of what is in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(entry).collect();
    names.sort();
    names
}

/// Runs each command line (split at spaces) in `folder` and compares all they say with `tests/snapshots/NAME.txt`.
/// With `POLYAD_BLESS=1` the file is rewritten instead.
pub fn snapshot(name: &str, folder: &Path, lines: &[&str]) {
    let mut text = String::new();
    for line in lines {
        let run = polyad(folder, &line.split_whitespace().collect::<Vec<_>>());
        let code = run.code.map_or("killed".to_owned(), |code| code.to_string());
        text += &format!("$ polyad {line}\n[exit {code}]\n");
        for (stream, said) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            if !said.is_empty() {
                text += &format!("--- {stream}\n{}\n", said.trim_end());
            }
        }
        text += "\n";
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("POLYAD_BLESS").is_some() {
        return std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((n, (got, want))) =
        text.lines().chain([""]).zip(committed.lines().chain([""])).enumerate().find(|(_, (got, want))| got != want)
    {
        panic!("{}:{}: now {got:?}, committed {want:?}; POLYAD_BLESS=1 accepts", path.display(), n + 1);
    }
    assert_eq!(text.len(), committed.len(), "{}: lengths differ; POLYAD_BLESS=1 accepts", path.display());
}
