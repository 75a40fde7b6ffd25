//! Calendars and events as an operator writes them: in the configuration and in files beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;
use tidetable::calendar::{DayKind, Window, WindowSource};
use tidetable::config::{self, Config};
use tidetable::time::Timestamp;

const TARGET: &str = "
sources: { main: { prometheus: { url: http://prometheus:9090 } } }
targets:
  api:
    scaledObject: payments/api
    demand: { source: main, query: up }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: America/New_York
    labels: { team: payments, tier: front }
    calendars: [us-payroll-semi-monthly, nyse, us-fed]
  batch:
    scaledObject: payments/batch
    demand: { source: main, query: up }
    capacity: { perReplica: 120 }
    replicas: { min: 3, max: 200 }
    timezone: Asia/Kolkata
    labels: { team: payments }
";

/// A folder with a configuration and the files beside it.
fn folder(sections: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tidetable.yaml"), format!("{sections}{TARGET}")).expect("a file");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load(folder: &TempDir) -> Result<Config, String> {
    config::load(&folder.path().join("tidetable.yaml")).map_err(|error| {
        let text = error.to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    })
}

fn complaints(sections: &str, files: &[(&str, &str)]) -> String {
    load(&folder(sections, files)).expect_err("a mistake")
}

fn windows(config: &Config, target: &str, from: &str, until: &str) -> Vec<Window> {
    let target = config.targets.iter().find(|one| &*one.name == target).expect("the target");
    let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
    target.almanac.over(at(from)..at(until)).windows().to_vec()
}

/// `NAME at FROM..UNTIL`, a line each.
fn listed(windows: &[Window]) -> String {
    windows.iter().fold(String::new(), |mut text, window| {
        let uplift = window.uplift.map_or_else(String::new, |up| format!(" x{}..{}", up.expected, up.upper));
        let peak = window.peak.map_or_else(String::new, |peak| format!(" peak {}", peak.get()));
        let (at, from, until) = (window.at.to_rfc3339(), window.from.time(), window.until.time());
        writeln!(text, "{} at {at} {from}..{until}{uplift}{peak}", window.name).expect("a String");
        text
    })
}

const EVENTS: &str = "\
events:
  - { name: phone launch, targets: [batch], at: 2026-11-27T11:00:00, timezone: Asia/Kolkata, uplift: { expected: 6, upper: 12 },
      ramp: 5m, hold: 45m, decay: 2h, owner: growth, ticket: CHG-1432 }
  - { name: board meeting, at: 2026-11-27T09:00:00Z, peak: 12000, hold: 1h, ramp: 0s, decay: 0s }
  - { name: called off, at: 2026-11-27T09:00:00Z, cancelled: true }
  - { name: sale, at: 2026-11-27T01:00:00-05:00, profile: flash-sale, cutShort: 2026-11-27T06:30:00Z }
";

#[test]
fn a_target_hears_its_calendars_and_its_events() {
    let config = load(&folder(EVENTS, &[])).expect("a configuration");
    let (from, until) = ("2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z");
    assert_snapshot!("heard_api", listed(&windows(&config, "api", from, until)));
    assert_snapshot!("heard_batch", listed(&windows(&config, "batch", from, until)));
    let target = &config.targets[0];
    let outlook = target.almanac.over(from.parse().expect("an instant")..until.parse().expect("an instant"));
    let day = |text: &str| outlook.day(text.parse().expect("a date"));
    assert_eq!(day("2026-11-26").kind, DayKind::Holiday, "Thanksgiving");
    assert_eq!(day("2026-11-26").name.as_deref(), Some("Thanksgiving"));
    assert_eq!(day("2026-11-27").kind, DayKind::HalfDay);
    assert_eq!(day("2026-11-28").kind, DayKind::Weekend);
}

#[test]
fn an_event_that_is_meant_for_labels_moves_every_target_that_bears_them() {
    let table = "name,at,labels,hold\nsmall sale,2026-11-27T10:00:00Z,tier=front team=payments,1h\n";
    let calendar = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:audit\r\nDTSTART:20261127T110000Z\r\n\
                    DURATION:PT1H\r\nX-TIDETABLE-LABELS:team=payments,tier=front\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let sections = "\
events:
  - { name: launch, at: 2026-11-27T08:00:00Z, labels: { team: payments }, hold: 1h }
  - { name: front only, at: 2026-11-27T09:00:00Z, labels: { tier: front }, hold: 1h }
  - { name: front and batch, at: 2026-11-27T09:00:00Z, labels: { tier: front }, targets: [batch], hold: 1h }
eventFiles:
  - { file: sales.csv, targets: [batch] }
  - { file: audits.ics }
  - { file: mails.yaml, labels: { tier: front } }
";
    let mails = "- { name: mail, at: 2026-11-27T12:00:00Z, hold: 1h }\n";
    let files = [("sales.csv", table), ("audits.ics", calendar), ("mails.yaml", mails)];
    let config = load(&folder(sections, &files)).expect("a configuration");
    let heard = |target: &str| -> Vec<String> {
        let windows = windows(&config, target, "2026-11-27T08:00:00Z", "2026-11-27T13:00:00Z");
        let events = windows.into_iter().filter(|window| window.source == WindowSource::Event);
        events.map(|window| window.name.to_string()).collect()
    };
    assert_eq!(heard("api"), ["launch", "front and batch", "front only", "small sale", "audit", "mail"]);
    assert_eq!(heard("batch"), ["launch", "front and batch"]);
    assert_eq!(config.targets[0].labels["tier"], "front");

    let typo = "events: [{ name: launch, at: 2026-11-27T08:00:00Z, labels: { team: paymnts } }]\n";
    assert_snapshot!("labels_mistaken", complaints(typo, &[]));
}

#[test]
fn the_effective_configuration_reads_back_with_calendars_and_events() {
    let own = format!(
        "{EVENTS}calendars:\n  our-freeze: {{ dates: [2026-12-24, 2026-12-30/2026-12-31] }}\n  \
         nyse: {{ extends: nyse, closed: [{{ date: 2026-11-30 }}] }}\n"
    );
    let config = load(&folder(&own, &[])).expect("a configuration");
    let again = config::parse("printed", &config.effective()).expect("what was printed");
    assert_eq!(config, again);
    let monday = windows(&config, "api", "2026-11-30T00:00:00Z", "2026-11-30T23:00:00Z");
    assert!(monday.iter().all(|window| !window.name.starts_with("nyse")), "{}", listed(&monday));
}

#[test]
fn every_mistake_in_calendars_and_events_has_its_place_and_a_remedy() {
    let sections = "\
models: nowhere
calendars:
  nyse: { closed: [{ date: 2026-10-30 }] }
  ours: { recurrences: [{ on: 32nd, profile: payrol }] }
  round: { extends: square }
  square: { extends: round }
events:
  - { name: '', at: 2026-11-27T11:00:00 }
  - { name: a, at: tomorrow, timezone: Asia/Calcuta }
  - { name: b, at: 2026-11-27T11:00:00Z, targets: [apy], uplift: { expected: 6, upper: 2 } }
  - { name: c, at: 2026-11-27T11:00:00Z, uplift: { expected: 2, upper: 3 }, peak: -1, hold: long }
  - { name: d, at: 0026-11-27T11:00:00Z, hold: 0s, ramp: 0s, decay: 0s, profile: nope }
  - { at: 2026-11-27T11:00:00Z, uplifts: 3 }
eventFiles:
  - { file: missing.ics }
  - { file: launches.txt }
  - { file: launches.ics, profile: nope, targets: [], categories: { sale: nope } }
";
    assert_snapshot!(complaints(sections, &[("launches.txt", "hello"), ("launches.ics", "")]));
}

#[test]
fn calendars_in_a_circle_and_strangers_of_a_target_are_named() {
    let circle = "calendars:\n  round: { extends: square }\n  square: { extends: round }\n";
    assert_snapshot!("circle", complaints(circle, &[]));
    let stranger = folder("", &[]);
    let path = stranger.path().join("tidetable.yaml");
    fs::write(&path, TARGET.replace("nyse, us-fed", "nise, us-fed")).expect("a file");
    assert_snapshot!("stranger", load(&stranger).expect_err("a stranger"));
}

#[test]
fn a_mounted_folder_adds_to_what_is_shipped_and_its_mistakes_have_their_own_file() {
    let bank = "title: Our bank\nbusinessDays: us-fed\nclosed: [{ date: 2026-11-27, name: audit }]\n";
    let nyse = "extends: nyse\nearlyCloses: [{ on: 2026-11-30, close: '12:00' }]\n";
    let profile = "ramp: 1h\nhold: 1h\n";
    let files =
        [("m/calendars/bank.yaml", bank), ("m/calendars/nyse.yaml", nyse), ("m/profiles/slow.yaml", profile)];
    let config = load(&folder(
        "models: m\nevents: [{ name: slow, at: 2026-11-30T12:00:00Z, profile: slow }]\n",
        &files,
    ));
    let config = config.expect("a configuration");
    assert!(config.calendars.library.calendar("bank").is_some());
    let monday = windows(&config, "api", "2026-11-30T16:00:00Z", "2026-11-30T18:00:00Z");
    assert_snapshot!("mounted", listed(&monday));

    let wrong =
        [("m/calendars/bank.yaml", "businessDays: us-fde\n"), ("m/profiles/slow.yaml", "hold: long\n")];
    assert_snapshot!("mounted_mistakes", complaints("models: m\n", &wrong));
    assert_snapshot!("mounted_nothing", complaints("models: m\n", &[("m/readme", "")]));
}

const LAUNCHES: &str = "BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VEVENT\r
UID:CHG-1\r
SUMMARY:phone launch\\, second\r
  wave\r
DTSTART;TZID=Asia/Kolkata:20261127T110000\r
DTEND;TZID=Asia/Kolkata:20261127T114500\r
ORGANIZER;CN=\"Growth: India\":mailto:growth@example.com\r
CATEGORIES:LAUNCH,whatever\r
X-TIDETABLE-EXPECTED:6\r
X-TIDETABLE-UPPER:12\r
X-TIDETABLE-TARGETS:batch\r
BEGIN:VALARM\r
TRIGGER:-PT15M\r
SUMMARY:not this one\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:weekly\r
SUMMARY:promotion\r
DTSTART:20261030T013000\r
DURATION:PT30M\r
RRULE:FREQ=WEEKLY;COUNT=4\r
EXDATE:20261106T013000\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:weekly\r
RECURRENCE-ID:20261113T013000\r
SUMMARY:promotion\r
DTSTART:20261114T090000\r
DURATION:PT30M\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:off\r
SUMMARY:called off\r
DTSTART:20261101T090000Z\r
STATUS:CANCELLED\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:day\r
SUMMARY:open day\r
DTSTART;VALUE=DATE:20261105\r
DTEND;VALUE=DATE:20261106\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn an_icalendar_feeds_events() {
    let file =
        "eventFiles: [{ file: a.ics, timezone: America/New_York, categories: { LAUNCH: flash-sale } }]\n";
    let config = load(&folder(file, &[("a.ics", LAUNCHES)])).expect("a configuration");
    assert_snapshot!(
        "icalendar",
        listed(&windows(&config, "batch", "2026-10-01T00:00:00Z", "2026-12-01T00:00:00Z"))
    );
    let api = config.targets.iter().find(|target| &*target.name == "api").expect("api");
    assert!(api.almanac.events().iter().all(|event| !event.name.starts_with("phone")));
    let launch = config.calendars.events[0].event.clone();
    assert_eq!((launch.owner.as_deref(), launch.ticket.as_deref()), (Some("Growth: India"), Some("CHG-1")));
}

#[test]
fn every_mistake_of_an_icalendar_has_its_line_and_a_remedy() {
    let event = |lines: &str| format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}END:VEVENT\nEND:VCALENDAR\n");
    let wrong = [
        "hello\n".to_owned(),
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\n".to_owned(),
        "BEGIN:VCALENDAR\nEND:VEVENT\n".to_owned(),
        event("SUMMARY\n"),
        event("SUMMARY:a\n"),
        event("DTSTART:20261101T090000Z\n"),
        event("SUMMARY:a\nDTSTART:tomorrow\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000\n"),
        event("SUMMARY:a\nDTSTART;TZID=Eastern Standard Time:20261101T090000\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nDTEND:20261101T080000Z\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nDURATION:an hour\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nRRULE:FREQ=SOMETIMES\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nRRULE:FREQ=DAILY;COUNT=50000\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nX-TIDETABLE-PEAK:much\n"),
        event("SUMMARY:a\nDTSTART:20261101T090000Z\nX-TIDETABLE-EXPECTED:3\n"),
    ];
    let said: Vec<_> =
        wrong.iter().map(|text| complaints("eventFiles: [{ file: a.ics }]\n", &[("a.ics", text)])).collect();
    assert_snapshot!(said.join("\n"));
}

#[test]
fn a_rule_without_an_end_is_expanded_for_eleven_years_and_no_further() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\nDTSTART:20200101T090000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n";
    let config =
        load(&folder("eventFiles: [{ file: a.ics }]\n", &[("a.ics", text)])).expect("a configuration");
    assert_eq!(config.calendars.events.len(), 4015);
}

#[test]
fn a_table_feeds_events_and_its_mistakes_have_their_line() {
    let table = "name,at,timezone,expected,upper,hold,targets,cancelled\n\
                 kick-off,2026-11-27T15:00:00,Europe/Paris,2,3,105m,api batch,\n\
                 kick-off,2026-11-28T15:00:00,Europe/Paris,,,105m,,true\n";
    let config =
        load(&folder("eventFiles: [{ file: a.csv }]\n", &[("a.csv", table)])).expect("a configuration");
    let (from, until) = ("2026-11-27T00:00:00Z", "2026-11-29T00:00:00Z");
    assert_snapshot!("table", listed(&windows(&config, "batch", from, until)));
    let wrong = [
        "name,at,peak\nkick-off,2026-11-27T15:00:00,much\n,now,\n".to_owned(),
        "name,at,pek\na,2026-11-27T15:00:00Z,1\n".to_owned(),
        "name,at\nshort\n".to_owned(),
        format!("name,at\n{}", "a,soon\n".repeat(1000)),
    ];
    let said = wrong.map(|text| complaints("eventFiles: [{ file: a.csv }]\n", &[("a.csv", &text)]));
    assert!(said[3].lines().count() < 30, "a thousand lines alike are not repeated");
    assert_snapshot!("table_mistakes", said[..3].join("\n"));
    let list = "- { name: a, at: 2026-11-27T15:00:00Z }\n- { nam: b }\n";
    assert_snapshot!("list_mistakes", complaints("eventFiles: [{ file: a.yaml }]\n", &[("a.yaml", list)]));
}

#[test]
fn the_files_to_watch_are_those_the_configuration_names() {
    let files = [("m/profiles/slow.yaml", "hold: 1h\n"), ("e.yaml", "[]\n")];
    let folder = folder("models: m\neventFiles: [{ file: e.yaml }]\n", &files);
    let config = load(&folder).expect("a configuration");
    let expected: Vec<_> = ["m", "e.yaml"].iter().map(|name| folder.path().join(name)).collect();
    assert_eq!(config.calendars.files, expected);
    assert!(config.calendars.files.iter().all(|file| Path::new(file).exists()));
}
