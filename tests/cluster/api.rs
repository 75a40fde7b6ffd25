//! An API server with one ScaledObject, its Deployment and that one's pods, which does what it is told to.
//!
//! It runs on a runtime of its own, so that it can be killed with all its connections, as a restart does, and come back at
//! the same address with the same objects.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;

/// What is done to the next requests for pods, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429, to be tried again after a second.
    Throttle,
    /// 403.
    Forbid,
    /// A watch that says at once that its history is gone.
    Gone,
}

#[derive(Debug, Default)]
struct Cluster {
    /// The specs of the ScaledObject and its HPA.
    scaled: Value,
    hpa: Value,
    version: u64,
    /// What is declared; `None` where nobody has installed the definition.
    surges: Option<BTreeMap<String, Value>>,
    surge_watchers: Vec<UnboundedSender<String>>,
    /// The definition is an older one, without a status.
    statusless: bool,
    /// Each patch of a status: of which object, and what.
    patches: Vec<(String, Value)>,
    /// The Lease, and whether anybody may have it.
    lease: Option<Value>,
    lease_forbidden: bool,
    /// Resources that tidetable's service account has no right to, and whether anybody may ask that.
    denied: Vec<&'static str>,
    reviews_forbidden: bool,
    /// Kubernetes Events as they were made.
    events: Vec<Value>,
    pods: BTreeMap<String, Value>,
    faults: VecDeque<Fault>,
    /// How often replicas were counted.
    counts: usize,
    /// Each request for pods: `list` or `watch`, and from which version.
    requests: Vec<String>,
    watchers: Vec<UnboundedSender<String>>,
}

type Shared = Arc<Mutex<Cluster>>;

/// The server.
pub(crate) struct Api {
    address: SocketAddr,
    cluster: Shared,
    runtime: Option<Runtime>,
}

