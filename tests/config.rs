//! The configuration file as an operator meets it: what is accepted, what is complained of and in which words.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;
use tidetable::config::{self, Auth, Config, Error};
use tidetable::guard;
use tidetable::plan;

const PAYMENTS: &str = include_str!("data/config/payments.yaml");
const MISTAKES: &str = include_str!("data/config/mistakes.yaml");

fn complaints(text: &str) -> String {
    config::parse("tidetable.yaml", text).expect_err("a mistake").to_string()
}

/// The smallest configuration, with `from` replaced by `to`.
fn smallest_with(from: &str, to: &str) -> String {
    const SMALLEST: &str = "\
sources: { main: { prometheus: { url: http://prometheus:9090 } } }
targets:
  api:
    scaledObject: payments/api
    demand: { source: main, query: up }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: UTC
";
    assert!(SMALLEST.contains(from), "{from}");
    SMALLEST.replace(from, to)
}

fn parse(text: &str) -> Config {
    config::parse("tidetable.yaml", text).expect("a sound configuration")
}

fn smallest() -> Config {
    parse(&smallest_with("", ""))
}

#[test]
fn the_example_is_accepted() {
    let config = config::load(Path::new("tests/data/config/payments.yaml")).expect("the example");
    let names: Vec<_> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["payments-api", "settlement-worker"]);
    assert_eq!(config.targets[0].policy.plan.lead_time, Duration::from_secs(90));
    assert!((config.targets[0].policy.plan.quantile.get() - 0.951).abs() < 1e-3);
    assert_eq!(config.targets[1].demands[0].source, "archive");
    let history = config.history.as_ref().expect("an archive");
    assert_eq!(history.archive, Path::new("/var/lib/tidetable"));
    assert_eq!(history.retention, Duration::from_secs(400 * 86_400));
    assert!(matches!(config.sources["archive"].auth, Auth::Basic { .. }));
    assert_snapshot!("effective_payments", config.effective());
}

#[test]
fn the_smallest_file_is_filled_with_defaults() {
    assert_snapshot!("effective_smallest", smallest().effective());
}

#[test]
fn every_mistake_is_named_in_one_run_and_no_secret_is_repeated() {
    let said = complaints(MISTAKES);
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!("mistakes", said);
}

#[test]
fn a_file_that_is_not_yaml_has_one_complaint_with_its_line() {
    assert_snapshot!(
        "not_yaml",
        [
            "targets:\n  a: {\n",
            "targets:\n\ta: 1\n",
            "a: *nowhere\n",
            "a: 1\n---\nb: 2\n",
            "a: \"unfinished\n",
            "? [complex, key]\n: 1\n",
        ]
        .map(complaints)
        .join("\n")
    );
}

#[test]
fn how_the_hpa_scales_is_read_and_written_as_it_is_given() {
    let given = "timezone: UTC
    floor: hold
    tolerance: headroom
    hpaTolerance: 0.2
    growth: { podsPerMinute: 30, scaleUp: { selectPolicy: Min, policies: [{ type: Pods, value: 4, periodSeconds: 60 }] } }";
    let config = parse(&smallest_with("timezone: UTC", given));
    let target = &config.targets[0];
    assert_eq!(target.policy.guard.floor, guard::Floor::Hold);
    assert_eq!(
        target.tolerance,
        guard::Tolerance { mode: guard::tolerance::Mode::Headroom, up: 0.2, down: 0.2 }
    );
    let four_a_minute =
        plan::ScaleUpPolicy { unit: plan::Unit::Pods, amount: 4, period: Duration::from_secs(60) };
    let scale_up = plan::ScaleUp::Policies { select: plan::Select::Min, policies: vec![four_a_minute] };
    assert_eq!(target.policy.plan.growth, plan::Growth { scale_up, pods_per_minute: Some(30.0) });
    assert_eq!(parse(&config.effective()).targets, config.targets);
}

#[test]
fn a_file_that_says_nothing_is_told_what_it_needs() {
    assert_snapshot!(
        "nothing_said",
        ["", "# nothing\n", "hello", "[]", "{}", "sources: {}\ntargets: {}\n"].map(complaints).join("\n")
    );
}

