//! Where words go: results to stdout, everything else to stderr.

use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// What every line about an error begins with.
pub const ERROR: &str = "\x1b[1;31merror:\x1b[0m";
/// What every warning begins with.
pub const WARNING: &str = "\x1b[1;33mwarning:\x1b[0m";
const HINT: &str = "\x1b[1;36mhint:\x1b[0m";

/// Prints results as tables or as JSON, one object a line. Colours appear only on a terminal.
pub struct Printer {
    json: bool,
    progress: Progress,
}

/// Something of a batch that failed.
#[derive(Debug, Serialize)]
struct Failed<'a> {
    path: &'a str,
    error: &'a str,
}

impl Printer {
    /// A printer for this run.
    pub fn new(json: bool, quiet: bool) -> Self {
        Printer { json, progress: Progress::new(quiet) }
    }

    /// Whom jobs report to.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether results are wanted as JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Prints a result: as one line of JSON, or in words.
    pub fn result<T: Serialize>(&self, value: &T, words: impl FnOnce(&T) -> String) -> Result<()> {
        if self.json {
            let line = serde_json::to_string(value).map_err(|why| Failure::failed(why.to_string()))?;
            self.text(&format!("{line}\n"))
        } else {
            self.text(&words(value))
        }
    }

    /// Prints text as it is.
    pub fn text(&self, text: &str) -> Result<()> {
        self.progress.aside(|| anstream::stdout().write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Lists something that failed: a line of JSON among the results, or a line on stderr.
    pub fn failed(&self, path: &str, error: &str) -> Result<()> {
        if self.json {
            return self.result(&Failed { path, error }, |_| String::new());
        }
        self.progress.aside(|| complain(&format!("{ERROR} {path}: {error}")));
        Ok(())
    }

    /// Sends what is still buffered.
    pub fn flush(&self) -> Result<()> {
        Ok(std::io::stdout().flush()?)
    }

    /// Ends the run: says what stopped it, if anything did, and gives the exit code.
    pub fn end(&self, outcome: Result<Exit>) -> ExitCode {
        self.progress.clear();
        let failure = match outcome {
            Ok(exit) => return exit.into(),
            Err(failure) => failure,
        };
        match &failure {
            Failure::Usage { message, hint } | Failure::Failed { message, hint } => {
                complain(&format!("{ERROR} {message}"));
                if let Some(hint) = hint {
                    complain(&format!("{HINT} {hint}"));
                }
            }
            Failure::Cancelled => complain("cancelled"),
            Failure::ClosedPipe => {}
        }
        failure.code().into()
    }
}

/// Prints what the argument parser has to say: help and version as they are, errors in the form of all others.
pub fn clap_message(message: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(message.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
        // A reader who has left leaves nobody to tell.
        let _ = message.print();
        return u8::try_from(message.exit_code()).unwrap_or(2).into();
    }
    let said = message.render().to_string();
    let (problem, advice) = said.split_once("\n\n").unwrap_or((&said, ""));
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    let advice = advice.lines().map(str::trim).find_map(|line| line.strip_prefix("tip: "));
    complain(&format!("{ERROR} {}", problem.trim_start_matches("error: ")));
    complain(&format!("{HINT} {}", advice.unwrap_or("`--help` shows the arguments and an example")));
    ExitCode::from(2)
}

// Where stderr is closed there is nobody to tell.
fn complain(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}