impl Api {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut api = Self { address, cluster: Shared::default(), runtime: None };
        api.cluster().scaled = json!({ "scaleTargetRef": { "name": "api-server" }, "triggers": [] });
        api.serve(listener);
        api
    }

    fn serve(&mut self, listener: TcpListener) {
        let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = workers.unwrap();
        listener.set_nonblocking(true).unwrap();
        let router = Router::new()
            .route("/apis/keda.sh/v1alpha1/namespaces/payments/scaledobjects/api", get(scaled_object))
            .route(
                "/apis/autoscaling/v2/namespaces/payments/horizontalpodautoscalers/keda-hpa-api",
                get(horizontal_pod_autoscaler),
            )
            .route("/apis/discovery.k8s.io/v1/namespaces/scaling/endpointslices", get(endpoint_slices))
            .route("/apis/apps/v1/namespaces/payments/deployments/{name}/scale", get(scale))
            .route("/api/v1/namespaces/payments/pods", get(pods))
            .route("/apis/tidetable.dev/v1alpha1/namespaces/payments/surgeevents", get(surges))
            .route(
                "/apis/tidetable.dev/v1alpha1/namespaces/payments/surgeevents/{name}/status",
                patch(become_of),
            )
            .route("/apis/coordination.k8s.io/v1/namespaces/default/leases", post(make_lease))
            .route(
                "/apis/coordination.k8s.io/v1/namespaces/default/leases/{name}",
                get(lease).put(renew_lease),
            )
            .route("/apis/events.k8s.io/v1/namespaces/payments/events", post(tell))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review_of_account))
            .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(review))
            .route("/api/v1/namespaces/scaling/pods/a", get(one_of_us))
            .with_state(Arc::clone(&self.cluster));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// Ends it and every connection.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.cluster().watchers.clear();
    }

    /// Comes back where it was.
    pub(crate) fn start_again(&mut self) {
        for _ in 0..600 {
            if let Ok(listener) = TcpListener::bind(self.address) {
                return self.serve(listener);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the address {} does not come free", self.address);
    }

    /// A client as `connect` makes one, without TLS and login.
    pub(crate) fn client(&self) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        kube::Client::try_from(kube::Config::new(self.url().parse().unwrap())).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The specs of the ScaledObject and of its HPA.
    pub(crate) fn set_scaling(&self, scaled: Value, hpa: Value) {
        let mut cluster = self.cluster();
        (cluster.scaled, cluster.hpa) = (scaled, hpa);
    }

    /// Declares a `SurgeEvent`, or takes it back.
    pub(crate) fn declare(&self, name: &str, spec: Option<&Value>) {
        let mut cluster = self.cluster();
        cluster.version += 1;
        let metadata = json!({ "name": name, "namespace": "payments", "resourceVersion": cluster.version.to_string(),
                    "creationTimestamp": nine().to_rfc3339(), "uid": format!("uid-{name}"),
                    "generation": cluster.version });
        let surges = cluster.surges.get_or_insert_default();
        let kind = if spec.is_some() { "MODIFIED" } else { "DELETED" };
        let former = surges.remove(name).unwrap_or_default();
        let said = spec.cloned().unwrap_or_else(|| former["spec"].clone());
        let mut surge = json!({ "kind": "SurgeEvent", "apiVersion": "tidetable.dev/v1alpha1",
                                "metadata": metadata, "spec": said });
        if !former["status"].is_null() {
            surge["status"] = former["status"].clone();
        }
        if spec.is_some() {
            surges.insert(name.to_owned(), surge.clone());
        }
        let line = format!("{}\n", json!({ "type": kind, "object": surge }));
        cluster.surge_watchers.retain(|watcher| watcher.send(line.clone()).is_ok());
    }

    /// The status of a `SurgeEvent`, as it was last written.
    pub(crate) fn status(&self, name: &str) -> Value {
        let cluster = self.cluster();
        cluster
            .surges
            .as_ref()
            .and_then(|surges| surges.get(name))
            .map_or(Value::Null, |surge| surge["status"].clone())
    }

    /// Each patch of a status so far: of which object, and what.
    pub(crate) fn patches(&self) -> Vec<(String, Value)> {
        self.cluster().patches.clone()
    }

    /// Kubernetes Events so far: their type, reason, what they are about and what they say.
    pub(crate) fn events(&self) -> Vec<[String; 4]> {
        let cluster = self.cluster();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = |event: &Value| {
            let about = &event["regarding"];
            let about = format!("{} {} {}", text(&about["kind"]), text(&about["name"]), text(&about["uid"]));
            [text(&event["type"]), text(&event["reason"]), about, text(&event["note"])]
        };
        cluster.events.iter().map(event).collect()
    }

    /// The Lease, as it was last written.
    pub(crate) fn lease(&self) -> Value {
        self.cluster().lease.clone().unwrap_or_default()
    }

    /// Writes the Lease past everybody.
    pub(crate) fn set_lease(&self, spec: &Value) {
        let mut cluster = self.cluster();
        cluster.version += 1;
        let metadata = json!({ "name": "tidetable", "namespace": "default", "resourceVersion": cluster.version.to_string() });
        cluster.lease =
            Some(json!({ "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata,
                                     "spec": spec }));
    }

    /// Whether the definition is an older one, without a status.
    pub(crate) fn set_statusless(&self, statusless: bool) {
        self.cluster().statusless = statusless;
    }

    /// Whether anybody may have the Lease.
    pub(crate) fn forbid_lease(&self, forbidden: bool) {
        self.cluster().lease_forbidden = forbidden;
    }

    /// Resources that tidetable's service account has no right to, and whether rights of another may be asked for.
    pub(crate) fn deny(&self, denied: &[&'static str], reviews_forbidden: bool) {
        let mut cluster = self.cluster();
        (cluster.denied, cluster.reviews_forbidden) = (denied.to_vec(), reviews_forbidden);
    }

    /// What is done to the next requests for pods.
    pub(crate) fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.cluster().faults.extend(faults);
    }

    /// Faults that are left.
    pub(crate) fn faults_left(&self) -> usize {
        self.cluster().faults.len()
    }

    /// Requests for pods so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.cluster().requests.clone()
    }

    /// How often replicas were counted so far.
    pub(crate) fn counts(&self) -> usize {
        self.cluster().counts
    }

    /// Ends every watch, as API servers do every few minutes.
    pub(crate) fn end_watches(&self) {
        self.cluster().watchers.clear();
    }

    /// Watches that are open.
    pub(crate) fn watches(&self) -> usize {
        self.cluster().watchers.iter().filter(|watcher| !watcher.is_closed()).count()
    }

    /// Sends a bookmark, and says of which version.
    pub(crate) fn bookmark(&self) -> u64 {
        let mut cluster = self.cluster();
        cluster.version += 1000;
        let version = cluster.version;
        let object = json!({ "kind": "Pod", "apiVersion": "v1",
                             "metadata": { "resourceVersion": version.to_string() } });
        cluster.tell("BOOKMARK", &object);
        version
    }

    /// A pod that was made `minute` minutes after nine, got its node and, as far as they are given, ended its init containers
    /// and became ready so many seconds later.
    pub(crate) fn pod(&self, template: &str, minute: u32, stages: &[u32]) {
        let created = nine() + chrono::TimeDelta::minutes(i64::from(minute));
        let names = ["PodScheduled", "Initialized", "Ready"];
        let conditions: Vec<Value> = names
            .iter()
            .zip(stages)
            .map(|(condition, after)| {
                let at = created + chrono::TimeDelta::seconds(i64::from(*after));
                json!({ "type": condition, "status": "True", "lastTransitionTime": at.to_rfc3339() })
            })
            .collect();
        let mut cluster = self.cluster();
        cluster.version += 1;
        let name = format!("{template}-{minute}");
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": name, "namespace": "payments", "uid": format!("uid-{name}"),
                "resourceVersion": cluster.version.to_string(),
                "creationTimestamp": created.to_rfc3339(), "labels": { "app": "api", "pod-template-hash": template },
            },
            "status": { "conditions": conditions },
        });
        let kind = if cluster.pods.insert(name, pod.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        cluster.tell(kind, &pod);
    }

    /// A roll-out: three pods of a template, seen from their making to their readiness.
    pub(crate) fn roll_out(&self, template: &str, minute: u32, stages: [u32; 3]) {
        for pod in minute..minute + 3 {
            for seen in 1..=stages.len() {
                self.pod(template, pod, &stages[..seen]);
            }
        }
    }

    fn cluster(&self) -> std::sync::MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Cluster {
    fn keep_lease(&mut self, mut lease: Value) -> Response {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        answer(&lease)
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        self.watchers.retain(|watcher| watcher.send(line.clone()).is_ok());
    }
}

