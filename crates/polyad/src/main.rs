//! The command-line program: parses, calls one library function, prints one value. No arithmetic.
//!
//! ```text
//! arguments --args--> Command --commands::run--> a value --printer--> table or JSON on stdout
//!                                           `--> Failure --failure--> `error:` and `hint:` on stderr, exit code
//! ```

mod args;
mod commands;
mod failure;
mod help;
mod interrupt;
mod memory;
mod npz;
mod paths;
mod printer;
mod progress;
mod table;

use clap::FromArgMatches;
use failure::{Exit, Failure, Result};
use polyad_shapes::job::Job;
use polyad_simd::Level;
use printer::Printer;
use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep();
    let matches = match help::command().try_get_matches() {
        Ok(matches) => matches,
        Err(message) => return printer::clap_message(&message),
    };
    let cli = match args::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(message) => return printer::clap_message(&message),
    };
    let printer = Printer::new(cli.output.json, cli.output.quiet);
    printer.end(run(cli.command, &printer))
}

fn run(command: args::Command, printer: &Printer) -> Result<Exit> {
    Level::from_env().map_err(|why| Failure::usage(why.to_string()).with_hint("POLYAD_ISA names it"))?;
    let cancelled = interrupt::install()?;
    let exit = commands::run(command, printer, Job::new(printer.progress(), cancelled))?;
    printer.flush().map(|()| exit)
}
