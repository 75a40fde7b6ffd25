//! The tidetable binary: install the TLS provider, parse, dispatch, exit.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Nobody was here first; were somebody, their provider would stay, and that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tidetable::cli::run(tidetable::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            tidetable::cli::complain(&error);
            ExitCode::from(tidetable::cli::FAILED)
        }
    }
}