#[test]
fn each_value_has_its_own_remedy() {
    let mistakes = [
        ("url: http://prometheus:9090", "url: http://prometheus:9090?a=b"),
        ("url: http://prometheus:9090", "url: ftp://prometheus"),
        ("url: http://prometheus:9090", "url: http://p, maxBodyBytes: 12"),
        ("url: http://prometheus:9090", "url: http://p, auth: {}"),
        (
            "url: http://prometheus:9090",
            "url: http://p, auth: { bearerTokenFile: /a, basic: { username: a, passwordFile: /b } }",
        ),
        (
            "url: http://prometheus:9090",
            "url: http://p, auth: { basic: { username: 'a:b', passwordFile: '' } }",
        ),
        (
            "url: http://prometheus:9090",
            "url: http://p, headers: { X-A: a, x-a: b, 'x a': c, X-B: \"a\\nb\" }",
        ),
        ("source: main, query: up", "source: prometheus, query: up"),
        ("{ source: main, query: up }", "[]"),
        ("{ source: main, query: up }", "[{ source: main }]"),
        ("query: up", "query: up, step: 1s, history: 100d"),
        ("query: up", "query: up, settleLag: 2h"),
        ("query: up", "query: up, step: 45s"),
        ("query: up", "query: up, step: 7m"),
        (
            "timezone: UTC",
            "timezone: UTC\n    exclude: [{ from: 2026-03-02T12:00:00Z, to: 2026-03-02T10:00:00Z, why: ' ' }]",
        ),
        ("timezone: UTC", "timezone: UTC\n    exclude: [{ from: 2026-03-02T10:00:00, to: noon }]"),
        ("perReplica: 120", "perReplica: '120'"),
        ("perReplica: 120", "perReplica: -1"),
        ("max: 200", "max: 2000000"),
        ("max: 200", "max: 99999999999"),
        ("max: 200", "max: 20.5"),
        ("timezone: UTC", "timezone: Berlin"),
        ("timezone: UTC", "timezone: the moon"),
        ("timezone: UTC", "timezone: UTC\n    leadTime: 1d"),
        ("timezone: UTC", "timezone: UTC\n    objective: { underCost: 40 }"),
        ("timezone: UTC", "timezone: UTC\n    objective: { underCost: 0, overCost: -1 }"),
        ("timezone: UTC", "timezone: UTC\n    objective: { quantile: 0.9, underCost: 40 }"),
        ("timezone: UTC", "timezone: UTC\n    staleAfter: 5s"),
        ("timezone: UTC", "timezone: UTC\n    mode: auto"),
        ("timezone: UTC", "timezone: UTC\n    floor: none"),
        ("timezone: UTC", "timezone: UTC\n    tolerance: none"),
        ("timezone: UTC", "timezone: UTC\n    tolerance: headroom\n    hpaTolerance: 10"),
        ("timezone: UTC", "timezone: UTC\n    tolerance: exact\n    hpaTolerance: 0.1"),
        ("timezone: UTC", "timezone: UTC\n    growth: { podsPerMinute: 0 }"),
        ("timezone: UTC", "timezone: UTC\n    growth: { scaleUp: { selectPolicy: Disabled, policies: [] } }"),
        (
            "timezone: UTC",
            "timezone: UTC\n    growth: { scaleUp: { policies: [{ type: Pods, value: 0, periodSeconds: 3600 }, { type: Pods }] } }",
        ),
        ("targets:", "server: { grpc: '0.0.0.0:8080' }\ntargets:"),
        ("targets:", "server: { grpc: 'unix://run/grpc.sock' }\ntargets:"),
        ("targets:", "server: { grpc: 'unix:/run/grpc.sock' }\ntargets:"),
        ("targets:", "server: { grpc: 'unix:///run/tidetable/' }\ntargets:"),
        ("targets:", "server: { http: 'unix:///run/http.sock' }\ntargets:"),
        ("targets:", "server: { tls: {} }\ntargets:"),
        ("targets:", "server: { tls: { cert: '', key: /k, ca: /c } }\ntargets:"),
        ("targets:", "server: { tls: { cert: /c, key: /k, clientCa: '' } }\ntargets:"),
        ("targets:", "server: { tls: { cert: /c, key: /k, allowedNames: [keda] } }\ntargets:"),
        ("targets:", "server: { tls: { cert: /c, key: /k, clientCa: /a, allowedNames: [] } }\ntargets:"),
        (
            "targets:",
            "server: { tls: { cert: /c, key: /k, clientCa: /a, allowedNames: ['*.keda.svc', 10.0.0.1, 'a b', '', a..b, 'spiffe://'] } }\ntargets:",
        ),
        ("timezone: UTC", "timezone: UTC\n    step: 5m\n    perReplica: 3"),
        ("replicas: { min: 3, max: 200 }", "replicas: "),
        ("targets:", "history: {}\ntargets:"),
        ("targets:", "history: { retention: 12h }\ntargets:"),
        ("targets:", "history: { archive: /var/lib/tidetable, retention: 12h }\ntargets:"),
        ("targets:", "history: { archive: file://var/lib/tidetable, retention: 20000d }\ntargets:"),
        ("targets:", "history: { archive: 's3://key:hunter2@bucket/history' }\ntargets:"),
        ("targets:", "history: { archive: 'ftp://host/history' }\ntargets:"),
        ("targets:", "history: { archive: file:///history#1 }\ntargets:"),
        ("targets:", "history: { archive: 'file:///', retain: 3d }\ntargets:"),
        ("payments/api", "payments/API"),
        ("  api:", "  a-name-of-sixty-characters-is-one-too-many-for-a-metric-namex:"),
    ];
    let said = mistakes.map(|(from, to)| complaints(&smallest_with(from, to)));
    assert_snapshot!("remedies", said.join("\n"));
}

