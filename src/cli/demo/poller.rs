//! What KEDA and the HPA ask of a scaler at each sync, over a real socket, in their order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tonic::transport::Channel;

use crate::keda::pb::external_scaler_client::ExternalScalerClient;
use crate::keda::pb::{GetMetricsRequest, ScaledObjectRef};
use crate::simulate::hpa::Reading;

/// As long as a call may take; far beyond what one does.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that asks for one target.
#[derive(Debug)]
pub(super) struct Poller {
    client: ExternalScalerClient<Channel>,
    scaled_object: ScaledObjectRef,
}

impl Poller {
    /// Connects to a scaler.
    pub(super) async fn connect(address: SocketAddr, target: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.timeout(PATIENCE);
        let client =
            ExternalScalerClient::new(channel.connect().await.context("cannot reach our own gRPC server")?);
        let metadata = [("scalerAddress", address.to_string()), ("target", target.to_owned())];
        let scaled_object = ScaledObjectRef {
            name: target.to_owned(),
            namespace: "payments".to_owned(),
            scaler_metadata: HashMap::from(metadata.map(|(key, text)| (key.to_owned(), text))),
        };
        Ok(Self { client, scaled_object })
    }

    /// One sync: the metric's name, its value and whether the target is active. Any error is a failed reading, which the
    /// HPA answers by holding still.
    pub(super) async fn poll(&mut self) -> Reading {
        match self.ask().await {
            Ok(replicas) => Reading::Value(replicas),
            Err(status) => {
                tracing::debug!(code = ?status.code(), message = status.message(), "the scaler answered with an error");
                Reading::Failed
            }
        }
    }

    async fn ask(&mut self) -> Result<f64, tonic::Status> {
        let spec = self.client.get_metric_spec(self.scaled_object.clone()).await?.into_inner();
        let metric = spec.metric_specs.into_iter().next();
        let metric = metric.ok_or_else(|| tonic::Status::internal("no metric spec"))?;
        let request = GetMetricsRequest {
            scaled_object_ref: Some(self.scaled_object.clone()),
            metric_name: metric.metric_name,
        };
        let answer = self.client.get_metrics(request).await?.into_inner();
        self.client.is_active(self.scaled_object.clone()).await?;
        let reading = answer.metric_values.first();
        reading
            .map(|reading| reading.metric_value_float)
            .ok_or_else(|| tonic::Status::internal("no metric value"))
    }
}
