//! `tidetable check`: is this configuration sound, and what does it say in full?
//!
//! Mistakes go to stderr, all of them, and the exit code is 2. Otherwise the effective configuration goes to stdout as YAML
//! that `serve` would read alike, so that a default is seen before it is relied on. Nothing is contacted and no secret's
//! file is opened, unless `--online` says so: then the cluster and the metrics sources are read too, and what would keep a
//! forecast from the pods is named, each with its remedy ([`online`], [`lint`]).

mod demand;
mod facts;
mod lint;
mod online;
mod scaling;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::WRONG_USAGE;
use super::clock::WallClock;
use super::expiry;
use super::output::read_on;
use crate::config;
use crate::engine::Clock;

/// Check a configuration file: name every mistake, or print the effective configuration.
///
/// With --online the exit code is 1 when something is found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// Also read cluster and metrics sources, and name what would keep a forecast from the pods, instead of printing.
    #[arg(long)]
    online: bool,
}

/// Checks, prints, and says with which code to exit.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let code = if args.online {
        online::check(&args.config, &mut out, &mut err)?
    } else {
        check(&args.config, &mut out, &mut err)?
    };
    Ok(ExitCode::from(code))
}

fn check(path: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return refuse(error, err),
    };
    let count = |count: usize, noun| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (targets, sources) = (count(config.targets.len(), "target"), count(config.sources.len(), "source"));
    // A comment, so that the output is a configuration too.
    let text = format!(
        "# ok: {targets}, {sources}; time zones as of tzdata {}; with every default filled in:\n{}",
        chrono_tz::IANA_TZDB_VERSION,
        config.effective()
    );
    for warning in expiry::warnings(&config, WallClock.now()) {
        if !read_on(writeln!(err, "warning: {warning}"))? {
            break;
        }
    }
    read_on(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(0)
}

/// Says what is wrong with a configuration, and with which code to exit.
pub(super) fn refuse(error: config::Error, err: &mut impl Write) -> io::Result<u8> {
    read_on(writeln!(err, "{:#}", anyhow::Error::from(error)))?;
    Ok(WRONG_USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &str) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check(Path::new(path), &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_sound_file_is_printed_with_its_defaults_and_reads_back() {
        let (code, out, err) = checked("tests/data/config/payments.yaml");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("# ok: 2 targets, 2 sources"), "{out}");
        assert!(config::parse("printed", &out).is_ok());
    }

    #[test]
    fn mistakes_go_to_stderr_and_the_exit_code_is_2() {
        let (code, out, err) = checked("tests/data/config/mistakes.yaml");
        assert_eq!((code, out.as_str()), (WRONG_USAGE, ""));
        assert!(err.lines().count() > 15);
        assert!(err.lines().all(|line| line.starts_with("tests/data/config/mistakes.yaml:")), "{err}");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_wrong_configuration() {
        let (code, _, err) = checked("/nowhere.yaml");
        assert_eq!(code, WRONG_USAGE);
        assert!(err.contains("/nowhere.yaml: ") && err.lines().count() == 1, "{err}");
    }
}
