//! `polyad completions`: a completion script, from the same definitions that parse.

use crate::args::CompletionsArgs;
use crate::failure::{Exit, Result};
use crate::help;
use crate::printer::Printer;

pub fn run(args: &CompletionsArgs, printer: &Printer) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "polyad", &mut script);
    printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
