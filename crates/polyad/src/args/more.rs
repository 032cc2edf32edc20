//! Arguments of commands that belong to no line of work.

use clap::Args;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  polyad completions bash > ~/.local/share/bash-completion/completions/polyad")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Show what this machine offers and what polyad uses of it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  polyad doctor")]
pub struct DoctorArgs {}

/// Explain a command, or the exit codes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  polyad help exit-codes")]
pub struct HelpArgs {
    /// A command, or `exit-codes`
    pub topic: Option<String>,
}
