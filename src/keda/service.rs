//! The five RPCs: a target's published decision, the clock, an answer.
//!
//! No handler waits. Those that KEDA polls return within microseconds of their request being decoded, whatever the
//! metrics source, a fit or another target is doing; the second that `server` bounds a call to is for requests whose
//! bytes never come. Nothing is derived here: the number is the decision's, and so is whether the target is active.
//!
//! What is not known is an error with its reason, never a zero, a `false` or an empty list. KEDA does not tell codes
//! apart but shows the message, so [`status`] keeps one code per variant and the words of the error.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status};
use tracing::{Instrument, debug, debug_span};

use super::metadata::{self, bound_target, quoted};
use super::metrics::{Metrics, Rpc};
use super::pb::external_scaler_server::ExternalScaler;
use super::pb::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, ScaledObjectRef,
};
use super::stream::{self, Pushed};
use super::{answer, metrics};
use crate::decision::Decision;
use crate::engine::{Board, Clock, NoDecision, Target};
use crate::units::Replicas;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The question is not one that the asker may ask.
    #[error(transparent)]
    Request(#[from] metadata::Error),
    /// A metric that the target does not have.
    #[error("target \"{target}\" has no metric \"{asked}\"; its one metric has the target's name")]
    UnknownMetric {
        /// The target.
        target: Arc<str>,
        /// The name as sent, shortened.
        asked: String,
    },
    /// No decision is in force.
    #[error("target \"{target}\": {why}")]
    NoDecision {
        /// The target.
        target: Arc<str>,
        /// The board's reason.
        why: NoDecision,
    },
    /// A decision is in force, and it says that no number is honest.
    #[error("target \"{target}\": no replica count is honest now, for {}", blindness(decision))]
    NoNumber {
        /// The target.
        target: Arc<str>,
        /// The decision.
        decision: Arc<Decision>,
    },
}

