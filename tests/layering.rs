//! The arrows of the house, read from our own `use` lines: they point up the list in `lib.rs` and nowhere else.
//!
//! Also found here: files that no module declares, and I/O, clocks, logging or async in the core.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules it may use. `cli` may use everything, and nothing may use `cli`.
const ARROWS: [(&str, &[&str]); 18] = [
    ("units", &[]),
    ("time", &["units"]),
    ("series", &["units", "time"]),
    ("calendar", &["units", "time", "series"]),
    ("forecast", &["units", "time", "series", "calendar"]),
    ("plan", &["units", "time", "series", "calendar", "forecast"]),
    ("guard", &["units", "time", "series", "calendar", "forecast", "plan"]),
    ("decision", &["units", "time", "series", "calendar", "forecast", "plan", "guard"]),
    ("simulate", CORE),
    ("engine", CORE),
    ("source", MIDDLE),
    ("history", MIDDLE),
    ("cluster", MIDDLE),
    ("keda", MIDDLE),
    ("web", MIDDLE),
    ("telemetry", MIDDLE),
    ("config", MIDDLE),
    ("cli", EVERYTHING),
];

const CORE: &[&str] = &["units", "time", "series", "calendar", "forecast", "plan", "guard", "decision"];
const MIDDLE: &[&str] =
    &["units", "time", "series", "calendar", "forecast", "plan", "guard", "decision", "simulate", "engine"];
const EVERYTHING: &[&str] = &[
    "units",
    "time",
    "series",
    "calendar",
    "forecast",
    "plan",
    "guard",
    "decision",
    "simulate",
    "engine",
    "source",
    "history",
    "cluster",
    "keda",
    "web",
    "telemetry",
    "config",
];

/// What the core may not name: it neither waits, nor reads, nor writes, nor knows what time it is.
const NOT_IN_CORE: [&str; 14] = [
    "tokio",
    "tracing",
    "reqwest",
    "axum",
    "tonic",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "SystemTime",
    "Instant",
    "Utc::now",
    "println!",
    "async fn",
];

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module of the top level that a file belongs to: `src/engine/board.rs` to `engine`.
fn module(file: &Path) -> String {
    let relative = file.strip_prefix(source_root()).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: without comments, so that prose may name what code may not. The slashes of a URL begin none.
fn code(text: &str) -> String {
    let comment = |line: &str| {
        line.match_indices("//").map(|(at, _)| at).find(|at| *at == 0 || !line[..*at].ends_with(':'))
    };
    text.lines().map(|line| &line[..comment(line).unwrap_or(line.len())]).collect::<Vec<_>>().join("\n")
}

/// The modules of ours that some code names. A list behind `crate::` is one that this cannot read, and so an arrow to
/// nowhere: STYLE asks for one `use` per module.
fn named(code: &str) -> BTreeSet<String> {
    let after = code.split("crate::").skip(1);
    after
        .map(|path| path.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect())
        .collect()
}

/// How many `super::` in a row lead from a file of the module tree to the crate's root.
fn depth(file: &Path) -> usize {
    let parts = file.strip_prefix(source_root()).unwrap().components().count();
    if file.file_name().is_some_and(|name| name == "mod.rs") { parts - 1 } else { parts }
}

/// Arrows of one file that the table does not have.
fn wrong_arrows(module: &str, code: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{module} is not in the table")];
    };
    named(code)
        .into_iter()
        .filter(|used| used != module && !allowed.contains(&used.as_str()))
        .map(|used| format!("{module} -> {used}"))
        .collect()
}

#[test]
fn every_arrow_points_up_the_list() {
    let mut wrong = Vec::new();
    for file in rust_files(&source_root()) {
        let module = module(&file);
        if module != "lib" && module != "main" {
            let code = code(&fs::read_to_string(&file).unwrap());
            let arrows = wrong_arrows(&module, &code);
            // Tests are a module deeper, so theirs is one more than leaves the top module.
            if code.contains(&"super::".repeat(depth(&file) + 1)) {
                wrong.push(format!("{}: reaches over the root by super::", file.display()));
            }
            wrong.extend(arrows.into_iter().map(|arrow| format!("{}: {arrow}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "arrows that point back:\n{}", wrong.join("\n"));
}

#[test]
fn an_arrow_that_points_back_is_found() {
    assert_eq!(wrong_arrows("forecast", "use crate::plan::Plan;"), ["forecast -> plan"]);
    assert_eq!(wrong_arrows("keda", "let x = crate::source::prometheus::Source;"), ["keda -> source"]);
    assert_eq!(wrong_arrows("web", "use crate::{engine::{Board, Clock}, telemetry};"), ["web -> "]);
    assert_eq!(
        wrong_arrows("web", &code("let url = \"http://x\"; crate::telemetry::y();")),
        ["web -> telemetry"]
    );
    assert_eq!(wrong_arrows("engine", "use crate::cli;"), ["engine -> cli"]);
    assert!(wrong_arrows("cli", "use crate::engine::Board;\nuse crate::telemetry;").is_empty());
    assert!(wrong_arrows("plan", &code("// see crate::engine\nuse crate::units::Load;")).is_empty());
}

#[test]
fn the_core_neither_waits_nor_reads_nor_knows_the_time() {
    let core: BTreeSet<&str> = CORE.iter().copied().chain(["simulate"]).collect();
    let mut found = Vec::new();
    for file in rust_files(&source_root()) {
        if !core.contains(module(&file).as_str()) {
            continue;
        }
        let code = code(&fs::read_to_string(&file).unwrap());
        let words: BTreeSet<&str> =
            code.split(|sign: char| !(sign.is_alphanumeric() || sign == '_')).collect();
        for banned in NOT_IN_CORE {
            let whole_word = banned.chars().all(char::is_alphanumeric);
            if if whole_word { words.contains(banned) } else { code.contains(banned) } {
                found.push(format!("{}: {banned}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "not for the core:\n{}", found.join("\n"));
}

#[test]
fn every_file_is_declared_by_a_module() {
    let mut declared: BTreeSet<PathBuf> = ["lib.rs", "main.rs"].map(|name| source_root().join(name)).into();
    let mut open: Vec<PathBuf> = declared.iter().cloned().collect();
    while let Some(file) = open.pop() {
        let text = code(&fs::read_to_string(&file).unwrap());
        let name = file.file_name().unwrap().to_str().unwrap();
        let home = if ["lib.rs", "main.rs", "mod.rs"].contains(&name) {
            file.parent().unwrap().to_owned()
        } else {
            file.with_extension("")
        };
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
            let Some(at) = words.iter().position(|word| *word == "mod") else { continue };
            let Some(child) = words.get(at + 1).filter(|_| line.ends_with(';')) else { continue };
            for path in [home.join(format!("{child}.rs")), home.join(child).join("mod.rs")] {
                if path.exists() && declared.insert(path.clone()) {
                    open.push(path);
                }
            }
        }
    }
    let lost: Vec<_> =
        rust_files(&source_root()).into_iter().filter(|file| !declared.contains(file)).collect();
    assert!(lost.is_empty(), "no module declares {lost:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: BTreeMap<_, _> = rust_files(&source_root())
        .into_iter()
        .filter_map(|file| {
            let first = fs::read_to_string(&file).unwrap().lines().next().unwrap_or_default().to_owned();
            (!first.starts_with("//!") && !first.contains("@generated")).then_some((file, first))
        })
        .collect();
    assert!(silent.is_empty(), "files that do not begin with //!: {silent:?}");
}
