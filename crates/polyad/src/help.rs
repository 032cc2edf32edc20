//! The program's help: commands grouped by line of work, and topics that are no command.

use crate::args::Cli;
use clap::CommandFactory;
use std::fmt::Write;

/// The groups, in the order in which help shows them. A test holds that each command is in one.
pub const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Shapes",
        &["demo", "info", "render", "train", "evaluate", "classify", "index", "search", "gallery", "score", "import"],
    ),
    ("Attention", &["attend", "plan"]),
    ("Hadamard", &["audit", "inpaint", "vqa", "prune", "export"]),
    ("More", &["doctor", "completions", "help"]),
];

/// What `polyad help exit-codes` says.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    Everything named was handled. A closed pipe is success too.
  1    Something failed. The rest was done all the same, and each failure was listed:
       on stdout as {\"path\",\"error\"} with --json, on stderr otherwise.
  2    The arguments are wrong, or a path on the command line does not exist. Nothing was done.
  130  Ctrl-C. No partial file is left; a second Ctrl-C kills at once.

`index`, `train`, `evaluate` and `prune` list unreadable files inside a folder and go on with 0.
";

/// The whole command line, as clap sees it.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let widest = command.get_subcommands().map(|c| c.get_name().len()).max().unwrap_or(0);
    let mut list = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(list, "{header}{group}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(|c| c.get_about()).cloned().unwrap_or_default();
            let _ = writeln!(list, "  {literal}{name:widest$}{literal:#}  {about}");
        }
        list.push('\n');
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        grouped.sort_unstable();
        let program = command();
        let mut all: Vec<&str> = program.get_subcommands().map(|c| c.get_name()).collect();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn every_example_parses() {
        let program = command();
        let commands =
            program.get_subcommands().flat_map(|outer| std::iter::once(outer).chain(outer.get_subcommands()));
        for subcommand in commands {
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  polyad ")).collect();
            assert!(!examples.is_empty(), "{} has no example", subcommand.get_name());
            for example in examples {
                let line = example.split(['|', '>']).next().unwrap_or_default();
                if let Err(why) = command().try_get_matches_from(line.split_whitespace()) {
                    panic!("{example}: {why}");
                }
            }
        }
    }
}
