//! The configuration file as it is written: texts, numbers and options, nothing checked.
//!
//! These types are the file's one description: the JSON schema is generated from them, doc comments and examples
//! included, and complaints quote it. Every field is an `Option`, also where the schema demands a value, so that a file
//! with mistakes can still be read and each of its other keys checked. A key that nothing reads has no place here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::models::raw as models;
use crate::units;

/// The configuration of tidetable: where to listen, where measurements come from and what is to be scaled.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "tidetable configuration")]
pub(super) struct Config {
    /// Where tidetable listens.
    pub(super) server: Option<Server>,
    /// Where measurements are kept for longer than their source keeps them; only in memory unless given.
    pub(super) history: Option<History>,
    /// A folder with calendars/NAME.yaml and profiles/NAME.yaml beside those shipped; of one name, the file here counts.
    #[schemars(example = &"/etc/tidetable/models")]
    pub(super) models: Option<String>,
    /// Calendars beside those shipped, by a name of your choice, and changes to those shipped, which extend their own name.
    pub(super) calendars: Option<BTreeMap<String, models::Calendar>>,
    /// Events that were announced: launches, sales, load tests.
    pub(super) events: Option<Vec<Event>>,
    /// Files of further events, which are read again when they change.
    pub(super) event_files: Option<Vec<EventFile>>,
    /// Metrics sources, by a name of your choice that targets refer to.
    #[schemars(required, extend("minProperties" = 1))]
    pub(super) sources: Option<BTreeMap<String, Source>>,
    /// What is scaled, by the name that the trigger metadata of a ScaledObject carries: 1 to 59 of a-z, 0-9 and "-".
    #[schemars(required, extend("minProperties" = 1))]
    pub(super) targets: Option<BTreeMap<String, Target>>,
}

/// Where tidetable listens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Server {
    /// Address for KEDA's gRPC calls, or a socket in the file system; 0.0.0.0:50051 unless given.
    #[schemars(example = &"0.0.0.0:50051", example = &"unix:///run/tidetable/grpc.sock")]
    pub(super) grpc: Option<String>,
    /// Address for pages, metrics and health; 0.0.0.0:8080 unless given.
    #[schemars(example = &"0.0.0.0:8080")]
    pub(super) http: Option<String>,
    /// TLS for the gRPC calls; plaintext unless given.
    pub(super) tls: Option<Tls>,
}

/// TLS for the gRPC calls. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tls {
    /// PEM file with the server's certificate, which must hold the host of scalerAddress as a name, and its intermediates.
    #[schemars(required, example = &"/var/run/secrets/tidetable/tls.crt")]
    pub(super) cert: Option<String>,
    /// PEM file with the certificate's private key.
    #[schemars(required, example = &"/var/run/secrets/tidetable/tls.key")]
    pub(super) key: Option<String>,
    /// PEM file with the authorities whose client certificates are taken; nobody is asked for one unless given.
    #[schemars(example = &"/var/run/secrets/tidetable/ca.crt")]
    pub(super) client_ca: Option<String>,
    /// DNS names and URIs of which a client's certificate must hold one, exactly; any of the authorities' unless given.
    #[schemars(extend("minItems" = 1))]
    pub(super) allowed_names: Option<Vec<String>>,
}

/// Where measurements are kept for longer than their source keeps them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct History {
    /// The folder of the archive, on a persistent volume.
    #[schemars(required, example = &"file:///var/lib/tidetable")]
    pub(super) archive: Option<String>,
    /// Days wholly older than this are removed; 800d unless given.
    #[schemars(example = &"800d")]
    pub(super) retention: Option<String>,
}

/// A metrics source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    /// Prometheus, or anything that speaks its HTTP API.
    #[schemars(required)]
    pub(super) prometheus: Option<Prometheus>,
}

