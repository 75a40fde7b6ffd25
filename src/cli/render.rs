//! `tidetable render`: a ScaledObject that suits how tidetable answers, ready for `kubectl apply`.
//!
//! Every field has its reason in a comment of the output, because what looks like a detail decides whether a forecast
//! reaches pods at all: a default tolerance swallows the last tenth of a need, and the default scale-up policy takes six
//! syncs from 1 to 100. Nothing is sent anywhere; the cluster is not asked.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::WRONG_USAGE;
use super::check::refuse;
use super::output::read_on;
use crate::config::{self, Config, Listen, Tls, is_object_name, listed, nearest};
use crate::engine::{ScaledObject, Target};
use crate::guard::tolerance::Mode;
use crate::plan::{ScaleUp, ScaleUpPolicy, Select, Unit};

/// Where our chart puts the Service when nobody says otherwise.
const SERVICE: &str = "tidetable.tidetable.svc";

/// Print the ScaledObject of a target, for kubectl apply.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// The target.
    target: String,
    /// Where KEDA reaches tidetable; the chart's Service with the port of server.grpc unless given.
    #[arg(long, value_name = "HOST:PORT", value_parser = scaler_address)]
    scaler_address: Option<String>,
    /// The Deployment to scale; it is called like the ScaledObject unless given.
    #[arg(long, value_name = "NAME", value_parser = deployment)]
    deployment: Option<String>,
    /// Percent of requested CPU above which the reactive floor adds pods.
    #[arg(long, value_name = "PERCENT", default_value_t = 70, value_parser = clap::value_parser!(u8).range(1..=100))]
    cpu_utilization: u8,
}

/// Why an argument was refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("write it as host:port, such as {SERVICE}:50051")]
    ScalerAddress,
    #[error("a Deployment's name is lower-case letters, digits, \"-\" and \".\", such as payments-api")]
    Deployment,
}

fn scaler_address(text: &str) -> Result<String, Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && host.bytes().all(legal) && matches!(port.parse::<u16>(), Ok(1..)) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(Error::ScalerAddress),
    }
}

fn deployment(text: &str) -> Result<String, Error> {
    if is_object_name(text) { Ok(text.to_owned()) } else { Err(Error::Deployment) }
}

/// Prints, and says with which code to exit.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let code = render(args, &mut io::stdout().lock(), &mut io::stderr().lock())?;
    Ok(ExitCode::from(code))
}

fn render(args: &Args, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return refuse(error, err),
    };
    let Some(target) = config.targets.iter().find(|target| *target.name == *args.target) else {
        let names = || config.targets.iter().map(|target| &*target.name);
        let meant = nearest(&args.target, names());
        let meant = meant.map_or_else(String::new, |meant| format!(" did you mean {meant:?}?"));
        let targets = listed(names());
        read_on(writeln!(err, "there is no target {:?};{meant} targets are: {targets}", args.target))?;
        return Ok(WRONG_USAGE);
    };
    let text = scaled_object(&config, &target.scaled_object, args);
    read_on(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(0)
}

