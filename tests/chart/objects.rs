//! What single values do.

use super::*;
use crate::render::{production, refusals, rendered, smallest};

fn one(case: Case) -> Objects {
    rendered(&[case]).remove(0)
}

fn arguments(objects: &Objects) -> Vec<&str> {
    let arguments = objects.pod()["spec"]["containers"][0]["args"].as_array().unwrap();
    arguments.iter().map(|argument| argument.as_str().unwrap()).collect()
}

#[test]
fn two_replicas_stand_behind_a_headless_service_and_go_one_by_one() {
    let objects = one(smallest("the smallest", json!({})));
    let workload = objects.workload();
    assert_eq!((&workload["kind"], &workload["spec"]["replicas"]), (&json!("Deployment"), &json!(2)));
    assert_eq!(workload["spec"]["strategy"]["rollingUpdate"], json!({ "maxUnavailable": 0, "maxSurge": 1 }));
    assert_eq!(objects.one("Service")["spec"]["clusterIP"], "None");
    assert_eq!(objects.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    let spec = &objects.pod()["spec"];
    assert_eq!(spec["terminationGracePeriodSeconds"], 35);
    assert_eq!(spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 5);
    assert_eq!(
        spec["containers"][0]["image"],
        format!("registry.example/tidetable:{}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(
        arguments(&objects),
        [
            "serve",
            "--config=/etc/tidetable/tidetable.yaml",
            "--grpc=0.0.0.0:50051",
            "--http=0.0.0.0:8080",
            "--log-level=info",
            "--log-format=json",
        ]
    );
}

#[test]
fn serve_takes_the_arguments_of_the_chart() {
    // A file that is not there is the first thing that `serve` looks for, after its arguments.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidetable"))
        .env_clear()
        .args(arguments(&one(smallest("IPv6", json!({ "bindAddress": "[::]" })))))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/etc/tidetable/tidetable.yaml"), "{said}");
}

#[test]
fn history_lives_where_archive_says() {
    let none = one(smallest("none", json!({})));
    assert!(!none.config().contains("history"));

    let shared = one(smallest("shared", json!({ "archive": { "kind": "shared", "retention": "400d" } })));
    let claim = shared.one("PersistentVolumeClaim");
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteMany"]));
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let config = tidetable::config::parse("tidetable.yaml", shared.config()).unwrap();
    let history = config.history.unwrap();
    assert_eq!(history.archive, Path::new("/var/lib/tidetable"));
    assert_eq!(history.retention.as_secs(), 400 * 86_400);
    let mounts = shared.pod()["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(&json!({ "name": "archive", "mountPath": "/var/lib/tidetable" })));

    let own = one(smallest("own", json!({ "archive": { "kind": "shared", "existingClaim": "history" } })));
    assert!(own.all("PersistentVolumeClaim").is_empty());
    let volumes = own.pod()["spec"]["volumes"].as_array().unwrap();
    let claim = json!({ "name": "archive", "persistentVolumeClaim": { "claimName": "history" } });
    assert!(volumes.contains(&claim), "{volumes:?}");

    let each = one(smallest("each", json!({ "archive": { "kind": "perReplica" } })));
    let spec = &each.one("StatefulSet")["spec"];
    assert_eq!(spec["serviceName"], "tidetable");
    assert_eq!(spec["volumeClaimTemplates"][0]["spec"]["accessModes"], json!(["ReadWriteOnce"]));
}

#[test]
fn a_changed_target_restarts_nothing_and_a_changed_archive_does() {
    let target = json!({ "config": { "targets": { "payments-api": { "mode": "active" } } } });
    let cases = [
        smallest("as it is", json!({})),
        smallest("another mode", target),
        smallest("another archive", json!({ "archive": { "kind": "shared" } })),
    ];
    let annotations: Vec<_> =
        rendered(&cases).iter().map(|objects| objects.pod()["metadata"]["annotations"].clone()).collect();
    assert_eq!(annotations[0], annotations[1]);
    assert_ne!(annotations[0], annotations[2]);
}

#[test]
fn a_certificate_holds_the_host_that_keda_dials() {
    let objects = one(production("production", json!({})));
    let spec = &objects.one("Certificate")["spec"];
    assert_eq!(objects.one("Certificate")["apiVersion"], "cert-manager.io/v1");
    assert_eq!(spec["dnsNames"], json!(["tidetable.scaling.svc", "tidetable.scaling.svc.cluster.local"]));
    assert_eq!(
        spec["issuerRef"],
        json!({ "name": "platform", "kind": "ClusterIssuer", "group": "cert-manager.io" })
    );
    let volumes = objects.pod()["spec"]["volumes"].as_array().unwrap();
    let secret = json!({ "name": "tls", "secret": { "secretName": spec["secretName"] } });
    assert!(volumes.contains(&secret), "{volumes:?}");
    let config = tidetable::config::parse("tidetable.yaml", objects.config()).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/var/run/secrets/tidetable-tls/tls.crt"));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/var/run/secrets/tidetable-tls/ca.crt")));
    assert_eq!(tls.allowed_names, ["keda-operator.keda.svc"]);

    let plain = json!({ "tls": { "mode": "secret", "secretName": "own", "clientCertificates": false } });
    let objects = one(smallest("without client certificates", plain));
    assert!(objects.all("Certificate").is_empty());
    let config = tidetable::config::parse("tidetable.yaml", objects.config()).unwrap();
    assert_eq!(config.tls.unwrap().client_ca, None);
}

