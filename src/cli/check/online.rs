//! `tidetable check --online`: gathers what cluster and sources show of each target, has it judged, and prints it.
//!
//! ```text
//! payments-api: observed 2,300 tx/s ÷ 120 = 20 replicas; running 18
//!   history since 2026-09-01; a weekly forecast is possible
//!   ! there is no cpu trigger: when tidetable cannot be reached, nothing scales; add one; …
//! ```
//!
//! It reads as whoever runs it may read, and changes nothing. What cannot be read is a finding like any other.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use super::facts::{Facts, InCluster, Known, Measured, Rate};
use super::lint::{lint, trigger};
use super::refuse;
use crate::cli::clock::WallClock;
use crate::cli::output::read_on;
use crate::cli::{FAILED, wiring};
use crate::cluster::{self, Account, Right, Scaled};
use crate::config::{self, Config};
use crate::engine::{self, Clock as _, Demand, MetricSource, Target};
use crate::forecast::{HORIZON, Known as KnownDemand, forecaster};
use crate::keda::tls::certificate_end;
use crate::time::{Step, Timestamp};
use crate::units::{Quantile, Replicas};

/// Patience with one instant query.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a weekly forecast needs of history.
const HISTORY_NEEDED: TimeDelta = TimeDelta::days(10);

/// Over this span scrapes are counted: long enough for ten a minute apart.
const COUNTED_OVER: Duration = Duration::from_secs(600);