/// Prometheus, or anything that speaks its HTTP API.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Prometheus {
    /// Base URL with its path prefix, to which /api/v1/... is appended; without user, password, query or fragment. Thanos
    /// has no prefix, Mimir has /prometheus, a cluster of `VictoriaMetrics` /select/0/prometheus and Google Managed
    /// Prometheus /v1/projects/PROJECT/location/global/prometheus.
    #[schemars(required, example = &"http://prometheus.monitoring:9090")]
    pub(super) url: Option<String>,
    /// Parameters to send with each request, such as `dedup: "true"`, `partial_response: "false"` and
    /// `max_source_resolution: 0s` for Thanos, or `nocache: "1"` for `VictoriaMetrics`.
    pub(super) parameters: Option<BTreeMap<String, String>>,
    /// How a query is sent; auto unless given.
    pub(super) method: Option<Method>,
    /// Whom to trust and what to show, on https; the system's authorities and nothing unless given.
    pub(super) tls: Option<ClientTls>,
    /// How to log in; not at all unless given.
    pub(super) auth: Option<Auth>,
    /// Headers to send with each request, such as X-Scope-OrgID.
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// Patience with one request; 10s unless given.
    #[schemars(example = &"10s")]
    pub(super) timeout: Option<String>,
    /// A larger answer is refused; 67108864 (64 MiB) unless given.
    #[schemars(example = 67_108_864)]
    pub(super) max_body_bytes: Option<u64>,
    /// The most requests under way at once; 16 unless given, of which history takes half.
    #[schemars(example = 16, extend("minimum" = 1, "maximum" = 1000))]
    pub(super) concurrency: Option<u32>,
    /// The most requests begun in a second; without a limit unless given.
    #[schemars(example = 20, extend("minimum" = 1, "maximum" = 10_000))]
    pub(super) queries_per_second: Option<u32>,
}

/// How a query is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Method {
    /// By POST, and by GET when the server, or a proxy before it, allows no POST.
    Auto,
    /// By POST, however long the query.
    Post,
    /// By GET, as read-only proxies want it.
    Get,
}

/// Whom to trust and what to show, on https. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClientTls {
    /// PEM file with the only authorities that are trusted; the system's own unless given.
    #[schemars(example = &"/var/run/secrets/prometheus/ca.crt")]
    pub(super) ca: Option<String>,
    /// PEM file with our certificate and its chain; with key.
    #[schemars(example = &"/var/run/secrets/prometheus/tls.crt")]
    pub(super) cert: Option<String>,
    /// PEM file with the certificate's private key; with cert.
    #[schemars(example = &"/var/run/secrets/prometheus/tls.key")]
    pub(super) key: Option<String>,
}

/// How to log in: exactly one of the ways. Secrets are read from files, never written here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Auth {
    /// File that holds a bearer token.
    #[schemars(example = &"/var/run/secrets/prometheus/token")]
    pub(super) bearer_token_file: Option<String>,
    /// User name and password.
    pub(super) basic: Option<Basic>,
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Basic {
    /// The user name.
    #[schemars(required)]
    pub(super) username: Option<String>,
    /// File that holds the password.
    #[schemars(required, example = &"/var/run/secrets/prometheus/password")]
    pub(super) password_file: Option<String>,
}