#[test]
fn only_keda_asks_only_monitoring_scrapes_and_out_goes_what_is_named() {
    let namespace = |name: &str| json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } } });
    let tcp = |port: Value| json!({ "port": port, "protocol": "TCP" });
    let objects = one(smallest("the smallest", json!({})));
    let spec = &objects.one("NetworkPolicy")["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        spec["ingress"],
        json!([
            { "from": [namespace("keda")], "ports": [tcp(json!("grpc"))] },
            { "from": [namespace("monitoring")], "ports": [tcp(json!("http"))] },
        ])
    );
    let dns = json!({ "to": [namespace("kube-system")], "ports": [{ "port": 53, "protocol": "UDP" }, tcp(json!(53))] });
    let source = json!({ "to": [namespace("monitoring")], "ports": [tcp(json!(9090))] });
    assert_eq!(spec["egress"], json!([dns, source]));

    let objects = one(production("production", json!({})));
    let api_server = json!({ "ports": [tcp(json!(443)), tcp(json!(6443))] });
    let mimir = json!({ "to": [{ "ipBlock": { "cidr": "10.20.0.0/16" } }], "ports": [tcp(json!(443))] });
    assert_eq!(objects.one("NetworkPolicy")["spec"]["egress"], json!([dns, api_server, mimir]));
}

#[test]
fn a_token_is_mounted_and_a_right_asked_for_only_to_read_the_cluster_and_to_tell_what_becomes_of_events() {
    let off = one(smallest("off", json!({})));
    assert_eq!(off.pod()["spec"]["automountServiceAccountToken"], false);
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert!(off.all(kind).is_empty(), "{kind}");
    }

    let some = one(production("two namespaces", json!({})));
    assert_eq!(some.pod()["spec"]["automountServiceAccountToken"], true);
    assert!(some.all("ClusterRole").is_empty() && some.all("ClusterRoleBinding").is_empty());
    let roles: Vec<_> = some.all("Role").iter().map(|role| &role["metadata"]).map(named).collect();
    let expected = [("scaling", "tidetable-lease"), ("payments", "tidetable"), ("settlement", "tidetable")];
    assert_eq!(roles, expected.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())));
    for binding in some.all("RoleBinding") {
        let account = json!([{ "kind": "ServiceAccount", "name": "tidetable", "namespace": "scaling" }]);
        assert_eq!(binding["subjects"], account);
    }

    let all = one(smallest("everywhere", json!({ "cluster": { "enabled": true } })));
    assert!(all.all("Role").len() == 1 && all.all("RoleBinding").len() == 1, "of the Lease");
    let rules = |role: &Value| role["rules"].as_array().unwrap().clone();
    let everywhere = rules(all.one("ClusterRole"));
    assert_eq!(rules(some.all("Role")[1]), everywhere, "the same in a namespace as in all");
    for rule in &everywhere {
        let resources = rule["resources"].as_array().unwrap();
        assert!(!resources.contains(&json!("secrets")) && !resources.contains(&json!("*")), "{rule}");
    }
    // What can change something, all of it.
    let reads = ["get", "list", "watch"].map(Value::from);
    let writes = |rules: Vec<Value>| {
        let writing = rules
            .into_iter()
            .filter(|rule| !rule["verbs"].as_array().unwrap().iter().all(|verb| reads.contains(verb)));
        writing.collect::<Vec<_>>()
    };
    let expected = [
        json!({ "apiGroups": ["tidetable.dev"], "resources": ["surgeevents/status"], "verbs": ["patch"] }),
        json!({ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] }),
    ];
    assert_eq!(writes(everywhere), expected);
    let lease = |verbs: Value| json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs });
    let mut own = lease(json!(["get", "update"]));
    own["resourceNames"] = json!(["tidetable"]);
    assert_eq!(writes(rules(all.one("Role"))), [lease(json!(["create"])), own]);
    // The Lease that may be had is the one that is asked for.
    assert!(arguments(&all).contains(&"--lease=tidetable"), "{:?}", arguments(&all));
    assert!(!arguments(&off).iter().any(|argument| argument.starts_with("--lease")));
}

/// Namespace and name.
fn named(metadata: &Value) -> (String, String) {
    let text = |key: &str| metadata[key].as_str().unwrap().to_owned();
    (text("namespace"), text("name"))
}

#[test]
fn no_secret_comes_near_a_config_map() {
    let objects = one(production("production", json!({})));
    assert!(objects.all("Secret").is_empty());
    let config = objects.config();
    assert!(config.contains("passwordFile: /var/run/secrets/mimir/password"), "{config}");
    let volumes = objects.pod()["spec"]["volumes"].as_array().unwrap();
    let secret = json!({ "name": "secret-mimir", "secret": { "secretName": "mimir-credentials" } });
    assert!(volumes.contains(&secret), "{volumes:?}");

    let source = |settings: Value| json!({ "config": { "sources": { "main": { "prometheus": settings } } } });
    let refusals = refusals(&[
        smallest(
            "a password",
            source(json!({ "auth": { "basic": { "username": "u", "password": "hunter2" } } })),
        ),
        smallest("a token", source(json!({ "headers": { "authorization": "Bearer hunter2" } }))),
    ]);
    assert!(refusals[0].contains("password"), "{}", refusals[0]);
    assert!(refusals[1].contains("use auth, with the secret in a file"), "{}", refusals[1]);
}

#[test]
fn scrapes_find_the_port_by_its_name() {
    let objects = one(production("production", json!({})));
    let monitor = objects.one("ServiceMonitor");
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(monitor["metadata"]["labels"]["release"], "kube-prometheus-stack");
    let service = objects.one("Service");
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    for (name, wanted) in selector {
        assert_eq!(&service["metadata"]["labels"][name], wanted);
    }
    let port = &monitor["spec"]["endpoints"][0]["port"];
    assert!(service["spec"]["ports"].as_array().unwrap().iter().any(|each| each["name"] == *port));
}