#[test]
fn what_belongs_to_a_target_and_stands_elsewhere_is_sent_there_and_not_taken_for_unknown() {
    for (from, to) in [
        ("max: 200 }", "max: 200, growth: { podsPerMinute: 4 } }"),
        ("max: 200 }", "max: 200, exclude: [] }"),
        ("targets:", "growth: { podsPerMinute: 4 }\ntargets:"),
    ] {
        let said = complaints(&smallest_with(from, to));
        assert!(said.contains("; it belongs under targets.NAME, beside replicas"), "{said}");
    }
}

#[test]
fn each_value_of_a_source_and_of_a_shared_query_has_its_own_remedy() {
    let url = "url: http://prometheus:9090";
    let mistakes = [
        (url, "url: http://p, method: put"),
        (url, "url: http://p, parameters: { dedup: true, step: 5s, '': a }"),
        (url, "url: http://p, concurrency: 0, queriesPerSecond: 20000"),
        (url, "url: http://p, tls: { ca: /ca.crt }"),
        (url, "url: https://p, tls: {}"),
        (url, "url: https://p, tls: { cert: /tls.crt }"),
        (url, "url: https://p, tls: { key: /tls.key, ca: '' }"),
        (url, "url: https://p, tls: { caFile: /ca.crt }"),
        ("query: up", "query: up, value: api"),
        ("query: up", "query: up, by: 'a-b'"),
        ("query: up", "query: up, by: deployment, value: ''"),
        ("query: up", "query: up, by: [deployment]"),
    ];
    let said = mistakes.map(|(from, to)| complaints(&smallest_with(from, to)));
    assert_snapshot!("remedies_of_sources", said.join("\n"));
}

#[test]
fn a_target_may_have_several_demands_with_capacities_of_their_own() {
    let demands = "demand:
      - { source: main, query: requests, name: requests, unit: rps, capacity: { perReplica: 50 } }
      - { source: main, query: queued, step: 5m, unit: jobs }";
    let config = parse(&smallest_with("demand: { source: main, query: up }", demands));
    let target = &config.targets[0];
    let said: Vec<_> =
        target.demands.iter().map(|demand| (&*demand.name, demand.capacity.get(), &*demand.unit)).collect();
    assert_eq!(said, [("requests", 50.0, "rps"), ("demand-2", 120.0, "jobs")]);
    assert_eq!(target.policy.guard.stale_after, Duration::from_secs(900), "three of the coarsest step");
    assert_eq!(parse(&config.effective()), config);
}

#[test]
fn each_mistake_of_several_demands_has_its_own_remedy() {
    let one = "demand: { source: main, query: up }";
    let capacity = "capacity: { perReplica: 120 }\n";
    let list =
        |second: &str| format!("demand: [{{ source: main, query: up }}, {{ source: main, {second} }}]");
    let mistakes = [
        smallest_with(one, &list("query: up")),
        smallest_with(one, &list("query: down, name: demand-1")),
        smallest_with(one, &list("query: down, name: Down")),
        smallest_with(one, &list("query: down, capacity: { perReplica: 0 }")),
        smallest_with(one, &list("query: down, capacity: {}")),
        smallest_with(one, &list("query: down, capacity: { perReplica: 1 }")).replace(capacity, "\n"),
        smallest_with(capacity, "\n"),
    ];
    assert_snapshot!("remedies_of_demands", mistakes.map(|text| complaints(&text)).join("\n"));
}

