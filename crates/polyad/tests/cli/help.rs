//! What the program says about itself, by snapshots.

use crate::support::{json_lines, polyad, snapshot};
use std::collections::BTreeSet;
use std::path::Path;

/// Every command, as the program's own help lists them.
fn commands() -> Vec<String> {
    let help = polyad(Path::new("."), &["--help"]).stdout;
    let listed = help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with([' ', '-']));
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_help_of_the_program_is_as_committed() {
    snapshot("help", Path::new("."), &["--help", "help exit-codes", "--version"]);
}

#[test]
fn the_help_of_each_command_is_as_committed_and_has_an_example() {
    for command in commands() {
        snapshot(&format!("help-{command}"), Path::new("."), &[&format!("{command} --help")]);
        let help = polyad(Path::new("."), &[&command, "--help"]).stdout;
        assert!(help.contains(&format!("Example:\n  polyad {command}")), "{command} --help has no example");
        assert_eq!(help, polyad(Path::new("."), &["help", &command]).stdout, "help {command} differs");
    }
}

#[test]
fn commands_below_commands_have_examples_too() {
    for command in ["train", "run", "evaluate"].map(|own| format!("inpaint {own}")) {
        let line = format!("{command} --help");
        let help = polyad(Path::new("."), &line.split(' ').collect::<Vec<_>>()).stdout;
        assert!(help.contains(&format!("Example:\n  polyad {command}")), "{command} --help has no example");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = polyad(Path::new("."), &["completions", shell]);
        assert_eq!(run.code, Some(0));
        let words: BTreeSet<&str> = run.stdout.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        for command in commands() {
            assert!(words.contains(command.as_str()), "{shell} does not complete {command}");
        }
    }
}

#[test]
fn doctor_tells_what_is_present_used_and_absent() {
    let run = polyad(Path::new("."), &["doctor", "--json"]);
    assert_eq!(run.code, Some(0));
    let doctor = &json_lines(&run)[0];
    assert_eq!(doctor["version"], env!("CARGO_PKG_VERSION"));
    let sets = &doctor["instruction_sets"];
    let (present, absent) = (sets["present"].as_array().unwrap(), sets["absent"].as_array().unwrap());
    assert_eq!(present.len() + absent.len(), polyad_simd::Level::ALL.len());
    assert!(present.contains(&sets["used"]));
    let builtin = polyad_shapes::model::Model::builtin().unwrap();
    assert_eq!(doctor["builtin_model"], builtin.header().checksum.as_str());
    assert!(doctor["cores"].as_u64().unwrap() >= 1);
    assert!(doctor["model_formats"].as_array().unwrap().contains(&"safetensors".into()));
    let portable =
        crate::support::command(Path::new("."), &["doctor", "--json"]).env("POLYAD_ISA", "portable").output();
    let portable = crate::support::finished(portable.unwrap());
    assert_eq!(json_lines(&portable)[0]["instruction_sets"]["used"], "portable");
}
