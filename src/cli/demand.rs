//! Which demand of a target a command means.

use crate::config;
use crate::engine::{Demand, Target};

/// Which demand of the target is meant: the one that is called `name`, or its only one.
pub(super) fn named<'a>(target: &'a Target, name: Option<&str>) -> Result<&'a Demand, String> {
    let names = || config::listed(target.demands.iter().map(|demand| &*demand.name));
    match (name, target.demands.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(format!("{} has several demands; give --demand with one of: {}", target.name, names()))
        }
        (Some(name), demands) => demands
            .iter()
            .find(|demand| *demand.name == *name)
            .ok_or_else(|| format!("{} has no demand {name:?}; its demands are: {}", target.name, names())),
    }
}