/// The YAML of `owner`, with a trigger for each target that belongs to it: two manifests of one ScaledObject would undo
/// each other.
///
/// Names are quoted, or a Deployment called `1e3` would be a number.
fn scaled_object(config: &Config, owner: &ScaledObject, args: &Args) -> String {
    let targets: Vec<&Target> =
        config.targets.iter().filter(|target| target.scaled_object == *owner).collect();
    let bounds = targets.iter().map(|target| &target.policy.guard);
    let min = bounds.clone().map(|guard| guard.min.0).max().unwrap_or_default();
    let max = bounds.map(|guard| guard.max.0).max().unwrap_or_default();
    let fallback = fallback_replicas(min, max);

    let default_address = match &config.grpc {
        Listen::Tcp(address) => format!("{SERVICE}:{}", address.port()),
        Listen::Unix(_) => config.grpc.to_string(),
    };
    let address = args.scaler_address.as_deref().unwrap_or(&default_address);
    let tls = match &config.tls {
        None => "",
        Some(Tls { client_ca: None, .. }) => {
            "\n        enableTLS: \"true\" # and caCert by a TriggerAuthentication, unless KEDA trusts the issuer already"
        }
        Some(_) => {
            "\n        enableTLS: \"true\" # and caCert, tlsClientCert and tlsClientKey by a TriggerAuthentication"
        }
    };
    let mut triggers = String::new();
    for target in &targets {
        write!(
            triggers,
            "\x20   - type: external
      metricType: AverageValue # tidetable answers in replicas, with a target of 1
      metadata:
        scalerAddress: {address:?}{tls}
        target: {:?}
",
            target.name
        )
        .expect("a String takes all that is written");
    }

    let exact = targets.iter().all(|target| matches!(target.tolerance.mode, Mode::Auto | Mode::Exact));
    let (up_tolerance, down_tolerance) = if exact {
        (
            "\n          tolerance: \"0\" # else up to a tenth of a need is ignored; Kubernetes 1.35 on, or gate HPAConfigurableTolerance",
            "\n          tolerance: \"0\"",
        )
    } else {
        // An answer that makes up for the tolerance would be too large where there is none.
        ("", "")
    };
    let (select, policies) = scale_up(&targets);
    let ScaledObject { namespace, name } = owner;
    let deployment = args.deployment.as_deref().unwrap_or(name);
    let cpu_utilization = args.cpu_utilization;
    format!(
        "\
# Written by tidetable render. What a query is and what a replica bears stands in tidetable's configuration, not here.
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  namespace: {namespace:?}
  name: {name:?}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {deployment:?}
  pollingInterval: 15 # as often as the HPA asks
  cooldownPeriod: 300 # counts only on the way to 0 replicas
  minReplicaCount: {min} # as in tidetable's configuration: the HPA clamps without a word
  maxReplicaCount: {max}
  fallback: # when tidetable answers that it has no honest number; KEDA does not fall back from an unreachable one
    failureThreshold: 3 # about 45 s
    replicas: {fallback} # the geometric mean of min and max: fit for an ordinary hour
    behavior: currentReplicasIfHigher # and never fewer than what is running
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:{up_tolerance}
          stabilizationWindowSeconds: 0 # else the HPA takes the smallest recent answer and comes late
          selectPolicy: {select}
{policies}        scaleDown:{down_tolerance}
          stabilizationWindowSeconds: 300 # the largest answer of five minutes counts
          policies: # a tenth a minute: a mistaken answer is cheap to take back
            - type: Percent
              value: 10
              periodSeconds: 60
  triggers:
{triggers}    - type: cpu # the reactive floor: the HPA reads it from metrics-server, also while tidetable is away
      metricType: Utilization # of the CPU that the pods request, so they must request some
      metadata:
        value: \"{cpu_utilization}\"
"
    )
}

/// `selectPolicy` and `policies` of the HPA's `scaleUp`: those that a target is planned with. Where several targets of one
/// ScaledObject say something else, the first of them counts.
fn scale_up(targets: &[&Target]) -> (&'static str, String) {
    let usual = ScaleUp::default();
    let given = targets.iter().find(|target| target.policy.plan.growth.scale_up != usual);
    let (scale_up, why) = match given {
        Some(target) => {
            (&target.policy.plan.growth.scale_up, format!("as growth.scaleUp of {} says", target.name))
        }
        None => {
            (&usual, "tenfold in one sync: the answer is what is needed, not a step towards it".to_owned())
        }
    };
    // No configuration says doubling; it would be an HPA without policies.
    let ScaleUp::Policies { select, policies } = scale_up else { return ("Max", String::new()) };
    let select = match select {
        Select::Max => "Max",
        Select::Min => "Min",
    };
    let mut lines = format!("          policies: # {why}\n");
    for ScaleUpPolicy { unit, amount, period } in policies {
        let kind = match unit {
            Unit::Pods => "Pods",
            Unit::Percent => "Percent",
        };
        write!(
            lines,
            "\x20           - type: {kind}
              value: {amount}
              periodSeconds: {}
",
            period.as_secs()
        )
        .expect("a String takes all that is written");
    }
    (select, lines)
}

