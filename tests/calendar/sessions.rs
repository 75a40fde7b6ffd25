//! Exchange sessions, instant by instant.

use std::collections::BTreeSet;

use chrono::{NaiveDate, SecondsFormat, TimeZone};
use tidetable::calendar::Session;
use tidetable::time::Timestamp;

use crate::reference::{Table, calendar, date, same, span};

type Row = [String; 6];

fn row(session: &Session) -> Row {
    let text = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let pause = |side: fn((Timestamp, Timestamp)) -> Timestamp| {
        session.pause.map(side).map_or_else(String::new, text)
    };
    [
        session.date.to_string(),
        text(session.open),
        text(session.close),
        u8::from(session.early_close).to_string(),
        pause(|(start, _)| start),
        pause(|(_, end)| end),
    ]
}

fn ours(name: &str, until: NaiveDate) -> Vec<Row> {
    let exchange = calendar(name).exchange.clone().expect("an exchange");
    exchange.sessions(span().0, until).map(|session| row(&session)).collect()
}

fn theirs(mic: &str) -> Vec<Row> {
    let columns = ["date", "open_utc", "close_utc", "early_close", "break_start_utc", "break_end_utc"];
    let table = Table::read(&format!("{mic}_sessions.csv.gz"));
    table.columns(columns).into_iter().map(|row| row.map(str::to_owned)).collect()
}

/// Dates on which the oracle is known to be wrong.
fn known_errors(calendar: &str) -> BTreeSet<String> {
    let errors = Table::read("known_oracle_errors.csv");
    let rows = errors.columns(["calendar", "date"]).into_iter();
    rows.filter(|[name, _]| *name == calendar).map(|[_, date]| date.to_owned()).collect()
}

fn check(name: &str, mic: &str) {
    same(name, ours(name, span().1), theirs(mic));
}

#[test]
fn new_york_opens_closes_and_closes_early_as_it_does() {
    check("nyse", "xnys");
    check("nasdaq", "xnys");
}

#[test]
fn london_opens_closes_and_closes_early_as_it_does() {
    check("lse", "xlon");
}

#[test]
fn frankfurt_opens_closes_and_closes_early_as_it_does() {
    check("xetra", "xetr");
}

#[test]
fn tokyo_has_a_lunch_break_and_closes_later_since_november_2024() {
    check("tse", "xtks");
}

#[test]
fn hong_kong_has_half_days_and_differs_where_the_oracle_is_known_to_be_wrong() {
    let errors = known_errors("xhkg");
    assert_eq!(errors.len(), 2, "{errors:?}");
    let ours = ours("hkex", span().1);
    assert!(ours.iter().all(|row| !errors.contains(&row[0])), "closed on {errors:?}");
    let theirs = theirs("xhkg").into_iter().filter(|row| !errors.contains(&row[0])).collect();
    same("hkex", ours, theirs);
}

#[test]
fn mumbai_has_the_usual_sessions_of_the_oracle_and_the_special_ones_of_the_exchange() {
    let until = date("2026-12-31");
    let table = Table::read("xnse_special_sessions.csv");
    let special: Vec<_> = table
        .columns(["date", "open_ist", "close_ist"])
        .into_iter()
        .filter(|[_, open, _]| !open.is_empty())
        .map(|[date, open, close]| {
            let at = |time: &str| {
                let local = format!("{date}T{time}:00").parse().unwrap();
                chrono_tz::Asia::Kolkata.from_local_datetime(&local).unwrap().to_utc()
            };
            [at(open), at(close)].map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
        })
        .collect();
    let is_special = |row: &Row| special.iter().any(|[open, close]| *open == row[1] && *close == row[2]);
    let (ours_special, ours_usual): (Vec<_>, Vec<_>) = ours("nse", until).into_iter().partition(is_special);
    assert_eq!(ours_special.len(), special.len(), "every special session whose hours are known");

    // The outage of 2021-02-24 moved the close to 17:00 in Mumbai; the oracle has it at the usual time.
    let outage = "2021-02-24";
    assert!(known_errors("xnse").contains(outage));
    let extended = ours_usual.iter().find(|row| row[0] == outage).unwrap();
    assert_eq!(extended[2], "2021-02-24T11:30:00Z");
    let others = |rows: Vec<Row>| rows.into_iter().filter(|row| row[0] != outage).collect();
    same("nse", others(ours_usual), others(theirs("xnse")));
}