async fn scaled_object(State(cluster): State<Shared>) -> Response {
    let spec = &cluster.lock().unwrap_or_else(PoisonError::into_inner).scaled;
    answer(&json!({ "kind": "ScaledObject", "apiVersion": "keda.sh/v1alpha1",
                    "metadata": { "name": "api", "namespace": "payments" }, "spec": spec }))
}

async fn horizontal_pod_autoscaler(State(cluster): State<Shared>) -> Response {
    let spec = &cluster.lock().unwrap_or_else(PoisonError::into_inner).hpa;
    if spec.is_null() {
        return refusal(Fault::Forbid);
    }
    answer(&json!({ "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2",
                    "metadata": { "name": "keda-hpa-api", "namespace": "payments" }, "spec": spec }))
}

/// One pod that is ready, one that is not, and the ready one's other address.
async fn endpoint_slices(Query(asked): Query<BTreeMap<String, String>>) -> Response {
    assert_eq!(asked["labelSelector"], "kubernetes.io/service-name=tidetable");
    let endpoint = |pod: &str, address: &str, ready: bool| {
        json!({ "addresses": [address], "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": pod } })
    };
    let slice = |kind: &str, endpoints: Value| json!({ "metadata": { "name": kind }, "addressType": kind, "endpoints": endpoints, "ports": [] });
    let items = [
        slice("IPv4", json!([endpoint("a", "10.0.0.1", true), endpoint("b", "10.0.0.2", false)])),
        slice("IPv6", json!([endpoint("a", "fd00::1", true)])),
    ];
    answer(
        &json!({ "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {}, "items": items }),
    )
}

async fn scale(State(cluster): State<Shared>, Path(name): Path<String>) -> Response {
    assert_eq!(name, "api-server");
    cluster.lock().unwrap_or_else(PoisonError::into_inner).counts += 1;
    answer(&json!({ "kind": "Scale", "apiVersion": "autoscaling/v1",
                    "metadata": { "name": name, "namespace": "payments" },
                    "spec": { "replicas": 18 }, "status": { "replicas": 18, "selector": "app=api" } }))
}

async fn surges(State(cluster): State<Shared>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(surges) = &cluster.surges else { return StatusCode::NOT_FOUND.into_response() };
    if !asked.contains_key("watch") {
        let items: Vec<&Value> = surges.values().collect();
        let metadata = json!({ "resourceVersion": cluster.version.to_string() });
        return answer(&json!({ "kind": "SurgeEventList", "apiVersion": "tidetable.dev/v1alpha1",
                               "metadata": metadata, "items": items }));
    }
    let (sender, receiver) = unbounded_channel();
    // What changed between the list and the watch.
    let since: u64 = asked.get("resourceVersion").and_then(|from| from.parse().ok()).unwrap_or_default();
    let version =
        |surge: &Value| surge["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    for surge in surges.values().filter(|surge| version(surge) > since) {
        let _ = sender.send(format!("{}\n", json!({ "type": "MODIFIED", "object": surge })));
    }
    cluster.surge_watchers.push(sender);
    stream(UnboundedReceiverStream::new(receiver))
}

async fn pods(State(cluster): State<Shared>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(asked["labelSelector"], "app=api", "nobody else's pods are asked for");
    let watches = asked.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
    let from = asked.get("resourceVersion").map_or("", String::as_str).to_owned();
    cluster.requests.push(format!("{} {from}", if watches { "watch" } else { "list" }));
    match cluster.faults.front().copied() {
        // Only a watch can be told that.
        Some(Fault::Gone) if !watches => {}
        Some(fault) => {
            cluster.faults.pop_front();
            return refusal(fault);
        }
        None => {}
    }
    if !watches {
        let items: Vec<&Value> = cluster.pods.values().collect();
        let version = cluster.version.to_string();
        return answer(&json!({ "kind": "PodList", "apiVersion": "v1",
                               "metadata": { "resourceVersion": version }, "items": items }));
    }
    assert_eq!(asked["allowWatchBookmarks"], "true");
    let (sender, receiver) = unbounded_channel();
    // What changed since the version that the watch begins at.
    let since: u64 = from.parse().unwrap_or_default();
    let version = |pod: &Value| pod["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    for pod in cluster.pods.values().filter(|pod| version(pod) > since) {
        let _ = sender.send(format!("{}\n", json!({ "type": "MODIFIED", "object": pod })));
    }
    cluster.watchers.push(sender);
    stream(UnboundedReceiverStream::new(receiver))
}

/// Merges a patch into the status, as RFC 7386 says, and tells the watchers.
async fn become_of(
    State(cluster): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], "application/merge-patch+json");
    assert_eq!(
        patch.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["status"],
        "nothing but the status is written"
    );
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.version += 1;
    let version = cluster.version.to_string();
    cluster.patches.push((name.clone(), patch.clone()));
    if cluster.statusless {
        return failure(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        );
    }
    let Some(surge) = cluster.surges.as_mut().and_then(|surges| surges.get_mut(&name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if surge["status"].is_null() {
        surge["status"] = json!({});
    }
    let status = surge["status"].as_object_mut().unwrap();
    for (key, value) in patch["status"].as_object().unwrap() {
        if value.is_null() {
            status.remove(key);
        } else {
            status.insert(key.clone(), value.clone());
        }
    }
    surge["metadata"]["resourceVersion"] = json!(version);
    let surge = surge.clone();
    let line = format!("{}\n", json!({ "type": "MODIFIED", "object": surge }));
    cluster.surge_watchers.retain(|watcher| watcher.send(line.clone()).is_ok());
    answer(&surge)
}

async fn lease(State(cluster): State<Shared>, Path(name): Path<String>) -> Response {
    assert_eq!(name, "tidetable");
    let cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    match &cluster.lease {
        _ if cluster.lease_forbidden => refusal(Fault::Forbid),
        Some(lease) => answer(lease),
        None => failure(StatusCode::NOT_FOUND, "NotFound", "leases \"tidetable\" not found"),
    }
}

async fn make_lease(State(cluster): State<Shared>, Json(lease): Json<Value>) -> Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    if cluster.lease.is_some() {
        return conflict();
    }
    cluster.keep_lease(lease)
}

