//! The files of `models/`: all shipped, all described, none out of date without saying so.

use std::collections::BTreeSet;
use std::path::Path;

use tidetable::config::{self, Library, ModelFile, ModelKind};

fn files(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_is_part_of_the_binary() {
    let library = Library::shipped();
    let shipped: BTreeSet<_> = library.calendars().map(|calendar| calendar.name.to_string()).collect();
    assert_eq!(shipped, files("calendars"));
    assert_eq!(library.profiles().map(str::to_owned).collect::<BTreeSet<_>>(), files("profiles"));
}

#[test]
fn every_calendar_says_what_it_is_and_where_it_comes_from() {
    for calendar in Library::shipped().calendars() {
        assert!(!calendar.title.is_empty() && !calendar.source.is_empty(), "{}", calendar.name);
        let has_a_table = |text: &str| text.contains("closed:") || text.contains("dates:");
        let path = format!("models/calendars/{}.yaml", calendar.name);
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        assert!(calendar.valid_until.is_some() || !has_a_table(&text), "{}: a table expires", calendar.name);
    }
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, schema) in [("calendar", config::calendar_schema()), ("profile", config::profile_schema())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} is old; UPDATE_SCHEMA=1 rewrites it", path.display());
    }
}

fn complaints(files: &[(&str, &str)]) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| ModelFile {
            file: format!("{name}.yaml"),
            name: (*name).to_owned(),
            kind: ModelKind::Calendar,
            text: (*text).to_owned(),
        })
        .collect();
    Library::shipped().with_files(&files).expect_err("a mistake").to_string()
}

#[test]
fn every_mistake_of_a_model_has_its_file_its_line_and_a_remedy() {
    insta::assert_snapshot!(complaints(&[
        (
            "ours",
            "titel: Ours\ntimezone: America/NewYork\nvalidUntil: soon\nholidays:\n  - { name: A, on: 3rd Mondey of May }\n  \
             - { on: 5 May, from: 2020, until: 2019 }\nhours:\n  - { open: '16:00', close: '09:30' }\n  \
             - { open: 9:30, close: 25:00, break: noon }\nearlyCloses:\n  - { on: 24 December }\n\
             recurrences:\n  - { on: 15th, calendar: us-fde, profile: pay-roll }\n  - { at: noon }\n  - { name: x }\n  \
             - { on: 1st, offset: 99, roll: back }\n  - { on: 1st, dates: [2026-01-01] }\ndates: [2026-13-01, 2026-02-01/2026-01-01]\n"
        ),
        ("not-yaml", "a: [\n"),
        ("never", "closed: []\nweekend: [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]\n"),
    ]));
}

#[test]
fn calendars_that_refer_to_each_other_in_a_circle_are_refused() {
    insta::assert_snapshot!(complaints(&[
        ("a", "businessDays: b\n"),
        ("b", "extends: a\n"),
        ("bell", "recurrences: [{ at: open }]\n"),
        ("never", "weekend: [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]\n"),
    ]));
}

#[test]
fn an_operator_closes_opens_and_shortens_days_of_what_is_shipped() {
    let text = "extends: nyse\nclosed: [{ date: 2026-10-30, name: flood }]\nopen: [2026-11-26]\n\
                earlyCloses: [{ on: 2026-10-29, close: '12:00' }]\n";
    let file = ModelFile {
        file: "nyse.yaml".to_owned(),
        name: "nyse".to_owned(),
        kind: ModelKind::Calendar,
        text: text.to_owned(),
    };
    let library = Library::shipped().with_files(&[file]).unwrap();
    for name in ["nyse", "nasdaq"] {
        let exchange = library.calendar(name).unwrap().exchange.clone().unwrap();
        let session = |date: &str| exchange.session(date.parse().unwrap());
        assert!(session("2026-10-30").is_none(), "{name} is closed by the override");
        assert!(session("2026-11-26").is_some(), "{name} is opened by the override");
        let early = session("2026-10-29").unwrap();
        assert_eq!((early.early_close, early.close), (true, "2026-10-29T16:00:00Z".parse().unwrap()));
        assert!(session("2026-12-25").is_none(), "{name} keeps what is shipped");
    }
    assert!(
        Library::shipped()
            .calendar("nyse")
            .unwrap()
            .days
            .as_ref()
            .unwrap()
            .is_open("2026-10-30".parse().unwrap())
    );
}
