//! The tidetable binary: install the TLS provider, parse, dispatch, exit.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Both are idempotent in effect: a second provider is refused and the first stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tidetable::cli::run(tidetable::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            tidetable::cli::complain(&error);
            ExitCode::from(tidetable::cli::FAILED)
        }
    }
}
