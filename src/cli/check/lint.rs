//! What is wrong between a target, its ScaledObject and its demand, each with the remedy. Pure: facts in, findings out.

use std::fmt;

use chrono::TimeDelta;
use serde_json::Value;

use super::facts::{Facts, InCluster};
use super::{demand, scaling};
use crate::cluster::Account;
use crate::engine::Target;

/// A certificate that ends sooner should have been renewed: cert-manager does a third of its life before, 30 days of 90.
const RENEWED_BEFORE: TimeDelta = TimeDelta::days(14);

/// Something that would keep a forecast from the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What is so, and what it does.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// Something that could not be read; the reason brings its remedy with it.
    pub(super) fn unread(why: &str) -> Self {
        let (what, remedy) = why.split_once("; ").unwrap_or((why, "see there"));
        Self::new(what, remedy)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with `target`, by what is known of it.
pub(super) fn lint(target: &Target, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.cluster {
        Ok(cluster) => {
            triggers(target, cluster, &mut findings);
            scaling::lint(target, cluster, &mut findings);
            rights(cluster, &mut findings);
            surges(target, cluster, &mut findings);
        }
        Err(why) => findings.push(Finding::unread(why)),
    }
    for (demand, measured) in target.demands.iter().zip(&facts.demands) {
        demand::lint(target, demand, measured, facts, &mut findings);
    }
    if let Some(certificate) = &facts.certificate {
        match certificate {
            Ok(end) if *end - facts.now < RENEWED_BEFORE => {
                let day = end.format("%Y-%m-%d");
                findings.push(Finding::new(
                    format!(
                        "the certificate that KEDA is shown ends on {day}, and then KEDA reaches nothing"
                    ),
                    "renew it; a renewed file is in force within seconds",
                ));
            }
            Ok(_) => {}
            Err(why) => findings.push(Finding::unread(why)),
        }
    }
    findings
}

/// The trigger of `scaled` that names `target`.
pub(super) fn trigger<'a>(scaled: &'a Value, target: &str) -> Option<&'a Value> {
    let mut external = of_type(scaled, &["external", "external-push"]);
    external.find(|trigger| trigger["metadata"]["target"] == target)
}

fn of_type<'a>(scaled: &'a Value, types: &[&str]) -> impl Iterator<Item = &'a Value> {
    let triggers = scaled["triggers"].as_array().map(Vec::as_slice).unwrap_or_default();
    triggers.iter().filter(move |trigger| types.iter().any(|kind| trigger["type"] == *kind))
}

fn triggers(target: &Target, cluster: &InCluster, findings: &mut Vec<Finding>) {
    let scaled = &cluster.scaled;
    let name = &target.name;
    match trigger(scaled, name) {
        None => findings.push(Finding::new(
            format!("no trigger of the ScaledObject names the target {name}, so nobody asks for it"),
            format!("apply what `tidetable render … {name}` prints"),
        )),
        Some(trigger) if trigger["metricType"].as_str().is_some_and(|kind| kind != "AverageValue") => {
            findings.push(Finding::new(
                "the trigger's metricType is not AverageValue, so the HPA multiplies our replicas by its own",
                "set metricType: AverageValue",
            ));
        }
        Some(_) => {}
    }
    if of_type(scaled, &["cpu", "memory"]).next().is_none() {
        findings.push(Finding::new(
            "there is no cpu trigger: when tidetable cannot be reached, nothing scales",
            "add one; the HPA reads it from metrics-server, whatever becomes of us",
        ));
    }
    if scaled["fallback"].is_null() {
        findings.push(Finding::new(
            "there is no fallback: while tidetable answers with an error, replicas only stay where they are",
            "add fallback with behavior: currentReplicasIfHigher, as `tidetable render` writes it",
        ));
    }
    match &cluster.ours {
        Some(Ok(ready)) if *ready < 2 => findings.push(Finding::new(
            format!("{ready} of tidetable's replicas is ready: when it goes, KEDA's fallback does not act"),
            "run two or more (replicas of the chart)",
        )),
        Some(Err(why)) => findings.push(Finding::unread(why)),
        _ => {}
    }
}

/// What tidetable may not do in the cluster.
fn rights(cluster: &InCluster, findings: &mut Vec<Finding>) {
    let lacking = match &cluster.rights {
        Ok(lacking) => lacking,
        Err(why) => return findings.push(Finding::unread(why)),
    };
    if lacking.rights.is_empty() {
        return;
    }
    let rights: Vec<_> = lacking.rights.iter().map(ToString::to_string).collect();
    let rights = rights.join(", ");
    findings.push(match &lacking.account {
        Some(Account { namespace, name }) => Finding::new(
            format!("tidetable's service account {namespace}/{name} may not {rights}"),
            "give it that, as the chart's cluster.enabled does; what it may not see it goes by the configuration for, and what \
             it may not write is not told",
        ),
        None => Finding::new(
            format!("whoever runs this may not {rights}, and whose rights tidetable has cannot be told"),
            "run it as tidetable's service account, or as somebody who may create subjectaccessreviews and get its pods",
        ),
    });
}