#[test]
fn a_source_may_say_everything_and_a_query_may_be_shared() {
    let text = smallest_with(
        "url: http://prometheus:9090",
        "url: https://thanos:9090, method: get, concurrency: 4, queriesPerSecond: 20, \
         parameters: { dedup: 'true', max_source_resolution: 0s }, \
         tls: { ca: /tls/ca.crt, cert: /tls/tls.crt, key: /tls/tls.key }",
    );
    let shared = "query: 'sum by (deployment) (rate(tx_total[2m]))', by: deployment";
    let config = config::parse("tidetable.yaml", &text.replace("query: up", shared)).expect("legal");
    let label = config.targets[0].demands[0].label.as_ref().expect("a label");
    assert_eq!((label.name.as_str(), label.content.as_str()), ("deployment", "api"), "the target's own name");
    let effective = config.effective();
    assert_snapshot!("effective_shared", effective);
    assert_eq!(config::parse("effective.yaml", &effective), Ok(config));
}

#[test]
fn aliases_and_merges_are_welcome_and_bombs_are_not() {
    let text =
        smallest_with("api:", "api: &api") + "  other:\n    <<: *api\n    scaledObject: payments/other\n";
    assert_eq!(config::parse("tidetable.yaml", &text).expect("a merge").targets.len(), 2);

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("a String takes all that is written");
    }
    assert!(config::parse("tidetable.yaml", &bomb).is_err());
    assert!(config::parse("tidetable.yaml", &"[".repeat(100_000)).is_err());
    assert!(config::parse("tidetable.yaml", &" ".repeat(2 << 20)).is_err());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = config::load(Path::new("/nowhere/tidetable.yaml")).expect_err("no such file");
    assert!(matches!(missing, Error::Read { .. }) && missing.to_string().contains("/nowhere/tidetable.yaml"));

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("latin1.yaml");
    std::fs::write(&path, b"targets: { caf\xe9: 1 }").expect("a file");
    assert!(config::load(&path).expect_err("latin 1").to_string().ends_with("is not UTF-8 text"));
}

#[test]
fn the_committed_schema_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json");
    let fresh = format!("{:#}\n", config::schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &fresh).expect("the schema");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "the schema is stale; run UPDATE_SCHEMA=1 cargo nextest run schema and commit it"
    );
}

/// A duration as a hurried human might write it.
fn duration(least: u64, most: u64) -> impl Strategy<Value = String> {
    (least..=most).prop_map(hurried)
}

fn hurried(seconds: u64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}min", s / 60),
        s => format!("{s}s"),
    }
}

/// Every step that goes into a minute or a day.
fn step() -> impl Strategy<Value = String> {
    let whole = |seconds: &u64| if *seconds < 60 { 60 % seconds == 0 } else { 86_400 % seconds == 0 };
    prop::sample::select((1..=86_400).filter(whole).map(hurried).collect::<Vec<_>>())
}

