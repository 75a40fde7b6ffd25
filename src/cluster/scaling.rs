//! What scales beside the ScaledObject itself: the HPA that KEDA made of it, and how many of ourselves stand behind a Service.
//!
//! The HPA is read as it stands in the cluster, not as types: what an older API server dropped in silence is not there.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use super::{Error, Scaled};

impl Scaled {
    /// The spec of its HPA.
    ///
    /// # Errors
    /// [`Error`], when it cannot be read.
    pub async fn hpa(&self, client: &kube::Client) -> Result<Value, Error> {
        let kind = GroupVersionKind::gvk("autoscaling", "v2", "HorizontalPodAutoscaler");
        let namespace = &self.owner.namespace;
        let objects: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
        let what = format!("HorizontalPodAutoscaler {namespace}/{}", self.hpa);
        let mut hpa = objects.get(&self.hpa).await.map_err(|error| Error::of("get", what, error))?;
        Ok(hpa.data["spec"].take())
    }
}

/// The pods that stand ready behind a Service, by their names (or addresses, where an endpoint is no pod).
///
/// # Errors
/// [`Error`], when its endpoints cannot be read.
pub async fn ready_behind(
    client: &kube::Client,
    namespace: &str,
    service: &str,
) -> Result<BTreeSet<String>, Error> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let what = format!("endpointslices of {namespace}/{service}");
    let slices = slices.list(&of_service).await.map_err(|error| Error::of("list", what, error))?;
    let endpoints = slices.items.iter().flat_map(|slice| &slice.endpoints);
    // A condition that is not given holds: k8s.io/api/discovery/v1.
    let ready = endpoints.filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    // A pod with an address of each family stands in two slices.
    let pods = ready
        .map(|endpoint| {
            let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.clone());
            pod.unwrap_or_else(|| endpoint.addresses.concat())
        })
        .collect();
    Ok(pods)
}
