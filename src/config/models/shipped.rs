//! The models that are part of the binary. A file that is added to `models/` is added here; a test compares the two.

use super::library::{ModelFile, ModelKind};

/// `(name, text)` of one file.
macro_rules! models {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../models/", $folder, "/", $name, ".yaml")))),*]
    };
}

const CALENDARS: &[(&str, &str)] = models!["calendars":
    "cn-commerce",
    "eu-payroll-month-end",
    "fedwire-end-of-day",
    "hkex",
    "in-commerce",
    "in-nse",
    "in-salary",
    "in-tax",
    "lse",
    "month-end",
    "nasdaq",
    "nse",
    "nyse",
    "t2-end-of-day",
    "target2",
    "tse",
    "uk",
    "uk-commerce",
    "uk-northern-ireland",
    "uk-payroll-25th",
    "uk-payroll-28th",
    "uk-payroll-last-friday",
    "uk-payroll-month-end",
    "uk-scotland",
    "uk-tax",
    "us-ach",
    "us-benefits",
    "us-commerce",
    "us-fed",
    "us-federal",
    "us-payroll-biweekly-a",
    "us-payroll-biweekly-b",
    "us-payroll-files",
    "us-payroll-month-end",
    "us-payroll-semi-monthly",
    "us-payroll-weekly",
    "us-tax",
    "us-tax-filing",
    "xetra",
];

const PROFILES: &[(&str, &str)] = models!["profiles":
    "day",
    "deadline",
    "end-of-day",
    "flash-sale",
    "market-close",
    "market-open",
    "month-end",
    "payroll",
    "sale-day",
];

/// Every shipped file.
pub(super) fn files() -> Vec<ModelFile> {
    let calendars = CALENDARS.iter().map(|model| file("calendars", ModelKind::Calendar, model));
    let profiles = PROFILES.iter().map(|model| file("profiles", ModelKind::Profile, model));
    calendars.chain(profiles).collect()
}

fn file(folder: &str, kind: ModelKind, (name, text): &(&str, &str)) -> ModelFile {
    let file = format!("models/{folder}/{name}.yaml");
    ModelFile { file, name: (*name).to_owned(), kind, text: (*text).to_owned() }
}
