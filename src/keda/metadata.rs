//! Trigger metadata, written by strangers, into a target of ours.
//!
//! Every author of a ScaledObject in any namespace can send anything here. Metadata therefore carry a name and nothing
//! else that is read: what may be queried is the operator's to say, in the configuration. Keys that are not ours are
//! skipped, for KEDA sends a copy of them all.
//!
//! A refusal lands in the events of the ScaledObject, so it is written for its author. It names targets of the author's
//! own namespace only, and quotes at most [`MOST_QUOTED`] characters of what was sent, because it travels in a header.

use std::sync::Arc;

use super::pb::ScaledObjectRef;
use crate::engine::{ScaledObject, Table, Target};

/// The one key that is read.
const KEY: &str = "target";

/// Keys and values of one trigger together. `scalerAddress`, `target` and some `…FromEnv` need a few hundred bytes.
const MOST_METADATA_BYTES: usize = 16 * 1024;

/// The length of a Kubernetes label value; a legal name is never cut.
const MOST_QUOTED: usize = 63;

/// How alike two names must be (Jaro-Winkler) for one to be offered in place of the other: a swapped, lost or
/// doubled letter or two passes, another word does not.
const ALIKE: f64 = 0.8;

/// Why a request names no target that it may ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// KEDA always fills it in; a call by hand may not.
    #[error(
        "the request names no ScaledObject; fill in `scaledObjectRef` with `name` and `namespace`, as KEDA does"
    )]
    NoScaledObject,
    /// More than any trigger needs.
    #[error(
        "the trigger metadata hold {bytes} bytes, more than the {MOST_METADATA_BYTES} that are read; \
         `scalerAddress` and `target` are enough"
    )]
    TooLarge {
        /// Keys and values together.
        bytes: usize,
    },
    /// The key is missing or empty.
    #[error("the trigger metadata have no `{KEY}`{}; add `{KEY}: {}`", misspelt(found.as_deref()), own.as_deref().unwrap_or("<name of a target>"))]
    NoTarget {
        /// A key that looks like it.
        found: Option<String>,
        /// A target bound to the asking ScaledObject.
        own: Option<Arc<str>>,
    },
    /// No such target.
    #[error("no target \"{asked}\" is configured; {}", remedy(nearest.as_deref(), asker))]
    UnknownTarget {
        /// The name as sent, shortened.
        asked: String,
        /// The most similar target of the asker's namespace.
        nearest: Option<Arc<str>>,
        /// The ScaledObject, shortened.
        asker: String,
    },
    /// The target is another's.
    #[error(
        "target \"{target}\" is not bound to ScaledObject {asker}; \
         set `scaledObject: {asker}` for it in tidetable's configuration, or name a target of your own"
    )]
    Foreign {
        /// The target.
        target: Arc<str>,
        /// The ScaledObject, shortened.
        asker: String,
    },
}

/// The target that `reference` names and may ask for.
///
/// # Errors
/// [`Error`], one variant for each way in which it does not.
pub(super) fn bound_target<'a>(
    table: &'a Table,
    reference: Option<&ScaledObjectRef>,
) -> Result<&'a Arc<Target>, Error> {
    let reference = reference
        .filter(|reference| !reference.name.is_empty() && !reference.namespace.is_empty())
        .ok_or(Error::NoScaledObject)?;
    let metadata = &reference.scaler_metadata;
    let bytes = metadata.iter().map(|(key, text)| key.len() + text.len()).sum();
    if bytes > MOST_METADATA_BYTES {
        return Err(Error::TooLarge { bytes });
    }
    let Some(name) = metadata.get(KEY).map(|name| name.trim()).filter(|name| !name.is_empty()) else {
        let misspelt = |key: &&String| *key != KEY && alike(&key.to_lowercase(), KEY);
        let found = metadata.keys().find(misspelt).map(|key| quoted(key));
        return Err(Error::NoTarget { found, own: own_target(table, reference) });
    };
    let asker = || format!("{}/{}", quoted(&reference.namespace), quoted(&reference.name));
    let Some(target) = table.target(name) else {
        let nearest = nearest(table, &reference.namespace, name);
        return Err(Error::UnknownTarget { asked: quoted(name), nearest, asker: asker() });
    };
    if !owns(&target.scaled_object, reference) {
        return Err(Error::Foreign { target: Arc::clone(&target.name), asker: asker() });
    }
    Ok(target)
}

