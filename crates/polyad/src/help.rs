//! The program's help: commands grouped by line of work, and topics that are no command.

use crate::args::Cli;
use clap::CommandFactory;
use std::fmt::Write;

/// The groups, in the order in which help shows them. A test holds that each command is in one.
pub const GROUPS: [(&str, &[&str]); 2] = [
    ("Shapes", &[]),
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

`index`, `train` and `evaluate` list unreadable files inside a folder and go on with 0.
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
