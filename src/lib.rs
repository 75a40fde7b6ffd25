//! tidetable: a predictive autoscaler for Kubernetes.

pub mod decision;
pub mod forecast;
pub mod guard;
pub mod plan;
pub mod series;
pub mod simulate;
pub mod time;
pub mod units;

pub mod engine;

pub mod config;
pub mod history;
pub mod keda;
pub mod source;
pub mod telemetry;
pub mod web;

pub mod cli;
