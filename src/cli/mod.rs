//! One file per command: the only place where things are wired together.
//!
//! Exit codes: 0 is fine, 1 failed, 2 is a wrong command line or configuration.

mod backtest;
mod calendar;
mod check;
mod clock;
mod crew;
mod demand;
mod demo;
mod expiry;
mod flag;
mod forecast;
mod import;
mod output;
mod progress;
mod reload;
mod render;
mod serve;
mod signals;
mod wiring;

use std::process::ExitCode;

/// Exit code of a command that could not do its work.
pub const FAILED: u8 = 1;

/// Exit code of a wrong command line or configuration.
pub const WRONG_USAGE: u8 = 2;

/// Predictive autoscaling for Kubernetes: forecasts demand and asks KEDA for the replicas needed when new pods are ready.
#[derive(Debug, clap::Parser)]
#[command(name = "tidetable", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show a simulated payments day, with nothing installed
    Demo(demo::Args),
    /// Serve KEDA: read demand, forecast it, answer with the replicas needed
    Serve(serve::Args),
    /// Name every mistake in a configuration, or print what is in effect
    Check(check::Args),
    /// Print the ScaledObject of a target, ready for kubectl apply
    Render(render::Args),
    /// Forecast recorded load from a file, with quantiles
    Forecast(forecast::Args),
    /// Show business calendars, and what is coming for a target
    Calendar(calendar::Args),
    /// Replay recorded load under tidetable and its alternatives, and compare what each would have cost
    Backtest(Box<backtest::Args>),
    /// Fill the archive with history from a file or from the metrics source
    Import(import::Args),
}

/// Says on standard error why a command failed.
pub fn complain(error: &anyhow::Error) {
    output::say(&format!("tidetable: {error:#}"));
}

/// Runs the command.
///
/// # Errors
/// With what went wrong, for a human; the exit code is then [`FAILED`].
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        Command::Calendar(args) => calendar::run(&args),
        Command::Backtest(args) => Ok(backtest::run(&args)),
        Command::Import(args) => import::run(&args),
    }
}