/// Whoever read an older one is told so.
async fn renew_lease(State(cluster): State<Shared>, Json(lease): Json<Value>) -> Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    if cluster.lease.as_ref().map(version) != Some(version(&lease)) {
        return conflict();
    }
    cluster.keep_lease(lease)
}

async fn tell(State(cluster): State<Shared>, Json(event): Json<Value>) -> Response {
    cluster.lock().unwrap_or_else(PoisonError::into_inner).events.push(event.clone());
    answer(&event)
}

async fn one_of_us() -> Response {
    answer(&json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "a", "namespace": "scaling" },
                    "spec": { "serviceAccountName": "tide", "containers": [] } }))
}

async fn review_of_account(cluster: State<Shared>, asked: Json<Value>) -> Response {
    if cluster.lock().unwrap_or_else(PoisonError::into_inner).reviews_forbidden {
        return refusal(Fault::Forbid);
    }
    assert_eq!(asked["spec"]["user"], "system:serviceaccount:scaling:tide");
    assert_eq!(
        asked["spec"]["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:scaling", "system:authenticated"])
    );
    review(cluster, asked).await
}

async fn review(State(cluster): State<Shared>, Json(mut asked): Json<Value>) -> Response {
    let cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    let attributes = &asked["spec"]["resourceAttributes"];
    let text = |key: &str| attributes[key].as_str().unwrap_or_default();
    let whole = match text("subresource") {
        "" => text("resource").to_owned(),
        part => format!("{}/{part}", text("resource")),
    };
    asked["status"] = json!({ "allowed": !cluster.denied.contains(&&*whole) });
    answer(&asked)
}

fn conflict() -> Response {
    failure(StatusCode::CONFLICT, "Conflict", "the object has been modified")
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                       "code": code.as_u16(), "reason": reason, "message": message });
    (code, body.to_string()).into_response()
}

fn stream(lines: UnboundedReceiverStream<String>) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn answer(object: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], object.to_string()).into_response()
}

fn refusal(fault: Fault) -> Response {
    let status = |code: u16, reason: &str, message: &str| {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "code": code, "reason": reason, "message": message })
    };
    match fault {
        Fault::Throttle => {
            let body = status(429, "TooManyRequests", "too many requests, please try again later");
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], body.to_string()).into_response()
        }
        Fault::Forbid => {
            let body = status(403, "Forbidden", "pods is forbidden: cannot list resource \"pods\"");
            (StatusCode::FORBIDDEN, body.to_string()).into_response()
        }
        Fault::Gone => {
            let (sender, receiver) = unbounded_channel();
            let object = status(410, "Expired", "too old resource version");
            let _ = sender.send(format!("{}\n", json!({ "type": "ERROR", "object": object })));
            stream(UnboundedReceiverStream::new(receiver))
        }
    }
}
