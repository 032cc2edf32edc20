//! Streams, exit codes and signals.

use crate::support::{command, finished, polyad, snapshot};
use std::path::Path;
use std::process::Stdio;

#[test]
fn wrong_arguments_are_refused_with_code_2_as_committed() {
    let lines = ["", "infos x.stl", "help nothing", "completions tcsh", "doctor --wrong"];
    snapshot("wrong-arguments", Path::new("."), &lines);
}

#[test]
fn an_instruction_set_that_does_not_exist_is_refused() {
    let run = finished(command(Path::new("."), &["doctor"]).env("POLYAD_ISA", "mmx").output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains("mmx"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_success() {
    for args in [&["completions", "bash"][..], &["doctor"], &["doctor", "--json"], &["--help"]] {
        let mut child = command(Path::new("."), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let run = finished(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_standard_output_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = finished(command(Path::new("."), &["doctor"]).stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("error: cannot write the result: "), "{}", run.stderr);
}

#[test]
fn colours_appear_only_where_they_are_wanted() {
    let coloured = |name: &str, value: &str| {
        let output = command(Path::new("."), &["help", "nothing"]).env(name, value).output();
        finished(output.unwrap()).stderr.contains('\x1b')
    };
    assert!(coloured("CLICOLOR_FORCE", "1"));
    assert!(!coloured("NO_COLOR", "1"));
    assert!(!coloured("TERM", "dumb"));
    assert!(!polyad(Path::new("."), &["--help"]).stdout.contains('\x1b'));
}
