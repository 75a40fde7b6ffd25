//! Pay days, benefit days, tax days and shopping days.

use chrono::{Datelike, NaiveDate};

use crate::reference::{Table, date, occurrences, same};

/// Nominal and actual dates of a calendar's recurrences.
fn ours(name: &str, which: &str) -> Vec<(NaiveDate, NaiveDate)> {
    occurrences(name, which).iter().map(|occurrence| (occurrence.nominal, occurrence.date)).collect()
}

fn theirs(table: &Table, nominal: &str, actual: &str, filter: (&str, &str)) -> Vec<(NaiveDate, NaiveDate)> {
    let rows = table.columns([nominal, actual, filter.0]).into_iter();
    rows.filter(|[_, _, kind]| *kind == filter.1)
        .map(|[nominal, actual, _]| (date(nominal), date(actual)))
        .collect()
}

fn actual(pairs: Vec<(NaiveDate, NaiveDate)>) -> Vec<NaiveDate> {
    pairs.into_iter().map(|(_, actual)| actual).collect()
}

fn column(table: &Table, column: &str) -> Vec<NaiveDate> {
    table.columns([column]).into_iter().map(|[day]| date(day)).collect()
}

#[test]
fn semi_monthly_pay_is_rolled_back_over_fed_holidays() {
    let table = Table::read("semi_monthly_us.csv");
    for leg in ["mid", "end"] {
        let theirs = theirs(&table, "nominal_date", "pay_date_previous_bd", ("leg", leg));
        same(leg, ours("us-payroll-semi-monthly", leg), theirs);
    }
}

#[test]
fn month_end_pay_is_on_the_last_business_day() {
    let us = Table::read("last_business_day_us.csv");
    let pairs = us.columns(["last_calendar_day", "last_business_day"]);
    let pairs = pairs.into_iter().map(|[nominal, actual]| (date(nominal), date(actual))).collect();
    same("us", ours("us-payroll-month-end", ""), pairs);
    let euro = Table::read("last_business_day_target2.csv");
    same("euro", actual(ours("eu-payroll-month-end", "")), column(&euro, "last_business_day"));
}

#[test]
fn weekly_and_biweekly_pay_is_on_fridays_or_the_day_before() {
    let table = Table::read("weekly_friday_us.csv");
    let (nominal, actual) = ("nominal_friday", "pay_date_previous_bd");
    let phase = |phase| theirs(&table, nominal, actual, ("biweekly_phase", phase));
    same("weekly", ours("us-payroll-weekly", ""), [phase("A"), phase("B")].concat());
    same("phase A", ours("us-payroll-biweekly-a", ""), phase("A"));
    same("phase B", ours("us-payroll-biweekly-b", ""), phase("B"));
    // Juneteenth of 2026 is a Friday.
    assert!(ours("us-payroll-weekly", "").contains(&(date("2026-06-19"), date("2026-06-18"))));
}

#[test]
fn british_pay_is_rolled_back_over_bank_holidays() {
    let table = Table::read("uk_payroll.csv");
    for (name, kind) in
        [("25th", "25th"), ("28th", "28th"), ("last-friday", "last_friday"), ("month-end", "last_bd")]
    {
        let theirs = theirs(&table, "nominal_date", "pay_date_previous_bd", ("kind", kind));
        same(kind, ours(&format!("uk-payroll-{name}"), ""), theirs);
    }
}

#[test]
fn indian_salaries_are_paid_on_the_last_the_first_or_by_the_seventh() {
    let table = Table::read("india_salary.csv");
    // The last day of 2026 is beyond the table's months.
    let until_2026 = |name| {
        let dates = ours("in-salary", name).into_iter().filter(|(nominal, _)| nominal.year() <= 2026);
        actual(dates.collect())
    };
    same("last", until_2026("last business day"), column(&table, "last_nse_business_day"));
    same("first", until_2026("first business day"), column(&table, "first_nse_business_day"));
    same("seventh", until_2026("seventh"), column(&table, "seventh_or_previous"));
}

#[test]
fn benefits_of_the_first_may_be_paid_in_the_year_before() {
    let table = Table::read("us_benefit_days.csv");
    for kind in ["SS_cycle2_2ndWed", "SS_cycle3_3rdWed", "SS_cycle4_4thWed", "SS_3rd", "SSI_1st"] {
        same(kind, ours("us-benefits", kind), theirs(&table, "nominal_date", "pay_date", ("kind", kind)));
    }
}

#[test]
fn tax_returns_are_due_on_the_next_day_that_is_none_of_rest() {
    let table = Table::read("us_tax_day.csv");
    same("us-tax", actual(ours("us-tax", "filing day")), column(&table, "actual"));
}

#[test]
fn shopping_days_follow_thanksgiving_the_date_and_the_moon() {
    let table = Table::read("commerce_events.csv");
    for (calendar, name, event) in [
        ("us-commerce", "Thanksgiving", "thanksgiving"),
        ("us-commerce", "Black Friday", "black_friday"),
        ("us-commerce", "Cyber Monday", "cyber_monday"),
        ("us-commerce", "Prime Day", "prime_day_us"),
        ("cn-commerce", "6.18", "618"),
        ("cn-commerce", "Singles' Day", "singles_day"),
        ("cn-commerce", "12.12", "double_12"),
        ("uk-commerce", "Boxing Day", "boxing_day"),
        ("in-commerce", "Diwali", "diwali"),
    ] {
        let ours = occurrences(calendar, name);
        let ours = ours.iter().map(|occurrence| (occurrence.date, occurrence.last)).collect();
        same(name, ours, theirs(&table, "start", "end", ("event", event)));
    }
}
