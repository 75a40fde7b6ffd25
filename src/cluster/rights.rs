//! What tidetable's service account may do, as the API server itself says: asked with access reviews, and nothing tried.
//!
//! Who may ask for another's rights asks for those of the account; everybody may ask for their own, and that is asked otherwise.

use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, PostParams};

use super::Error;

/// One thing that may be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Such as get.
    pub verb: &'static str,
    /// Such as `keda.sh`.
    pub group: String,
    /// Such as scaledobjects, or deployments/scale.
    pub resource: String,
    /// Of that object alone.
    pub name: Option<String>,
    /// Where.
    pub namespace: String,
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Account {
    /// The one that a pod runs as; `None` where the pod cannot be read.
    pub async fn of_pod(client: &kube::Client, namespace: &str, pod: &str) -> Option<Self> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let name = pods.get(pod).await.ok()?.spec?.service_account_name?;
        Some(Self { namespace: namespace.to_owned(), name })
    }
}

/// Rights that are lacking, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Whose they are; `None` where it is whoever asked.
    pub account: Option<Account>,
    /// Those that are not there.
    pub rights: Vec<Right>,
}

impl Right {
    /// What is read where targets are in `namespace`, the scale being that of `scaled`. Without them it is not seen what is there.
    pub fn to_see(namespace: &str, scaled: &ApiResource) -> Vec<Self> {
        let scale = format!("{}/scale", scaled.plural);
        let rights = [
            ("get", "keda.sh", "scaledobjects"),
            ("get", &scaled.group, &scale),
            ("get", "autoscaling", "horizontalpodautoscalers"),
            ("list", "", "pods"),
            ("watch", "", "pods"),
        ];
        rights.map(|(verb, group, resource)| Self::new(verb, group, resource, namespace)).into()
    }

    /// What it takes to hear `SurgeEvent`s in `namespace`, and to write what becomes of them.
    pub fn to_be_told(namespace: &str) -> Vec<Self> {
        let rights = [
            ("list", "tidetable.dev", "surgeevents"),
            ("watch", "tidetable.dev", "surgeevents"),
            ("patch", "tidetable.dev", "surgeevents/status"),
        ];
        rights.map(|(verb, group, resource)| Self::new(verb, group, resource, namespace)).into()
    }

    /// What it takes to tell in `namespace` of what changes there.
    pub fn to_tell(namespace: &str) -> Vec<Self> {
        ["create", "patch"].map(|verb| Self::new(verb, "events.k8s.io", "events", namespace)).into()
    }

    /// What it takes to be the one that writes: the Lease `name` in `namespace`.
    pub fn to_write(namespace: &str, name: &str) -> Vec<Self> {
        let lease = |verb, name: Option<&str>| Self {
            name: name.map(str::to_owned),
            ..Self::new(verb, "coordination.k8s.io", "leases", namespace)
        };
        // A name cannot be given for what is not there yet.
        vec![lease("create", None), lease("get", Some(name)), lease("update", Some(name))]
    }

    fn new(verb: &'static str, group: &str, resource: &str, namespace: &str) -> Self {
        let (group, resource) = (group.to_owned(), resource.to_owned());
        Self { verb, group, resource, name: None, namespace: namespace.to_owned() }
    }

    fn attributes(&self) -> ResourceAttributes {
        let (resource, part) = match self.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part)),
            None => (&*self.resource, None),
        };
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: part.map(str::to_owned),
            name: self.name.clone(),
            namespace: Some(self.namespace.clone()),
            ..ResourceAttributes::default()
        }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, group, resource, name, namespace } = self;
        let slash = if group.is_empty() { "" } else { "/" };
        write!(f, "{verb} {group}{slash}{resource}")?;
        match name {
            Some(name) => write!(f, " {namespace}/{name}"),
            None => write!(f, " in {namespace}"),
        }
    }
}

/// Which of `rights` are lacking: of `account`, where one is given and the client may ask for it, and of the client's own user
/// otherwise.
///
/// # Errors
/// [`Error`], when the API server does not say.
pub async fn lacking(
    client: &kube::Client,
    account: Option<&Account>,
    rights: &[Right],
) -> Result<Lacking, Error> {
    if let Some(account) = account {
        match reviewed(rights, |right| of_account(client, account, right)).await {
            Ok(rights) => return Ok(Lacking { account: Some(account.clone()), rights }),
            Err(Error::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let rights = reviewed(rights, |right| of_ourselves(client, right)).await?;
    Ok(Lacking { account: None, rights })
}

async fn reviewed<F: Future<Output = Result<bool, Error>>>(
    rights: &[Right],
    review: impl Fn(Right) -> F,
) -> Result<Vec<Right>, Error> {
    let asked = join_all(rights.iter().cloned().map(review)).await;
    let allowed = asked.into_iter().collect::<Result<Vec<bool>, Error>>()?;
    Ok(rights.iter().zip(allowed).filter(|(_, allowed)| !allowed).map(|(right, _)| right.clone()).collect())
}

async fn of_account(client: &kube::Client, account: &Account, right: Right) -> Result<bool, Error> {
    let Account { namespace, name } = account;
    // As the API server sees one: k8s.io/apiserver, pkg/authentication/serviceaccount.
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(groups.into()),
            resource_attributes: Some(right.attributes()),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answered = reviews.create(&PostParams::default(), &review).await;
    answered
        .map(|review| allows(review.status))
        .map_err(|error| Error::of("create", "subjectaccessreviews", error))
}

async fn of_ourselves(client: &kube::Client, right: Right) -> Result<bool, Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(right.attributes()),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answered = reviews.create(&PostParams::default(), &review).await;
    answered
        .map(|review| allows(review.status))
        .map_err(|error| Error::of("create", "selfsubjectaccessreviews", error))
}

fn allows(status: Option<SubjectAccessReviewStatus>) -> bool {
    status.is_some_and(|status| status.allowed)
}
