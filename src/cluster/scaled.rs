//! From a ScaledObject to what it scales, how many of them there are, and which pods they are.
//!
//! Both are read as dynamic objects: a ScaledObject is KEDA's and changes with it, and what it scales may be anything with a
//! `/scale`, of which only that is read.

use k8s_openapi::api::autoscaling::v1 as autoscaling;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::Error;
use crate::engine::ScaledObject;

/// A ScaledObject, as far as it concerns us.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// Which one.
    pub owner: ScaledObject,
    /// What it scales.
    pub kind: ApiResource,
    /// The name of that.
    pub name: String,
    /// The HPA that KEDA made for it.
    pub hpa: String,
    /// The rest, as it stands in the cluster.
    pub spec: Value,
}

/// What a `/scale` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// How many there are to be.
    pub wanted: i32,
    /// How many were counted: what the HPA compares with.
    pub counted: i32,
    /// Which pods they are, as a label selector.
    pub selector: String,
}

impl Scaled {
    /// Reads a ScaledObject.
    ///
    /// # Errors
    /// [`Error`], when it cannot be read or does not say what it scales.
    pub async fn read(client: &kube::Client, owner: &ScaledObject) -> Result<Self, Error> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"));
        let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), &owner.namespace, &kind);
        let what = format!("ScaledObject {owner}");
        let object = objects.get(&owner.name).await.map_err(|error| Error::of("get", &what, error))?;
        Self::from_object(owner, object.data)
    }

    /// `data` is what a ScaledObject has beside its metadata.
    fn from_object(owner: &ScaledObject, mut data: Value) -> Result<Self, Error> {
        let spec = data["spec"].take();
        let scaled = &spec["scaleTargetRef"];
        let Some(name) = scaled["name"].as_str() else {
            return Err(Error::Incomplete {
                what: format!("ScaledObject {owner}"),
                field: "spec.scaleTargetRef.name",
            });
        };
        // As KEDA fills them in: pkg/apis/keda/v1alpha1, and controllers/keda/scaledobject_controller.go.
        let version = scaled["apiVersion"].as_str().unwrap_or("apps/v1");
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = scaled["kind"].as_str().unwrap_or("Deployment");
        let given = &spec["advanced"]["horizontalPodAutoscalerConfig"]["name"];
        let hpa = data["status"]["hpaName"].as_str().or_else(|| given.as_str());
        Ok(Self {
            owner: owner.clone(),
            kind: ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)),
            name: name.to_owned(),
            hpa: hpa.map_or_else(|| format!("keda-hpa-{}", owner.name), str::to_owned),
            spec,
        })
    }

    /// Reads the `/scale` of what it scales.
    ///
    /// # Errors
    /// [`Error`], when it cannot be read or does not name its pods.
    pub async fn scale(&self, client: &kube::Client) -> Result<Scale, Error> {
        let objects: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &self.owner.namespace, &self.kind);
        let what = format!("the scale of {} {}/{}", self.kind.kind, self.owner.namespace, self.name);
        let scale = objects.get_scale(&self.name).await.map_err(|error| Error::of("get", &what, error))?;
        let autoscaling::Scale { spec, status, .. } = scale;
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or_default();
        let Some(status) = status else { return Err(Error::Incomplete { what, field: "status" }) };
        match status.selector.filter(|selector| !selector.is_empty()) {
            Some(selector) => Ok(Scale { wanted, counted: status.replicas, selector }),
            None => Err(Error::Incomplete { what, field: "status.selector" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scaled(data: Value) -> Result<Scaled, Error> {
        let owner = ScaledObject { namespace: "payments".into(), name: "payments-api".into() };
        Scaled::from_object(&owner, data)
    }

    #[test]
    fn what_a_scaled_object_leaves_out_is_what_keda_fills_in() {
        let found = scaled(json!({ "spec": { "scaleTargetRef": { "name": "api" } } })).unwrap();
        assert_eq!((&*found.name, &*found.hpa), ("api", "keda-hpa-payments-api"));
        assert_eq!((&*found.kind.group, &*found.kind.plural), ("apps", "deployments"));
    }

    #[test]
    fn what_it_says_counts() {
        let reference = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api" });
        let advanced = json!({ "horizontalPodAutoscalerConfig": { "name": "asked-for" } });
        let spec = json!({ "scaleTargetRef": reference, "advanced": advanced });
        let found = scaled(json!({ "spec": spec })).unwrap();
        assert_eq!((&*found.kind.api_version, &*found.kind.plural), ("argoproj.io/v1alpha1", "rollouts"));
        assert_eq!(found.hpa, "asked-for");
        let found = scaled(json!({ "spec": spec, "status": { "hpaName": "there-is" } })).unwrap();
        assert_eq!(found.hpa, "there-is");
        assert!(matches!(scaled(json!({ "spec": {} })), Err(Error::Incomplete { .. })));
    }
}
