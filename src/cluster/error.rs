//! What can be lacking of a cluster, in words for an operator.

use kube::runtime::watcher;

/// Why something of the cluster is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cluster to ask.
    #[error(
        "there is no cluster to read: neither a service account's token nor a kubeconfig; set the chart's cluster.enabled, or \
         KUBECONFIG"
    )]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// We may not read it.
    #[error(
        "may not {verb} {what} ({said}); give tidetable's service account that right, as the chart's cluster.enabled does"
    )]
    Forbidden {
        /// What was tried, such as get or watch.
        verb: &'static str,
        /// With what.
        what: String,
        /// The API server's words.
        said: String,
    },
    /// It is not there.
    #[error("{what} is not there; see whether it is applied, and whether scaledObject names it")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// It is not as it should be.
    #[error("{what} has no {field}; see whether KEDA and its workload are in order")]
    Incomplete {
        /// What was read.
        what: String,
        /// What it lacks.
        field: &'static str,
    },
    /// The API server took too long.
    #[error("cannot {verb} {what}: the API server did not answer in time; it is tried again")]
    Late {
        /// What was tried.
        verb: &'static str,
        /// With what.
        what: String,
    },
    /// The API server did not answer, or not as it should.
    #[error("cannot {verb} {what}; it is tried again")]
    Unanswered {
        /// What was tried.
        verb: &'static str,
        /// With what.
        what: String,
        /// What came instead.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// What a request that was to `verb` `what` came to.
    pub(super) fn of(verb: &'static str, what: impl Into<String>, source: kube::Error) -> Self {
        let what = what.into();
        match &source {
            kube::Error::Api(status) if status.code == 403 || status.code == 401 => {
                Self::Forbidden { verb, what, said: status.message.clone() }
            }
            kube::Error::Api(status) if status.code == 404 => Self::NotFound { what },
            _ => Self::Unanswered { verb, what, source },
        }
    }

    /// What a watch of `what` came to; `None` where it only has to begin again, as it must now and then.
    pub(super) fn of_watch(what: &str, error: watcher::Error) -> Option<Self> {
        match error {
            watcher::Error::InitialListFailed(source) => Some(Self::of("list", what, source)),
            watcher::Error::WatchStartFailed(source) => Some(Self::of("watch", what, source)),
            watcher::Error::WatchFailed(_)
            | watcher::Error::WatchError(_)
            | watcher::Error::NoResourceVersion => None,
        }
    }

    /// What is lacking and what caused it, in a line.
    pub(super) fn with_causes(&self) -> String {
        // kube's errors repeat their causes; nobody wants to read a missing file three times.
        let mut said = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(because) = cause {
            let words = because.to_string();
            if !said.contains(&words) {
                said = format!("{said}: {words}");
            }
            cause = because.source();
        }
        said
    }

    /// Its kind, for a label.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NoCluster(_) => "no_cluster",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Incomplete { .. } => "incomplete",
            Self::Late { .. } => "late",
            Self::Unanswered { .. } => "unanswered",
        }
    }
}