/// Something that is scaled.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Target {
    /// The one ScaledObject that may ask for this target, as namespace/name.
    #[schemars(required, example = &"payments/payments-api")]
    pub(super) scaled_object: Option<String>,
    /// What it is called by beside its name, so that an event can be meant for all that are alike; none unless given.
    #[schemars(example = &serde_json::json!({ "team": "payments" }))]
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// What is measured: one demand, or a list of which the one that needs the most replicas decides.
    #[schemars(required)]
    pub(super) demand: Option<Demands>,
    /// What a replica bears of each demand that does not say so itself.
    pub(super) capacity: Option<Capacity>,
    /// Never fewer and never more.
    #[schemars(required)]
    pub(super) replicas: Option<Replicas>,
    /// From asking for a pod to the pod being ready; auto: as the cluster shows it, and 2m until it has; 2m unless given.
    #[schemars(example = &"90s", example = &"auto")]
    pub(super) lead_time: Option<String>,
    /// The customers' wall clock, which daily and weekly seasons follow, as an IANA zone.
    #[schemars(required, example = &"America/New_York")]
    pub(super) timezone: Option<String>,
    /// Business calendars it listens to, shipped or of your own; none unless given.
    pub(super) calendars: Option<Vec<String>>,
    /// Spans of history that are not to be learned from, such as load tests and incidents; none unless given.
    pub(super) exclude: Option<Vec<Exclusion>>,
    /// How sure to be: a quantile, or the two costs it follows from; quantile 0.95 unless given.
    pub(super) objective: Option<Objective>,
    /// Whether the forecast moves replicas; shadow unless given.
    pub(super) mode: Option<Mode>,
    /// How fast replicas can climb, which says how early a climb must begin.
    pub(super) growth: Option<Growth>,
    /// What the load that is there may do; reactive unless given.
    pub(super) floor: Option<Floor>,
    /// How an answer gets past the tolerance of the HPA; auto unless given.
    pub(super) tolerance: Option<Tolerance>,
    /// The tolerance of an HPA that says none itself, where the mode is not exact; 0.1 unless given, as the controller's is.
    #[schemars(example = 0.1)]
    pub(super) hpa_tolerance: Option<f64>,
    /// A need counts for this long, so that one low reading takes no pods away; 60s unless given.
    #[schemars(example = &"60s")]
    pub(super) scale_down_hold: Option<String>,
    /// A measurement older than this is stale; 2m or three steps, the longer of the two, unless given.
    #[schemars(example = &"2m")]
    pub(super) stale_after: Option<String>,
}

/// A span of history that is not to be learned from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Exclusion {
    /// Its first instant, with its offset from UTC.
    #[schemars(required, example = &"2026-03-02T10:00:00Z")]
    pub(super) from: Option<String>,
    /// The instant it is over; give the query's range on top, for a rate remembers that long.
    #[schemars(required, example = &"2026-03-02T12:00:00Z")]
    pub(super) to: Option<String>,
    /// Why, for people.
    #[schemars(required, example = &"load test")]
    pub(super) why: Option<String>,
}

/// One demand, or a list; which of the two is remembered, because paths of complaints follow the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Demands {
    One(Box<Demand>),
    List(Vec<Demand>),
}

/// What is measured, where and how finely.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Demand {
    /// What it is called in reasons and metrics, where there are several; demand-1, demand-2 and so on unless given.
    #[schemars(example = &"card-payments")]
    pub(super) name: Option<String>,
    /// The name of one of the sources.
    #[schemars(required, example = &"main")]
    pub(super) source: Option<String>,
    /// The query, which gives one series; a rate's range should span four scrapes or more.
    #[schemars(required, example = &"sum(rate(payment_transactions_total[2m]))")]
    pub(super) query: Option<String>,
    /// The label that tells targets apart when the query gives a series for each, as in
    /// `sum by (deployment) (rate(tx_total[2m]))`; it is then asked once for all targets with the same source, query and step.
    #[schemars(example = &"deployment")]
    pub(super) by: Option<String>,
    /// What that label holds for this target; the target's name unless given.
    #[schemars(example = &"payments-api")]
    pub(super) value: Option<String>,
    /// Spacing of the measurements; 1m unless given.
    #[schemars(example = &"1m")]
    pub(super) step: Option<String>,
    /// The unit of the load, for people; "load" unless given.
    #[schemars(example = &"tx/s")]
    pub(super) unit: Option<String>,
    /// How long after its end a measurement may still change; two steps, at least 30s and at most 2m, unless given.
    #[schemars(example = &"2m")]
    pub(super) settle_lag: Option<String>,
    /// How much of the past to ask for at start; 56d unless given, and what the source has not is simply not there.
    #[schemars(example = &"56d")]
    pub(super) history: Option<String>,
    /// What a replica bears of this demand; the target's capacity unless given.
    pub(super) capacity: Option<Capacity>,
}

