//! `tidetable calendar`: which calendars there are, what is in one, and what is coming for a target.

mod list;
mod next;
mod sheet;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::WRONG_USAGE;
use super::check::refuse;
use super::output::{read_on, say};
use crate::config::{self, Config, Library, listed, nearest};
use sheet::{Format, Sheet};

/// Arguments of `tidetable calendar`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Name every calendar there is, and until when it was looked up
    List(list::Args),
    /// Print the dates of a calendar: sessions, closures, or what recurs
    Show(show::Args),
    /// Print what is coming for a target, with the effect that is declared of it
    Next(next::Args),
}

/// Prints what was asked for.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let printed = match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Next(args) => next::run(args),
    };
    match printed {
        Ok((sheet, format)) => print(&sheet, format),
        Err(Refusal::Config(error)) => Ok(ExitCode::from(refuse(error, &mut io::stderr().lock())?)),
        Err(Refusal::Usage(problem)) => {
            say(&format!("tidetable: {problem}"));
            Ok(ExitCode::from(WRONG_USAGE))
        }
    }
}

fn print(sheet: &Sheet, format: Format) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let written = sheet.text(format);
    read_on(out.write_all(written.as_bytes()).and_then(|()| out.flush()))
        .context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Why nothing is printed.
enum Refusal {
    /// The configuration is wrong.
    Config(config::Error),
    /// The command line is wrong.
    Usage(String),
}

/// What a command prints, and how.
type Printed = Result<(Sheet, Format), Refusal>;

/// The models of a configuration, or those shipped.
fn library(config: Option<&PathBuf>) -> Result<Library, Refusal> {
    match config {
        Some(path) => Ok(load(path)?.calendars.library),
        None => Ok(Library::shipped()),
    }
}

fn load(path: &Path) -> Result<Config, Refusal> {
    config::load(path).map_err(Refusal::Config)
}

/// What to say of a name nobody knows.
pub(super) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let meant = nearest(name, known.clone());
    let meant = meant.map_or_else(String::new, |meant| format!(" did you mean {meant:?}?"));
    format!("there is no {kind} {name:?};{meant} {kind}s are: {}", listed(known))
}
