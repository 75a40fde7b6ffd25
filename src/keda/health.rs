//! grpc.health.v1: `SERVING` until shutdown, then `NOT_SERVING`.
//!
//! The shutdown token is the only state, so what health says and what the server does cannot differ. Whether decisions
//! are made is not asked here: a server that can only say why it has no number must stay in its Service, or KEDA's
//! fallback never acts. Watchers are told and then let go with OK, or they would hold up the drain.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The names that are known: the whole server, and the one service it is for.
const SERVICES: [&str; 2] = ["", "externalscaler.ExternalScaler"];

/// The health service.
#[derive(Debug)]
pub(super) struct Reporter {
    watchers: TaskTracker,
    shutdown: CancellationToken,
}

impl Reporter {
    /// Reports `SERVING` until `shutdown`; watchers live on `watchers`.
    pub(super) fn new(watchers: TaskTracker, shutdown: CancellationToken) -> Self {
        Self { watchers, shutdown }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn known(request: &HealthCheckRequest) -> Result<(), Status> {
    if SERVICES.contains(&request.service.as_str()) {
        Ok(())
    } else {
        Err(Status::not_found("no such service; ask for \"\" or \"externalscaler.ExternalScaler\""))
    }
}

#[tonic::async_trait]
impl Health for Reporter {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        known(request.get_ref())?;
        let serving =
            if self.shutdown.is_cancelled() { ServingStatus::NotServing } else { ServingStatus::Serving };
        Ok(Response::new(response(serving)))
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        known(request.get_ref())?;
        // Two answers are all a watcher will ever get, so sending never waits.
        let (sender, receiver) = mpsc::channel(2);
        let shutdown = self.shutdown.clone();
        self.watchers.spawn(async move {
            if !shutdown.is_cancelled() && sender.send(Ok(response(ServingStatus::Serving))).await.is_err() {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                () = shutdown.cancelled() => {}
            }
            // A peer that left in the meantime does not need to know.
            let _ = sender.send(Ok(response(ServingStatus::NotServing))).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