/// An event that was announced.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Event {
    /// What it is called; events of one name are learned together.
    #[schemars(required, example = &"phone launch")]
    pub(super) name: Option<String>,
    /// The targets whose demand it moves; every target's unless these or labels are given.
    #[schemars(extend("minItems" = 1))]
    pub(super) targets: Option<Vec<String>>,
    /// It moves every target that bears all of these, beside those that are named.
    #[schemars(extend("minProperties" = 1), example = &serde_json::json!({ "team": "payments" }))]
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// When it begins: a local time of its timezone, or an instant.
    #[schemars(required, example = &"2026-11-27T11:00:00", example = &"2026-11-27T05:30:00Z")]
    pub(super) at: Option<String>,
    /// The IANA zone of its local times.
    #[schemars(example = &"Asia/Kolkata")]
    pub(super) timezone: Option<String>,
    /// The profile whose shape and prior it has where it does not say its own; the shape of flash-sale, and no prior, unless
    /// given.
    #[schemars(example = &"flash-sale")]
    pub(super) profile: Option<String>,
    /// How many times the usual demand is expected; that of its profile, or what earlier events of its name did, unless given.
    pub(super) uplift: Option<models::Uplift>,
    /// The demand it is expected to peak at, in the query's unit, instead of an uplift.
    #[schemars(example = 12_000)]
    pub(super) peak: Option<f64>,
    /// How long before it begins demand begins to grow; that of its profile unless given.
    #[schemars(example = &"5m")]
    pub(super) lead: Option<String>,
    /// How long demand grows; that of its profile unless given.
    #[schemars(example = &"5m")]
    pub(super) ramp: Option<String>,
    /// How long demand stays; that of its profile unless given.
    #[schemars(example = &"45m")]
    pub(super) hold: Option<String>,
    /// How long demand fades; that of its profile unless given.
    #[schemars(example = &"2h")]
    pub(super) decay: Option<String>,
    /// Who answers for it.
    #[schemars(example = &"growth")]
    pub(super) owner: Option<String>,
    /// The change it belongs to.
    #[schemars(example = &"CHG-1432")]
    pub(super) ticket: Option<String>,
    /// Called off: it has not happened and will not; no unless given.
    pub(super) cancelled: Option<bool>,
    /// When it ended before its time, as at is written: nothing of it is left from there on.
    #[schemars(example = &"2026-11-27T11:20:00")]
    pub(super) cut_short: Option<String>,
}

/// A file of events: .ics, .csv or .yaml.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EventFile {
    /// The file: an iCalendar (.ics), a table (.csv) or a list as under events (.yaml).
    #[schemars(required, example = &"/etc/tidetable/launches.ics")]
    pub(super) file: Option<String>,
    /// The targets whose demand its events move, where they do not say so; every target's unless these or labels are given.
    #[schemars(extend("minItems" = 1))]
    pub(super) targets: Option<Vec<String>>,
    /// Its events move every target that bears all of these, where they do not say so.
    #[schemars(extend("minProperties" = 1), example = &serde_json::json!({ "team": "payments" }))]
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// The zone of local times that do not say theirs.
    #[schemars(example = &"Europe/London")]
    pub(super) timezone: Option<String>,
    /// The profile of events that do not say theirs.
    #[schemars(example = &"flash-sale")]
    pub(super) profile: Option<String>,
    /// The profile of each category of an iCalendar; a category that is called like a profile needs no entry.
    pub(super) categories: Option<BTreeMap<String, String>>,
}

/// What a replica bears.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Capacity {
    /// Load that one replica bears within its service-level objective, in the query's unit.
    #[schemars(required, example = 120)]
    pub(super) per_replica: Option<f64>,
}

/// Never fewer and never more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Replicas {
    /// The fewest replicas, whatever the forecast says.
    #[schemars(required, example = 3, extend("maximum" = units::Replicas::MOST.0))]
    pub(super) min: Option<u32>,
    /// The most replicas, whatever the forecast says.
    #[schemars(required, example = 200, extend("maximum" = units::Replicas::MOST.0))]
    pub(super) max: Option<u32>,
}

