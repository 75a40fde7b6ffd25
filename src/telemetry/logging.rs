//! Events to standard error, as text for people or as JSON for machines.
//!
//! Standard output belongs to the answer of a command. A bare level is meant for our own events; libraries below it stay
//! at `warn`, because a debug log of HTTP/2 frames has never found a wrong replica count.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A line for people.
    #[default]
    Text,
    /// An object per line.
    Json,
}

/// Why logging was not installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error(
        "log level \"{level}\" is not understood; use error, warn, info, debug, trace, or directives such as `info,h2=debug`"
    )]
    Level {
        /// As given.
        level: String,
        /// What the parser says.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody was first.
    #[error("logging is installed already; install it once, in `main`")]
    Installed(#[from] TryInitError),
}

/// Sends the events of this process to standard error from now on.
///
/// `level` is a level (`info`) or a list of directives (`info,h2=debug`).
///
/// # Errors
/// [`Error::Level`] when `level` is neither, [`Error::Installed`] when this is not the first call.
pub fn install(format: Format, level: &str) -> Result<(), Error> {
    let filtered = tracing_subscriber::registry().with(filter(level)?);
    let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Text => filtered.with(written.with_ansi(std::io::stderr().is_terminal())).try_init()?,
        Format::Json => filtered.with(written.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let directives = match level.trim().parse::<LevelFilter>() {
        // kube says each failed request at ERROR as if somebody should wake; what it means for us is said by us, with its cause.
        Ok(bare) if bare > LevelFilter::WARN => format!("warn,kube_client=off,tidetable={bare}"),
        Ok(bare) if bare > LevelFilter::OFF => format!("{bare},kube_client=off"),
        _ => level.trim().to_owned(),
    };
    EnvFilter::try_new(directives).map_err(|source| Error::Level { level: level.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: &str, expected: &str) {
        assert_eq!(filter(level).unwrap().to_string(), expected, "{level}");
    }

    #[test]
    fn a_bare_level_is_ours_and_libraries_stay_quiet() {
        check("debug", "kube_client=off,tidetable=debug,warn");
        check("info", "kube_client=off,tidetable=info,warn");
        check("error", "kube_client=off,error");
        check("off", "off");
    }

    #[test]
    fn directives_are_taken_as_they_are() {
        check("info,h2=debug", "h2=debug,info");
    }

    #[test]
    fn what_is_neither_is_refused_with_the_levels_there_are() {
        let message = filter("tidetable=loud").unwrap_err().to_string();
        assert!(message.contains("\"tidetable=loud\"") && message.contains("error, warn, info"), "{message}");
    }
}