fn owns(bound: &ScaledObject, reference: &ScaledObjectRef) -> bool {
    bound.namespace == reference.namespace && bound.name == reference.name
}

fn own_target(table: &Table, reference: &ScaledObjectRef) -> Option<Arc<str>> {
    table
        .targets()
        .find(|target| owns(&target.scaled_object, reference))
        .map(|target| Arc::clone(&target.name))
}

fn nearest(table: &Table, namespace: &str, asked: &str) -> Option<Arc<str>> {
    let asked = quoted(asked);
    table
        .targets()
        .filter(|target| target.scaled_object.namespace == namespace)
        .map(|target| (strsim::jaro_winkler(&target.name, &asked), target))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, target)| Arc::clone(&target.name))
}

fn alike(a: &str, b: &str) -> bool {
    strsim::jaro_winkler(&quoted(a), b) >= ALIKE
}

/// What a stranger wrote, made fit to be repeated: no control characters, not longer than a name may be.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(MOST_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST_QUOTED).is_some() {
        short.push('…');
    }
    short
}

fn misspelt(found: Option<&str>) -> String {
    found.map(|key| format!(" (`{key}` is not read)")).unwrap_or_default()
}

fn remedy(nearest: Option<&str>, asker: &str) -> String {
    match nearest {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!(
            "correct `{KEY}` in the trigger metadata of {asker}, or add the target to tidetable's configuration"
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::calendar::Almanac;
    use crate::decision::Policy;
    use crate::engine::Board;
    use crate::engine::Demand;
    use crate::engine::{LeadTime, ScaleUpFrom};
    use crate::guard;
    use crate::plan;
    use crate::time::Step;
    use crate::units::{LoadPerReplica, Quantile, Replicas};

    pub(in crate::keda) fn target(name: &str, scaled_object: &str) -> Target {
        let (namespace, object) = scaled_object.split_once('/').unwrap();
        Target {
            name: name.into(),
            labels: std::collections::BTreeMap::default(),
            scaled_object: ScaledObject { namespace: namespace.into(), name: object.into() },
            demands: vec![Demand {
                name: "demand".into(),
                source: "main".into(),
                query: "up".into(),
                label: None,
                step: Step::MINUTE,
                settle_lag: Duration::from_secs(60),
                history: Duration::from_secs(86_400),
                unit: "tx/s".into(),
                capacity: LoadPerReplica::try_new(120.0).unwrap(),
            }],
            timezone: chrono_tz::UTC,
            almanac: Almanac::none(chrono_tz::UTC),
            lead_time: LeadTime::Configured,
            scale_up: ScaleUpFrom::Configured,
            exclude: Arc::default(),
            policy: Policy {
                plan: plan::Options {
                    lead_time: Duration::from_secs(90),
                    quantile: Quantile::P95,
                    growth: plan::Growth::default(),
                },
                guard: guard::Options {
                    scale_down_hold: Duration::from_secs(300),
                    ..guard::Options::active(Replicas(3), Replicas(200))
                },
            },
            tolerance: guard::Tolerance::default(),
        }
    }

    fn board() -> Arc<Table> {
        Board::new([
            Arc::new(target("payments-api", "payments/payments-api")),
            Arc::new(target("payments-batch", "payments/payments-batch")),
            Arc::new(target("ledger", "ledger/ledger")),
        ])
        .table()
    }

    fn reference(scaled_object: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
        let (namespace, name) = scaled_object.split_once('/').unwrap();
        ScaledObjectRef {
            name: name.into(),
            namespace: namespace.into(),
            scaler_metadata: metadata.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect(),
        }
    }

    /// The target's name, or the message.
    fn check(scaled_object: &str, metadata: &[(&str, &str)], expected: Result<&str, &str>) {
        let board = board();
        let found = bound_target(&board, Some(&reference(scaled_object, metadata)));
        let found = found.map(|target| target.name.to_string()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(Into::into).map_err(Into::into));
    }

    #[test]
    fn a_scaled_object_may_ask_for_its_own_target() {
        check("payments/payments-api", &[("target", "payments-api")], Ok("payments-api"));
    }

    #[test]
    fn keys_that_are_not_ours_are_skipped() {
        let metadata =
            [("scalerAddress", "tidetable:50051"), ("enableTLS", "true"), ("target", " payments-api ")];
        check("payments/payments-api", &metadata, Ok("payments-api"));
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_nearest_of_the_same_namespace() {
        check(
            "payments/payments-api",
            &[("target", "paymnets-api")],
            Err("no target \"paymnets-api\" is configured; did you mean \"payments-api\"?"),
        );
    }

    #[test]
    fn names_of_another_namespace_are_not_told() {
        check(
            "shop/checkout",
            &[("target", "ledgr")],
            Err(
                "no target \"ledgr\" is configured; correct `target` in the trigger metadata of shop/checkout, \
                 or add the target to tidetable's configuration",
            ),
        );
    }

    #[test]
    fn a_target_of_somebody_else_is_refused_without_saying_whose_it_is() {
        check(
            "shop/checkout",
            &[("target", "ledger")],
            Err(
                "target \"ledger\" is not bound to ScaledObject shop/checkout; set `scaledObject: shop/checkout` \
                 for it in tidetable's configuration, or name a target of your own",
            ),
        );
        check(
            "shop/ledger",
            &[("target", "ledger")],
            Err(
                "target \"ledger\" is not bound to ScaledObject shop/ledger; set `scaledObject: shop/ledger` \
                 for it in tidetable's configuration, or name a target of your own",
            ),
        );
    }

    #[test]
    fn a_missing_key_is_answered_with_the_line_to_write() {
        check(
            "payments/payments-api",
            &[("targetName", "x")],
            Err(
                "the trigger metadata have no `target` (`targetName` is not read); add `target: payments-api`",
            ),
        );
        check(
            "shop/checkout",
            &[("target", "  ")],
            Err("the trigger metadata have no `target`; add `target: <name of a target>`"),
        );
    }

    #[test]
    fn a_call_by_hand_is_told_what_keda_fills_in() {
        let board = board();
        assert_eq!(bound_target(&board, None), Err(Error::NoScaledObject));
        assert_eq!(
            bound_target(&board, Some(&reference("/payments-api", &[("target", "payments-api")]))),
            Err(Error::NoScaledObject)
        );
    }

    #[test]
    fn metadata_beyond_all_measure_are_refused() {
        let board = board();
        let huge = "x".repeat(MOST_METADATA_BYTES);
        let found = bound_target(&board, Some(&reference("payments/payments-api", &[("target", &huge)])));
        assert_eq!(found, Err(Error::TooLarge { bytes: MOST_METADATA_BYTES + KEY.len() }));
    }

    proptest! {
        #[test]
        fn whatever_strangers_write_the_answer_is_short_and_printable(
            namespace in ".*", name in ".*", target in ".*", key in ".*", text in ".*",
        ) {
            let board = board();
            let mut reference = reference("a/b", &[("target", &target), (&key, &text)]);
            reference.namespace = namespace;
            reference.name = name;
            if let Err(error) = bound_target(&board, Some(&reference)) {
                let message = error.to_string();
                prop_assert!(message.len() < 4096, "{} bytes", message.len());
                prop_assert!(!message.chars().any(char::is_control), "{message:?}");
            }
        }
    }
}