/// Checks the configuration in `path`, and then its targets where they are.
pub(super) fn check(path: &Path, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<u8> {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return Ok(refuse(error, err)?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut code = 0;
    runtime.block_on(async {
        let client = cluster::connect().await.map_err(in_words);
        for target in &config.targets {
            let facts = gather(&config, target, &client).await;
            if report(target, &facts, out)? {
                code = FAILED;
            }
        }
        anyhow::Ok(())
    })?;
    Ok(code)
}

/// Prints what is known of a target and what is wrong with it, and says whether anything is.
fn report(target: &Target, facts: &Facts, out: &mut impl Write) -> io::Result<bool> {
    let mut lines = Vec::new();
    let running = match facts.cluster.as_ref().map(|cluster| &cluster.running) {
        Ok(Ok(running)) => format!("; running {running}"),
        _ => String::new(),
    };
    for (demand, measured) in target.demands.iter().zip(&facts.demands) {
        let who = if target.demands.len() == 1 {
            target.name.to_string()
        } else {
            format!("{} ({})", target.name, demand.name)
        };
        lines.push(match &measured.observed {
            Ok(Some(load)) => format!(
                "{who}: observed {} {} ÷ {} = {} replicas{running}",
                with_commas(load.get()),
                demand.unit,
                with_commas(demand.capacity.get()),
                Replicas::bearing(*load, demand.capacity),
            ),
            _ => format!("{who}: nothing observed{running}"),
        });
        lines.push(match &measured.since {
            Ok(Some(since)) => history(*since, facts.now),
            _ => "  no history yet".to_owned(),
        });
        if let Err(why) = &measured.ahead {
            lines.push(format!("  no forecast now: {why}"));
        }
    }
    let findings = lint(target, facts);
    lines.extend(findings.iter().map(|finding| format!("  ! {finding}")));
    read_on(writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush()))?;
    Ok(!findings.is_empty())
}

fn history(since: Timestamp, now: Timestamp) -> String {
    let possible = since + HISTORY_NEEDED;
    let since = since.format("%Y-%m-%d");
    if possible <= now {
        format!("  history since {since}; a weekly forecast is possible")
    } else {
        format!(
            "  history since {since}; the first weekly forecast is possible on {}",
            possible.format("%Y-%m-%d")
        )
    }
}

/// A load as people write it: whole thousands apart, and a decimal only where it tells something.
fn with_commas(load: f64) -> String {
    let text = if load >= 100.0 || load.fract() == 0.0 { format!("{load:.0}") } else { format!("{load:.1}") };
    let whole = text.split('.').next().map_or(0, str::len);
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn in_words(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

async fn gather(config: &Config, target: &Target, client: &Known<kube::Client>) -> Facts {
    let now = WallClock.now();
    let cluster = match client {
        Ok(client) => in_cluster(client, config, target).await,
        Err(why) => Err(why.clone()),
    };
    let mut demands = Vec::new();
    for demand in &target.demands {
        demands.push(measured(config, target, demand, now).await);
    }
    let certificate = match &config.tls {
        Some(tls) => Some(certificate(&tls.cert).await),
        None => None,
    };
    Facts { now, cluster, demands, certificate }
}

async fn in_cluster(client: &kube::Client, config: &Config, target: &Target) -> Known<InCluster> {
    let scaled = Scaled::read(client, &target.scaled_object).await.map_err(in_words)?;
    let service = trigger(&scaled.spec, &target.name).and_then(service);
    let ready = match service {
        Some((namespace, service)) => {
            Some(cluster::ready_behind(client, namespace, service).await.map_err(in_words))
        }
        None => None,
    };
    let one_of_us = ready.as_ref().and_then(|ready| ready.as_ref().ok()?.first());
    let account = match service.zip(one_of_us) {
        Some(((namespace, _), pod)) => Account::of_pod(client, namespace, pod).await,
        None => None,
    };
    let namespace = &target.scaled_object.namespace;
    let of_namespace = config.targets.iter().filter(|other| other.scaled_object.namespace == *namespace);
    let of_namespace = of_namespace.map(|other| Arc::clone(&other.name)).collect();
    let left_out = cluster::left_out(client, target, &of_namespace).await.map_err(in_words);
    let mut rights = Right::to_see(namespace, &scaled.kind);
    if left_out != Ok(None) {
        rights.extend(Right::to_be_told(namespace));
    }
    rights.extend(Right::to_tell(namespace));
    // The chart names its Lease like its Service.
    rights.extend(service.iter().flat_map(|(namespace, service)| Right::to_write(namespace, service)));
    Ok(InCluster {
        rights: cluster::lacking(client, account.as_ref(), &rights).await.map_err(in_words),
        left_out,
        ours: ready.map(|ready| ready.map(|pods| pods.len())),
        hpa: scaled.hpa(client).await.map_err(in_words),
        running: scaled.scale(client).await.map(|scale| scale.counted).map_err(in_words),
        scaled: scaled.spec.clone(),
    })
}

/// The namespace and name of the Service that a trigger's address is of, as in `tidetable.tidetable.svc:50051`.
fn service(trigger: &serde_json::Value) -> Option<(&str, &str)> {
    let (host, _) = trigger["metadata"]["scalerAddress"].as_str()?.rsplit_once(':')?;
    let mut labels = host.split('.');
    let (service, namespace, svc) = (labels.next()?, labels.next()?, labels.next()?);
    (svc == "svc").then_some((namespace, service))
}

async fn measured(config: &Config, target: &Target, demand: &Demand, now: Timestamp) -> Measured {
    let source = match wiring::source(&demand.source, &config.sources[&demand.source]) {
        Ok(source) => source,
        Err(error) => {
            let why = format!("{error:#}");
            return Measured { observed: Err(why.clone()), since: Ok(None), ahead: Err(why), rate: None };
        }
    };
    let observed = source.instant(demand, now, PATIENCE).await.map_err(in_words);
    let observed = observed.map(|sample| sample.measured.load);
    if let Err(why) = &observed {
        // Said once: history would fail for the same reason.
        return Measured { observed: Err(why.clone()), since: Ok(None), ahead: Err(why.clone()), rate: None };
    }
    let step = demand.step;
    let origin = step.last_ended(now - demand.settle_lag).next();
    let from = origin.plus(-step.slots_in(demand.history));
    let read = source.range(demand, from, origin).await.map_err(in_words);
    let rate = rate(&*source, demand, now).await;
    let (since, ahead) = match read {
        Err(why) => (Err(why), Err("its history cannot be read".to_owned())),
        Ok(read) => {
            let series = engine::series(step, from..origin, &read.measured);
            let since = series.points().next().map(|(slot, _)| step.end(slot));
            let (target, demand) = (target.clone(), demand.clone());
            let ahead = tokio::task::spawn_blocking(move || ahead(&target, &demand, &series));
            (Ok(since), ahead.await.unwrap_or_else(|died| Err(died.to_string())))
        }
    };
    Measured { observed, since, ahead, rate }
}

/// What is needed in each step of the horizon, by a fit made now.
fn ahead(
    target: &Target,
    demand: &Demand,
    series: &crate::series::Series,
) -> Known<Vec<(Timestamp, Replicas)>> {
    let step: Step = demand.step;
    let origin = series.end();
    let model = forecaster(&target.almanac, &target.exclude).fit(series, origin).map_err(in_words)?;
    let known = KnownDemand { settled: series, origin, live: None };
    let targets = origin..origin.plus(step.slots_in(HORIZON));
    let quantile: Quantile = target.policy.plan.quantile;
    let forecast =
        model.forecast(&known, targets, &[quantile]).ok_or("nothing is known of the newest hours")?;
    let needed = forecast.rows().map(|row| {
        let load = crate::units::Load::saturating(row.loads[0]);
        (step.end(row.slot), Replicas::bearing(load, demand.capacity))
    });
    Ok(needed.collect())
}

/// The first rate of a query, and how far its scrapes are apart; `None` where there is none or nothing can be counted.
async fn rate(source: &impl MetricSource, demand: &Demand, now: Timestamp) -> Option<Rate> {
    let (selector, range) = super::demand::first_range(&demand.query)?;
    let query = format!("max(count_over_time({selector}[{}s]))", COUNTED_OVER.as_secs());
    let counting = Demand { query, label: None, ..demand.clone() };
    let counted = source.instant(&counting, now, PATIENCE).await.ok()?.measured.load?.get();
    (counted >= 1.0).then(|| Rate {
        range,
        scrapes: Duration::from_secs_f64((COUNTED_OVER.as_secs_f64() / counted).round()),
    })
}

async fn certificate(path: &Path) -> Known<Timestamp> {
    let here = "; run this where it is, or look at tidetable_tls_certificate_expiry_timestamp_seconds";
    let pem = tokio::fs::read(path).await;
    let pem =
        pem.map_err(|error| format!("the certificate {} cannot be read ({error}){here}", path.display()))?;
    let end = certificate_end(path, &pem).map_err(in_words)?;
    let end = end.and_then(|end| DateTime::from_timestamp(i64::try_from(end).ok()?, 0));
    end.ok_or_else(|| format!("{} does not say when it ends; renew it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_read_as_people_write_them() {
        for (load, expected) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (120.0, "120"),
            (2300.4, "2,300"),
            (1_234_567.0, "1,234,567"),
            (99.96, "100.0"),
        ] {
            assert_eq!(with_commas(load), expected);
        }
    }

    #[test]
    fn a_service_is_read_from_the_address_of_its_trigger() {
        let of = |address: &str| {
            let trigger = serde_json::json!({ "metadata": { "scalerAddress": address } });
            service(&trigger).map(|(namespace, service)| format!("{namespace}/{service}"))
        };
        assert_eq!(of("tidetable.scaling.svc:50051").as_deref(), Some("scaling/tidetable"));
        assert_eq!(of("tidetable.scaling.svc.cluster.local:50051").as_deref(), Some("scaling/tidetable"));
        assert_eq!(of("unix:///run/tidetable/grpc.sock"), None);
        assert_eq!(of("10.0.0.1:50051"), None);
    }
}