/// What is declared and not heeded.
fn surges(target: &Target, cluster: &InCluster, findings: &mut Vec<Finding>) {
    match cluster.left_out {
        Ok(Some(left_out)) if left_out > 0 => findings.push(Finding::new(
            format!("{left_out} SurgeEvents that name {} are not heeded, because there are too many", target.name),
            "delete those that are over, and bound them with a ResourceQuota: count/surgeevents.tidetable.dev",
        )),
        Ok(_) => {}
        Err(ref why) => findings.push(Finding::unread(why)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::cli::check::facts::{Measured, Rate};
    use crate::cluster::{Lacking, Right};
    use crate::config;
    use crate::guard::tolerance::Mode;
    use crate::time::Timestamp;
    use crate::units::{Load, Replicas};

    /// One whose answers rely on an HPA without a tolerance.
    fn target() -> Target {
        let mut target = config::load("tests/data/config/payments.yaml".as_ref()).unwrap().targets.remove(0);
        target.tolerance.mode = Mode::Exact;
        target
    }

    fn now() -> Timestamp {
        "2026-11-27T09:00:00Z".parse().unwrap()
    }

    /// A target, its ScaledObject as `render` writes it, and a quiet forecast.
    fn sound() -> Facts {
        let way = |policy| json!({ "tolerance": "0", "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [policy] });
        let behavior = json!({
            "scaleUp": way(json!({ "type": "Percent", "value": 900, "periodSeconds": 15 })),
            "scaleDown": way(json!({ "type": "Percent", "value": 10, "periodSeconds": 60 })),
        });
        let metadata = json!({ "target": "payments-api", "scalerAddress": "tidetable.tidetable.svc:50051" });
        let scaled = json!({
            "minReplicaCount": 3, "maxReplicaCount": 200,
            "fallback": { "failureThreshold": 3, "replicas": 20 },
            "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior } },
            "triggers": [
                { "type": "external", "metricType": "AverageValue", "metadata": metadata },
                { "type": "cpu", "metricType": "Utilization", "metadata": { "value": "70" } },
            ],
        });
        let minutes = |count| now() + TimeDelta::minutes(count);
        let measured = Measured {
            observed: Ok(Some(Load::try_new(2300.0).unwrap())),
            since: Ok(Some(now() - TimeDelta::days(60))),
            ahead: Ok(vec![
                (minutes(1), Replicas(20)),
                (minutes(2), Replicas(60)),
                (minutes(3), Replicas(80)),
            ]),
            rate: Some(Rate { range: Duration::from_secs(120), scrapes: Duration::from_secs(15) }),
        };
        let cluster = InCluster {
            hpa: Ok(json!({ "minReplicas": 3, "maxReplicas": 200, "behavior": behavior })),
            scaled,
            running: Ok(18),
            rights: Ok(Lacking { account: None, rights: Vec::new() }),
            left_out: Ok(Some(0)),
            ours: Some(Ok(2)),
        };
        Facts {
            now: now(),
            cluster: Ok(cluster),
            demands: vec![measured],
            certificate: Some(Ok(now() + TimeDelta::days(60))),
        }
    }

    /// The only finding after a change of the sound facts.
    fn found(change: impl FnOnce(&mut Facts, &mut Value)) -> String {
        let mut facts = sound();
        let mut cluster = facts.cluster.clone().unwrap();
        change(&mut facts, &mut cluster.scaled);
        if let Ok(changed) = &mut facts.cluster {
            changed.scaled = cluster.scaled;
        }
        let findings = lint(&target(), &facts);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings[0].to_string()
    }

    fn in_cluster(change: impl FnOnce(&mut InCluster)) -> String {
        found(|facts, _| change(facts.cluster.as_mut().unwrap()))
    }

    fn in_hpa(pointer: &str, value: Value) -> String {
        in_cluster(|cluster| *cluster.hpa.as_mut().unwrap().pointer_mut(pointer).unwrap() = value)
    }

    #[test]
    fn what_render_writes_is_sound() {
        assert_eq!(lint(&target(), &sound()), []);
    }

    #[test]
    fn a_scaled_object_is_judged_by_what_keeps_an_answer_from_the_pods() {
        let behavior = "/advanced/horizontalPodAutoscalerConfig/behavior";
        let set = |pointer: &str, value: Value| {
            found(|_, scaled| *scaled.pointer_mut(pointer).unwrap() = value.clone())
        };
        let tolerance = set(&format!("{behavior}/scaleUp/tolerance"), json!("0.1"));
        assert!(
            tolerance.starts_with("behavior.scaleUp.tolerance of the ScaledObject is not 0"),
            "{tolerance}"
        );
        assert!(set("/triggers/1/type", json!("cron")).starts_with("there is no cpu trigger"));
        assert!(set("/fallback", json!(null)).starts_with("there is no fallback"));
        assert!(
            set("/triggers/0/metadata/target", json!("other"))
                .starts_with("no trigger of the ScaledObject names")
        );
        assert!(set("/triggers/0/metricType", json!("Value")).contains("is not AverageValue"));
        let max = set("/maxReplicaCount", json!(null));
        assert!(
            max.starts_with("maxReplicaCount of the ScaledObject is 100 and replicas.max is 200"),
            "{max}"
        );
    }

    #[test]
    fn an_hpa_that_is_answered_by_what_it_shows_may_have_a_tolerance() {
        let mut auto = target();
        auto.tolerance.mode = Mode::Auto;
        let mut facts = sound();
        facts.cluster.as_mut().unwrap().hpa.as_mut().unwrap()["behavior"]["scaleUp"]["tolerance"] =
            Value::Null;
        assert_eq!(lint(&auto, &facts), []);
        assert_eq!(lint(&target(), &facts).len(), 1);
    }

    #[test]
    fn an_hpa_is_judged_as_it_stands() {
        let dropped = in_hpa("/behavior/scaleDown/tolerance", json!(null));
        assert!(dropped.starts_with("the API server dropped behavior.scaleDown.tolerance"), "{dropped}");
        assert!(dropped.contains("Kubernetes 1.35"), "{dropped}");
        let late = in_hpa("/behavior/scaleUp/stabilizationWindowSeconds", json!(60));
        assert!(late.contains("smallest answer of the last 60 s"), "{late}");
        let paused = in_hpa("/behavior/scaleUp/selectPolicy", json!("Disabled"));
        assert!(paused.starts_with("the HPA may not scale up"), "{paused}");
        let slow = in_hpa(
            "/behavior/scaleUp/policies/0",
            json!({ "type": "Pods", "value": 4, "periodSeconds": 60 }),
        );
        assert!(slow.starts_with("the forecast grows by 40 replicas in 60 s towards 09:02 UTC"), "{slow}");
        assert!(slow.contains("allow 4"), "{slow}");
    }

    #[test]
    fn what_may_not_be_read_is_named_with_its_remedy() {
        let why = "may not get HorizontalPodAutoscaler a/b (no); give tidetable's service account that right";
        assert_eq!(in_cluster(|cluster| cluster.hpa = Err(why.to_owned())), why);
        let why = "there is no cluster to read; set KUBECONFIG";
        assert_eq!(found(|facts, _| facts.cluster = Err(why.to_owned())), why);
    }

    #[test]
    fn rights_that_are_lacking_are_named_and_whose_they_are() {
        let of = |account: Option<Account>| {
            let mut rights = Right::to_be_told("payments").split_off(2);
            rights.extend(Right::to_write("scaling", "tidetable").split_off(2));
            in_cluster(move |cluster| cluster.rights = Ok(Lacking { account, rights }))
        };
        let rights = "may not patch tidetable.dev/surgeevents/status in payments, \
                      update coordination.k8s.io/leases scaling/tidetable";
        let account = Account { namespace: "scaling".to_owned(), name: "tidetable".to_owned() };
        let named = of(Some(account));
        let expected = format!("tidetable's service account scaling/tidetable {rights}; give it that");
        assert!(named.starts_with(&expected), "{named}");
        let own = of(None);
        assert!(own.starts_with(&format!("whoever runs this {rights}, and")), "{own}");
    }

    #[test]
    fn what_is_declared_and_not_heeded_is_named() {
        let found = in_cluster(|cluster| cluster.left_out = Ok(Some(3)));
        assert!(found.starts_with("3 SurgeEvents that name payments-api are not heeded"), "{found}");
    }

    #[test]
    fn too_few_of_us_and_a_certificate_that_ends_are_named() {
        assert!(
            in_cluster(|cluster| cluster.ours = Some(Ok(1)))
                .starts_with("1 of tidetable's replicas is ready")
        );
        let soon = found(|facts, _| facts.certificate = Some(Ok(now() + TimeDelta::days(13))));
        assert!(soon.starts_with("the certificate that KEDA is shown ends on 2026-12-10"), "{soon}");
    }

    #[test]
    fn a_demand_is_judged_by_what_it_is_measured_by_and_what_it_needs() {
        let of = |change: &dyn Fn(&mut Measured)| found(|facts, _| change(&mut facts.demands[0]));
        let coarse = of(&|measured| measured.rate.as_mut().unwrap().scrapes = Duration::from_secs(60));
        assert!(
            coarse.contains("a rate over 120 s of scrapes 60 s apart")
                && coarse.ends_with("take it over 240 s or more")
        );
        assert!(of(&|measured| measured.observed = Ok(None)).contains("gives nothing now"));
        let beyond = of(&|measured| {
            measured.ahead.as_mut().unwrap().push((now() + TimeDelta::minutes(4), Replicas(240)))
        });
        assert_eq!(
            beyond,
            "the forecast needs 240 replicas on Fri 04:04 and replicas.max is 200; raise it, in the ScaledObject too"
        );
    }
}