/// How sure to be: a quantile, or the two costs it follows from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Objective {
    /// What a missing pod costs for an hour, in any currency; with overCost.
    #[schemars(example = 40)]
    pub(super) under_cost: Option<f64>,
    /// What an idle pod costs for an hour, in the same currency; with underCost.
    #[schemars(example = 1)]
    pub(super) over_cost: Option<f64>,
    /// The share of lead-time windows in which the plan suffices, from 0.5 to 0.999.
    #[schemars(example = 0.95)]
    pub(super) quantile: Option<f64>,
}

/// Whether the forecast moves replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Mode {
    /// It is computed and shown, and the answer is what the present load needs.
    Shadow,
    /// It moves replicas.
    Active,
}

/// How fast replicas can climb, which says how early a climb must begin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Growth {
    /// The most pods that the cluster starts in a minute; no limit unless given.
    #[schemars(example = 30)]
    pub(super) pods_per_minute: Option<f64>,
    /// The HPA's behavior.scaleUp, as in the ScaledObject. Unless given it is read from the HPA, and where that is not seen it is taken
    /// to be as `tidetable render` writes it.
    pub(super) scale_up: Option<ScaleUp>,
}

/// The HPA's behavior.scaleUp.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ScaleUp {
    /// Which policy wins where several speak; Max unless given.
    pub(super) select_policy: Option<SelectPolicy>,
    /// The policies.
    #[schemars(required, extend("minItems" = 1))]
    pub(super) policies: Option<Vec<ScaleUpPolicy>>,
}

/// Which policy wins, as the HPA spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest.
    Min,
}

/// At most so much within a period.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ScaleUpPolicy {
    /// What value counts.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(super) unit: Option<ScaleUpUnit>,
    /// How many.
    #[schemars(required, example = 100, extend("minimum" = 1, "maximum" = units::Replicas::MOST.0))]
    pub(super) value: Option<u32>,
    /// Within how many seconds.
    #[schemars(required, example = 15, extend("minimum" = 1, "maximum" = 1800))]
    pub(super) period_seconds: Option<u32>,
}

/// What a policy counts, as the HPA spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum ScaleUpUnit {
    /// Pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}

/// What the load that is there may do to replicas while there is a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Floor {
    /// Never fewer replicas than it needs.
    Reactive,
    /// It may stop a scale-down and causes no scale-up: cheaper, and late where the forecast is low.
    Hold,
}

/// How an answer gets past the tolerance of the HPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Tolerance {
    /// By what the cluster shows: exact where the HPA has tolerance 0, else deadband, and headroom while replicas cannot be read.
    Auto,
    /// There is none: the HPA has tolerance 0 both ways, as `tidetable render` writes it.
    Exact,
    /// Step over it, from the replicas that are running; while they cannot be read, headroom.
    Deadband,
    /// Ask for so much more that the tolerance takes nothing, for an HPA without the field.
    Headroom,
}

impl Serialize for Demands {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(demand) => demand.serialize(serializer),
            Self::List(demands) => demands.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Demands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrList;

        impl<'de> Visitor<'de> for OneOrList {
            type Value = Demands;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a demand or a list of demands")
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Demands, A::Error> {
                Demand::deserialize(MapAccessDeserializer::new(access)).map(Box::new).map(Demands::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Demands, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(access)).map(Demands::List)
            }
        }

        deserializer.deserialize_any(OneOrList)
    }
}

impl JsonSchema for Demands {
    fn schema_name() -> Cow<'static, str> {
        "Demands".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let demand = generator.subschema_for::<Demand>();
        json_schema!({
            "description": "One demand, or a list of which the one that needs the most replicas decides.",
            "anyOf": [demand, { "type": "array", "items": demand, "minItems": 1 }],
        })
    }
}
