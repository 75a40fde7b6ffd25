//! The tidetable binary: install the TLS provider, parse, dispatch, exit.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Fits come and go by the hundred megabytes between what stays for days. This one gives their pages back; the C library's keeps
/// them, and musl's is slow besides.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