prop_compose! {
    fn legal_text()(
        name in "[a-z0-9-]{1,59}", query in "[ -~]{0,100}[!-~]", unit in "\\PC{0,20}", header in "[!-~]{0,20}",
        capacity in 1e-6..1e9, min in 0_u32..500, more in 1_u32..500, quantile in 0.5..=0.999,
        lead in duration(1, 21_600), step in step(), stale in duration(30, 86_400),
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]), listed in any::<bool>(), active in any::<bool>(),
        file in "[ -~]{1,30}", retention in 1_u32..3000, archived in any::<bool>(),
        socket in any::<bool>(), mutual in any::<bool>(),
        names in prop::collection::vec("[a-z0-9]{1,9}(\\.[A-Za-z]{1,9}){1,3}|spiffe://[!-)+-~]{1,20}", 1..4),
    ) -> serde_json::Value {
        let demand = serde_json::json!({ "source": "main", "query": query, "unit": unit, "step": step, "history": "20d" });
        let prometheus = serde_json::json!({
            "url": "https://prometheus:9090/a", "headers": { "X-A": header }, "auth": { "bearerTokenFile": file },
        });
        let mut targets = serde_json::Map::new();
        targets.insert(name, serde_json::json!({
            "scaledObject": "payments/api",
            "demand": if listed { serde_json::json!([demand]) } else { demand },
            "capacity": { "perReplica": capacity },
            "replicas": { "min": min, "max": min + more },
            "leadTime": lead,
            "timezone": zone.name(),
            "objective": { "quantile": quantile },
            "mode": if active { "active" } else { "shadow" },
            "staleAfter": stale,
        }));
        let tls = if mutual {
            serde_json::json!({ "cert": file, "key": file, "clientCa": file, "allowedNames": names })
        } else {
            serde_json::json!({ "cert": file, "key": file })
        };
        let server = if socket {
            serde_json::json!({ "grpc": format!("unix:///run/{header}s"), "tls": tls })
        } else {
            serde_json::json!({ "grpc": "[::]:0", "tls": tls })
        };
        let mut raw = serde_json::json!({ "server": server, "sources": { "main": { "prometheus": prometheus } }, "targets": targets });
        if archived {
            let folder = format!("file:///var/lib/tide%20table/{retention}");
            raw["history"] = serde_json::json!({ "archive": folder, "retention": format!("{retention}d") });
        }
        raw
    }
}

/// One edit of a file, by a human who is in a hurry or by a disk that is ill.
fn edited(text: &str, place: usize, edit: u8, scrap: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (line, mut edited) = (place % lines.len(), lines.clone());
    let replaced;
    match edit {
        0 => drop(edited.remove(line)),
        1 => edited.insert(line, lines[place / 7 % lines.len()]),
        2 => edited.insert(line, scrap),
        3 => edited.truncate(line),
        _ => {
            let key = lines[line].split_once(": ").map_or("", |(key, _)| key);
            replaced = format!("{key}: {scrap}");
            edited[line] = &replaced;
        }
    }
    edited.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_effective_configuration_reads_back_as_the_same(raw in legal_text()) {
        let config = config::parse("tidetable.yaml", &raw.to_string()).expect("legal");
        let effective = config.effective();
        let again = config::parse("effective.yaml", &effective);
        prop_assert_eq!(again.as_ref(), Ok(&config), "{}", effective);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|[-a-z0-9:#&*!|>'\"%@`{}\\[\\], \n\t]{0,200}") {
        let _ = config::parse("tidetable.yaml", &text);
    }

    #[test]
    fn an_edited_configuration_is_accepted_or_complained_of(
        edits in prop::collection::vec(
            (any::<usize>(), 0_u8..6, prop_oneof![
                prop::sample::select(vec![
                    "~", "{}", "[]", "[1]", "{ a: 1 }", ".nan", "-.inf", "1e999", "-1", "0", "true", "''", "*x", "&x y",
                    "!!binary aGk=", "!!int x", "18446744073709551616", "340282366920938463463374607431768211456",
                    "99999999999999999y", "0x7f", "|", "- a", "<<: 5", "\u{feff}", "60s", "1s", "main",
                ]).prop_map(str::to_owned),
                "[ -~]{0,20}",
            ]), 1..4),
        of_mistakes in any::<bool>(),
    ) {
        let start = if of_mistakes { MISTAKES } else { PAYMENTS }.to_owned();
        let text = edits.into_iter().fold(start, |text, (place, edit, scrap)| {
            if text.is_empty() { text } else { edited(&text, place, edit, &scrap) }
        });
        match config::parse("tidetable.yaml", &text) {
            Ok(config) => {
                prop_assert!(!config.targets.is_empty() && !config.sources.is_empty());
                for target in &config.targets {
                    prop_assert!(target.policy.guard.min <= target.policy.guard.max);
                    prop_assert!(!target.demands.is_empty());
                    for demand in &target.demands {
                        prop_assert!(config.sources.contains_key(&demand.source));
                    }
                }
                prop_assert_eq!(config::parse("effective.yaml", &config.effective()), Ok(config));
            }
            Err(complaints) => {
                prop_assert!(complaints.iter().all(|complaint| !complaint.message.is_empty()));
                let long = complaints.to_string().lines().any(|line| line.len() > 2000);
                prop_assert!(!long);
            }
        }
    }
}
