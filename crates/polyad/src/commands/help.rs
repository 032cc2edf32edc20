//! `polyad help`: the program, a command, or a topic.

use crate::args::HelpArgs;
use crate::failure::{Exit, Failure, Result};
use crate::help;
use crate::printer::Printer;

pub fn run(args: &HelpArgs, printer: &Printer) -> Result<Exit> {
    let text = match args.topic.as_deref() {
        None => help_of(&["polyad", "--help"]),
        Some("exit-codes") => help::EXIT_CODES.to_owned(),
        Some(topic) if help::command().find_subcommand(topic).is_some() => help_of(&["polyad", topic, "--help"]),
        Some(topic) => {
            let problem = Failure::usage(format!("no command or topic is called '{topic}'"));
            return Err(problem.with_hint("`polyad help` lists the commands; there is also `exit-codes`"));
        }
    };
    printer.text(&text)?;
    Ok(Exit::Done)
}

/// What `--help` prints: clap hands it out as an error.
fn help_of(line: &[&str]) -> String {
    help::command().try_get_matches_from(line).err().map_or_else(String::new, |help| help.render().ansi().to_string())
}
