//! Business days: whose bank is closed when.

use chrono::{Datelike, NaiveDate, Weekday};

use crate::reference::{Table, calendar, date, same, span};

/// Closed days of the working week, by rule.
fn closed(name: &str) -> Vec<NaiveDate> {
    let days = calendar(name).days.clone().expect("business days");
    let (first, last) = span();
    first.iter_days().take_while(|date| *date <= last).filter(|date| days.holiday(*date).is_some()).collect()
}

fn is_working(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

#[test]
fn the_federal_reserve_closes_on_mondays_for_sundays_and_never_for_saturdays() {
    let table = Table::read("us_fed_holidays.csv");
    let closed_dates = table.columns(["fed_bank_closed_date", "fed_bank_closed"]).into_iter();
    let theirs = closed_dates.filter(|[_, closed]| *closed == "1").map(|[day, _]| date(day));
    same("us-fed", closed("us-fed"), theirs.filter(|date| is_working(*date)).collect());
    // Where the difference is: NYSE is closed and banks are open.
    assert!(!closed("us-fed").contains(&date("2026-07-03")) && closed("nyse").contains(&date("2026-07-03")));
}

#[test]
fn federal_offices_close_on_fridays_for_saturdays() {
    let table = Table::read("us_fed_holidays.csv");
    let theirs = table.columns(["opm_observed_date"]).into_iter().map(|[day]| date(day));
    let within = |date: &NaiveDate| (span().0..=span().1).contains(date);
    // New Year's Day of 2028 is a Saturday, kept on the last day of the span; the table ends with nominal dates of 2027.
    let ours = closed("us-federal").into_iter().filter(|day| *day != date("2027-12-31"));
    let mut theirs: Vec<_> = theirs.filter(within).filter(|day| *day != date("2027-12-31")).collect();
    theirs.sort();
    same("us-federal", ours.collect(), theirs);
    assert!(closed("us-federal").contains(&date("2027-12-31")));
}

#[test]
fn the_three_parts_of_the_united_kingdom_keep_their_own_holidays() {
    let table = Table::read("uk_bank_holidays.csv");
    for (name, column) in
        [("uk", "england_wales"), ("uk-scotland", "scotland"), ("uk-northern-ireland", "northern_ireland")]
    {
        let kept = table.columns(["date", column]).into_iter().filter(|[_, kept]| *kept == "1");
        let mut theirs: Vec<_> = kept.map(|[day, _]| date(day)).filter(|date| is_working(*date)).collect();
        theirs.dedup();
        same(name, closed(name), theirs);
    }
}

#[test]
fn target_moves_no_holiday() {
    let table = Table::read("target2_holidays.csv");
    let days = calendar("target2").days.clone().unwrap();
    let (first, last) = span();
    let ours = days.closures(first, last).map(|(date, _)| date).collect();
    let theirs = table.columns(["date"]).into_iter().map(|[day]| date(day)).collect();
    same("target2, weekends included", ours, theirs);
}