/// What to fall back to when nothing is known: the geometric mean of the bounds, which is as many times the minimum as the
/// maximum is of it. The smallest replica count that a service is worth keeping up with is 1.
fn fallback_replicas(min: u32, max: u32) -> u32 {
    let mean = (f64::from(min.max(1)) * f64::from(max)).sqrt().ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= mean <= 2^32, rounded")]
    let mean = mean as u32;
    mean.clamp(min, max.max(min))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn arguments(line: &str) -> Result<Args, clap::Error> {
        let words = ["render", "--config", "tests/data/config/payments.yaml"];
        let words = words.into_iter().chain(line.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    fn rendered(line: &str) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = render(&arguments(line).unwrap(), &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn read(yaml: &str) -> serde_json::Value {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn a_target_becomes_a_scaled_object_with_reasons() {
        let (code, out, err) = rendered("payments-api");
        assert_eq!((code, err.as_str()), (0, ""));
        insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("render_payments_api", out);
        });
    }

    #[test]
    fn the_manifest_holds_what_the_contract_asks_for() {
        let line = "settlement-worker --scaler-address scaler.ops:8443 --deployment 1e3 --cpu-utilization 55";
        let spec = &read(&rendered(line).1)["spec"];
        let behavior = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
        assert_eq!(spec["scaleTargetRef"]["name"], "1e3");
        assert_eq!(spec["minReplicaCount"], 1);
        assert_eq!(spec["maxReplicaCount"], 40);
        assert_eq!(spec["fallback"]["replicas"], 7);
        assert_eq!(behavior["scaleUp"]["tolerance"], "0");
        assert_eq!(behavior["scaleDown"]["tolerance"], "0");
        assert_eq!(behavior["scaleUp"]["stabilizationWindowSeconds"], 0);
        let metadata =
            serde_json::json!({ "scalerAddress": "scaler.ops:8443", "target": "settlement-worker" });
        assert_eq!(spec["triggers"][0]["metadata"], metadata);
        assert_eq!(spec["triggers"][1]["metadata"]["value"], "55");
    }

    #[test]
    fn two_targets_of_one_scaled_object_are_two_triggers_of_one_manifest() {
        let mut config = config::load("tests/data/config/payments.yaml".as_ref()).unwrap();
        let owner = config.targets[0].scaled_object.clone();
        config.targets[1].scaled_object = owner.clone();
        let spec = &read(&scaled_object(&config, &owner, &arguments("payments-api").unwrap()))["spec"];
        assert_eq!(spec["triggers"].as_array().unwrap().len(), 3);
        assert_eq!(spec["triggers"][1]["metadata"]["target"], "settlement-worker");
        assert_eq!((&spec["minReplicaCount"], &spec["maxReplicaCount"]), (&3.into(), &200.into()));
    }

    #[test]
    fn growth_that_is_configured_is_what_the_hpa_is_given() {
        let mut config = config::load("tests/data/config/payments.yaml".as_ref()).unwrap();
        let minute = std::time::Duration::from_secs(60);
        let four_a_minute = ScaleUpPolicy { unit: Unit::Pods, amount: 4, period: minute };
        let scale_up = ScaleUp::Policies { select: Select::Min, policies: vec![four_a_minute; 2] };
        config.targets[0].policy.plan.growth.scale_up = scale_up;
        let owner = config.targets[0].scaled_object.clone();
        let spec = &read(&scaled_object(&config, &owner, &arguments("payments-api").unwrap()))["spec"];
        let up = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"];
        let policy = serde_json::json!({ "type": "Pods", "value": 4, "periodSeconds": 60 });
        assert_eq!(
            (&up["selectPolicy"], &up["policies"]),
            (&"Min".into(), &serde_json::json!([policy, policy]))
        );
    }

    #[test]
    fn an_hpa_that_is_given_headroom_keeps_its_tolerance() {
        let mut config = config::load("tests/data/config/payments.yaml".as_ref()).unwrap();
        config.targets[0].tolerance.mode = Mode::Headroom;
        let owner = config.targets[0].scaled_object.clone();
        let spec = &read(&scaled_object(&config, &owner, &arguments("payments-api").unwrap()))["spec"];
        let behavior = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
        for direction in ["scaleUp", "scaleDown"] {
            assert!(behavior[direction]["tolerance"].is_null(), "{direction}");
            assert!(behavior[direction]["policies"].is_array(), "{direction}");
        }
    }

    #[test]
    fn the_trigger_says_how_the_server_is_reached() {
        let mut config = config::load("tests/data/config/payments.yaml".as_ref()).unwrap();
        let owner = config.targets[0].scaled_object.clone();
        config.grpc = "unix:///run/tidetable/grpc.sock".parse().unwrap();
        config.tls = Some(Tls {
            cert: "/tls.crt".into(),
            key: "/tls.key".into(),
            client_ca: Some("/ca.crt".into()),
            allowed_names: Vec::new(),
        });
        let spec = &read(&scaled_object(&config, &owner, &arguments("payments-api").unwrap()))["spec"];
        let metadata = serde_json::json!({
            "scalerAddress": "unix:///run/tidetable/grpc.sock", "enableTLS": "true", "target": "payments-api",
        });
        assert_eq!(spec["triggers"][0]["metadata"], metadata);
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_nearest_one() {
        let (code, out, err) = rendered("payment-api");
        assert_eq!((code, out.as_str()), (WRONG_USAGE, ""));
        assert_eq!(
            err,
            "there is no target \"payment-api\"; did you mean \"payments-api\"? \
             targets are: payments-api, settlement-worker\n"
        );
    }

    #[test]
    fn what_would_break_the_manifest_is_refused_as_an_argument() {
        for line in
            ["--scaler-address here", "--scaler-address a\"b:1", "--scaler-address a:0", "--deployment A_B"]
        {
            assert!(arguments(&format!("payments-api {line}")).is_err(), "{line}");
        }
        assert!(arguments("payments-api --cpu-utilization 0").is_err());
        assert!(arguments("payments-api --scaler-address [::1]:50051").is_ok());
    }

    proptest! {
        #[test]
        fn the_fallback_lies_between_the_bounds(min in 0_u32..=1_000_000, more in 0_u32..1_000_000) {
            let max = (min + more).max(1);
            let fallback = fallback_replicas(min, max);
            prop_assert!((min.max(1)..=max).contains(&fallback), "{min} {max} {fallback}");
        }
    }
}
