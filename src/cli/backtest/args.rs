//! The command line of `tidetable backtest`.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use super::verdict::Condition;
use crate::cli::flag::{Stamp, duration, instant, quantile, step, timezone};
use crate::config::LEAD_TIMES;
use crate::time::{Step, Timestamp};
use crate::units::{LoadPerReplica, Quantile};

/// What `--fail-if` takes. Not a doc comment, for its words are not code.
const FAIL_IF: &str = "Exit with 1 when this holds, such as 'failed_share > 0.001' or \
    'late_pod_minutes > reactive_tuned.late_pod_minutes'; may be repeated";

/// Arguments of `tidetable backtest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration with the target; or say --capacity and try without one
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG", required_unless_present = "capacity")]
    pub(super) config: Option<PathBuf>,
    /// Which target; may be repeated, and left out where there is only one
    #[arg(long = "target", value_name = "NAME")]
    pub(super) targets: Vec<String>,
    /// Which of the target's demands, where it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(super) demand: Option<String>,
    /// Recorded load, `TARGET=FILE` for each of several targets: CSV `timestamp,value` or the JSON of a Prometheus range
    /// query, plain or gzip; the target's archive and metrics source when left out
    #[arg(long = "input", value_name = "FILE")]
    pub(super) inputs: Vec<String>,
    /// What a stamp of a CSV stands for: the start of its bin, or the end as Prometheus stamps it
    #[arg(long, value_enum, default_value = "start")]
    pub(super) stamp: Stamp,
    /// Spacing of the input, where its rows do not tell
    #[arg(long, value_name = "DURATION", value_parser = step)]
    pub(super) input_step: Option<Step>,
    /// From where on policies are compared; what lies before trains them. After the first half, or 28 days, when left out; of a source
    /// at most the last 28 days
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(super) from: Option<Timestamp>,
    /// Where the comparison ends; with the input when left out
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(super) to: Option<Timestamp>,
    /// Where to write the report, one HTML file without outside assets
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Where to write the numbers as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse, help = FAIL_IF)]
    pub(super) fail_if: Vec<Condition>,
    /// What a replica costs an hour, in any currency
    #[arg(long, value_name = "AMOUNT", value_parser = positive)]
    pub(super) price: Option<f64>,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) quick: Quick,
    #[command(flatten)]
    pub(super) cluster: Cluster,
    #[command(flatten)]
    pub(super) contest: Contest,
}

/// A target without a configuration.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without a configuration")]
pub(super) struct Quick {
    /// Load that one replica bears, in the unit of the input
    #[arg(long, value_name = "LOAD", value_parser = capacity, conflicts_with = "config", requires = "inputs")]
    pub(super) capacity: Option<LoadPerReplica>,
    /// From a pod's creation to its readiness, p95
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = lead_time, conflicts_with = "config")]
    pub(super) lead_time: Duration,
    /// Whose wall clock daily and weekly seasons follow (IANA name)
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = timezone, conflicts_with = "config")]
    pub(super) timezone: Tz,
    /// Never fewer replicas
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "config")]
    pub(super) min: u32,
    /// Never more replicas
    #[arg(long, value_name = "COUNT", default_value_t = 1000, conflicts_with = "config")]
    pub(super) max: u32,
    /// How sure the plan is
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = quantile, conflicts_with = "config")]
    pub(super) quantile: Quantile,
}

/// What every policy scales in.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster, the same for every policy")]
pub(super) struct Cluster {
    /// The HPA's behavior; the recommended one with the configuration's growth.scaleUp when left out
    #[arg(long, value_enum)]
    pub(super) behavior: Option<BehaviorArg>,
    /// The controller's tolerance, where the behavior says none; the configuration's hpaTolerance when left out, or 0.1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) tolerance: Option<f64>,
    /// A cpu trigger beside each policy's own metric, which keeps pods at this share of what they bear; none when left out
    #[arg(long, value_name = "SHARE", value_parser = utilization)]
    pub(super) cpu_target: Option<f64>,
    /// Pods that the cluster can start; the configuration's growth.podsPerMinute when left out, or no limit
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    pub(super) pods_per_minute: Option<f64>,
    /// Spread of start-up times, as the sigma of their logarithm around a p95 of the lead time; all alike at 0
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0, value_parser = sigma)]
    pub(super) start_up_sigma: f64,
    /// How long a transaction over capacity waits before it has failed
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) queue: Duration,
    /// A load of 1 is one transaction in so long: 1s for a rate per second, 5m for counts by five minutes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = some_time)]
    pub(super) per: Duration,
    /// From a transaction to its being in a query's answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(super) scrape_delay: Duration,
}

/// Who is compared, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policies")]
pub(super) struct Contest {
    /// Utilisation of the reactive HPA; at 1 its target is the capacity itself
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = utilization)]
    pub(super) utilization: f64,
    /// Utilisations for the frontier, among which the best on the training span is chosen
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_value = "0.4,0.5,0.6,0.7,0.8,0.9,1", value_parser = utilization)]
    pub(super) utilizations: Vec<f64>,
    /// Quantiles for the frontier, beside the target's own
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', default_value = "0.5,0.7,0.8,0.9,0.95,0.98,0.99", value_parser = quantile)]
    pub(super) quantiles: Vec<Quantile>,
    /// What a late pod-hour costs in pod-hours, where a setting is chosen; what the quantile stands for when left out
    #[arg(long, value_name = "RATIO", value_parser = positive)]
    pub(super) cost_ratio: Option<f64>,
    /// How often a model is learned
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = some_time)]
    pub(super) refit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum BehaviorArg {
    /// What `tidetable render` writes: no tolerance, down by a tenth a minute
    Recommended,
    /// What the API server fills in when a part of it is given
    Defaults,
    /// None, as KEDA leaves it
    None,
}

impl BehaviorArg {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::Defaults => "defaults",
            Self::None => "none",
        }
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    duration(text)
        .and_then(|it| if it.is_zero() { Err("no time at all is no choice here".into()) } else { Ok(it) })
}

/// As long as `leadTime` of a configuration may be.
fn lead_time(text: &str) -> Result<Duration, String> {
    let lead_time = duration(text)?;
    if LEAD_TIMES.contains(&lead_time) { Ok(lead_time) } else { Err("a lead time is from 1s to 6h".into()) }
}

fn utilization(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 2.0 => Ok(share),
        _ => Err("a number above 0 and up to 2 is needed: write 0.7 for 70 %".into()),
    }
}

fn capacity(text: &str) -> Result<LoadPerReplica, String> {
    let capacity: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    LoadPerReplica::try_new(capacity).map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is needed".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..1.0).contains(&number) => Ok(number),
        _ => Err("a number from 0 to below 1 is needed; a controller without flags has 0.1".into()),
    }
}

fn sigma(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=2.0).contains(&number) => Ok(number),
        _ => Err("a number from 0 to 2 is needed; 0.15 makes one pod in twenty take 30 % longer".into()),
    }
}

#[cfg(test)]
impl Args {
    /// The arguments of a command line without quotes.
    pub(super) fn of_line(line: &str) -> Self {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        <Line as clap::Parser>::parse_from(line.split_whitespace()).args
    }
}
