//! One file a command: resolve, call one library function, print one value.

mod attend;
mod audit;
mod classify;
mod completions;
mod demo;
mod doctor;
mod evaluate;
mod export;
mod gallery;
mod help;
mod import;
mod index;
mod info;
mod inpaint;
mod models;
mod plan;
mod prune;
mod render;
mod score;
mod search;
mod sources;
mod train;
mod vqa;

use crate::args::Command;
use crate::failure::{Exit, Result};
use crate::printer::Printer;
use polyad_shapes::job::Job;

/// Runs a command.
pub fn run(command: Command, printer: &Printer, job: Job) -> Result<Exit> {
    match command {
        Command::Demo(args) => demo::run(&args, printer, job),
        Command::Info(args) => info::run(&args, printer, job),
        Command::Render(args) => render::run(&args, printer, job),
        Command::Train(args) => train::run(&args, printer, job),
        Command::Evaluate(args) => evaluate::run(&args, printer, job),
        Command::Classify(args) => classify::run(&args, printer, job),
        Command::Index(args) => index::run(&args, printer, job),
        Command::Search(args) => search::run(&args, printer, job),
        Command::Gallery(args) => gallery::run(&args, printer, job),
        Command::Score(args) => score::run(&args, printer),
        Command::Import(args) => import::run(&args, printer, job),
        Command::Attend(args) => attend::run(&args, printer),
        Command::Plan(args) => plan::run(&args, printer),
        Command::Audit(args) => audit::run(&args, printer),
        Command::Vqa(args) => vqa::run(&args, printer, job),
        Command::Prune(args) => prune::run(&args, printer, job),
        Command::Inpaint(args) => inpaint::run(&args, printer, job),
        Command::Export(args) => export::run(&args, printer),
        Command::Doctor(_) => doctor::run(printer),
        Command::Completions(args) => completions::run(&args, printer),
        Command::Help(args) => help::run(&args, printer),
    }
}