/// Our errors as gRPC statuses: the one place, one code per variant.
fn status(error: &Error) -> Status {
    let code = match error {
        Error::Request(
            metadata::Error::NoScaledObject
            | metadata::Error::NoTarget { .. }
            | metadata::Error::TooLarge { .. },
        )
        | Error::UnknownMetric { .. } => Code::InvalidArgument,
        Error::Request(metadata::Error::UnknownTarget { .. }) => Code::NotFound,
        Error::Request(metadata::Error::Foreign { .. }) => Code::PermissionDenied,
        Error::NoDecision { .. } | Error::NoNumber { .. } => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

/// What is missing for a number, of each demand.
fn blindness(decision: &Decision) -> String {
    let several = decision.claims.len() > 1;
    let missing = decision.claims.iter().map(|claim| {
        let of = if several { format!("{}: ", claim.demand) } else { String::new() };
        let measured = match claim.observed_age(decision.at) {
            Some(age) => format!("its newest measurement was {} s old", age.as_secs()),
            None => "it has never been measured".into(),
        };
        let planned = match claim.plan {
            Some(_) => "in shadow mode a plan does not stand in for measurements",
            None => "there is no plan",
        };
        format!("{of}{measured} and {planned}")
    });
    format!("{}; see whether its metrics source answers", missing.collect::<Vec<_>>().join("; "))
}

/// The service behind the five RPCs.
#[derive(Debug)]
pub(super) struct Scaler<C> {
    board: Arc<Board>,
    clock: Arc<C>,
    metrics: Metrics,
    streams: TaskTracker,
    shutdown: CancellationToken,
}

impl<C: Clock> Scaler<C> {
    /// A service that answers from `board` by `clock`; its streams live on `streams` and end with `shutdown`.
    pub(super) fn new(
        board: Arc<Board>,
        clock: Arc<C>,
        metrics: Metrics,
        streams: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self { board, clock, metrics, streams, shutdown }
    }

    /// Answers one call, and counts it.
    fn answered<T>(
        &self,
        rpc: Rpc,
        answer: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Response<T>, Status> {
        let timer = self.metrics.begin(rpc);
        match answer() {
            Ok(answer) => {
                timer.end(Code::Ok);
                Ok(Response::new(answer))
            }
            Err(error) => {
                let status = status(&error);
                debug!(rpc = rpc.name(), code = metrics::code_name(status.code()), %error, "refused");
                timer.end(status.code());
                Err(status)
            }
        }
    }

    fn target(&self, rpc: Rpc, reference: Option<&ScaledObjectRef>) -> Result<Arc<Target>, Error> {
        let table = self.board.table();
        let target = bound_target(&table, reference)?;
        self.metrics.asked(rpc, &target.name);
        Ok(Arc::clone(target))
    }

    /// The decision in force. It is the clock that says which, so that two replicas switch together.
    fn decision(&self, target: &Target) -> Result<Arc<Decision>, Error> {
        let published = self.board.table().published(&target.name).unwrap_or_default();
        match published.at(self.clock.now()) {
            Ok(decision) => Ok(Arc::clone(decision)),
            Err(why) => Err(Error::NoDecision { target: Arc::clone(&target.name), why }),
        }
    }

    fn replicas(&self, target: &Target) -> Result<Replicas, Error> {
        let decision = self.decision(target)?;
        let guarded = decision.guarded;
        guarded.ok_or_else(|| Error::NoNumber { target: Arc::clone(&target.name), decision })
    }

    fn active(&self, target: &Target) -> Result<bool, Error> {
        let decision = self.decision(target)?;
        let active = decision.active();
        active.ok_or_else(|| Error::NoNumber { target: Arc::clone(&target.name), decision })
    }
}

/// Whether `asked` means the metric of `target`. KEDA strips the `s0-` that it put before the name, but whoever copies the
/// name from the HPA does not; letter case is lost on the way through some dashboards.
fn means_metric_of(target: &Target, asked: &str) -> bool {
    let bare = asked
        .strip_prefix(['s', 'S'])
        .and_then(|rest| rest.split_once('-'))
        .filter(|(index, _)| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|(_, name)| name);
    [Some(asked), bare].into_iter().flatten().any(|name| name.eq_ignore_ascii_case(&target.name))
}

fn metric_specs(target: &Target) -> GetMetricSpecResponse {
    GetMetricSpecResponse { metric_specs: vec![answer::metric_spec(target)] }
}

#[tonic::async_trait]
impl<C: Clock> ExternalScaler for Scaler<C> {
    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let rpc = Rpc::GetMetricSpec;
        self.answered(rpc, || {
            let target = self.target(rpc, Some(request.get_ref()))?;
            Ok(metric_specs(&target))
        })
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let rpc = Rpc::GetMetrics;
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.get_ref();
        self.answered(rpc, || {
            let target = self.target(rpc, scaled_object_ref.as_ref())?;
            if !means_metric_of(&target, metric_name) {
                let asked = quoted(metric_name);
                return Err(Error::UnknownMetric { target: Arc::clone(&target.name), asked });
            }
            let replicas = self.replicas(&target)?;
            let hpa = self.board.hpa(&target.scaled_object, self.clock.now());
            let value = answer::metric_value(&target, replicas, hpa.as_ref());
            Ok(GetMetricsResponse { metric_values: vec![value] })
        })
    }

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let rpc = Rpc::IsActive;
        self.answered(rpc, || {
            let target = self.target(rpc, Some(request.get_ref()))?;
            Ok(IsActiveResponse { result: self.active(&target)? })
        })
    }

    type StreamIsActiveStream = Pushed<IsActiveResponse>;

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let rpc = Rpc::StreamIsActive;
        self.answered(rpc, || {
            let target = self.target(rpc, Some(request.get_ref()))?;
            let published = self.board.table().subscribe(&target.name).ok_or_else(|| Error::NoDecision {
                target: Arc::clone(&target.name),
                why: NoDecision::Never,
            })?;
            let (outlet, pushed) = stream::open(self.shutdown.clone(), self.metrics.open_stream(rpc));
            let clock = Arc::clone(&self.clock);
            let span = debug_span!("stream", rpc = rpc.name(), target = %target.name);
            self.streams.spawn(
                async move { stream::push_activity(&*clock, published, outlet).await }.instrument(span),
            );
            Ok(pushed)
        })
    }

    type StreamMetricSpecStream = Pushed<GetMetricSpecResponse>;

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let rpc = Rpc::StreamMetricSpec;
        self.answered(rpc, || {
            let target = self.target(rpc, Some(request.get_ref()))?;
            let specs = metric_specs(&target);
            let (outlet, pushed) = stream::open(self.shutdown.clone(), self.metrics.open_stream(rpc));
            let clock = Arc::clone(&self.clock);
            let span = debug_span!("stream", rpc = rpc.name(), target = %target.name);
            self.streams.spawn(
                async move { stream::push_metric_spec(&*clock, specs, outlet).await }.instrument(span),
            );
            Ok(pushed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Claim;
    use crate::forecast::Observation;
    use crate::guard::Rung;
    use crate::units::Load;

    #[test]
    fn what_is_missing_is_said_of_each_demand() {
        let at = crate::time::from_epoch_seconds(1_000_000);
        let claim = |demand: &str, observed| Claim {
            demand: demand.into(),
            rung: Rung::Unavailable,
            observed,
            reactive_need: None,
            plan: None,
            event_need: None,
            surge: None,
        };
        let stale = Observation { at: at - chrono::TimeDelta::seconds(300), load: Load::ZERO };
        let decision = Decision {
            target: "payments-api".into(),
            at,
            effective_from: at,
            rung: Rung::Unavailable,
            claims: vec![claim("requests", Some(stale)), claim("queue", None)],
            shortfall: None,
            prospects: Arc::default(),
            applied: Vec::new(),
            guarded: None,
        };
        assert_eq!(
            blindness(&decision),
            "requests: its newest measurement was 300 s old and there is no plan; \
             queue: it has never been measured and there is no plan; see whether its metrics source answers"
        );
    }

    #[test]
    fn a_metric_is_known_by_its_own_name_and_by_the_one_that_keda_gives_it() {
        let target = metadata::tests::target("s3-sync", "payments/s3-sync");
        for asked in ["s3-sync", "S3-Sync", "s0-s3-sync", "s12-s3-sync"] {
            assert!(means_metric_of(&target, asked), "{asked}");
        }
        for asked in ["", "sync", "s-s3-sync", "sx-s3-sync", "s3-sync2", "0-s3-sync"] {
            assert!(!means_metric_of(&target, asked), "{asked}");
        }
    }
}
