//! What holds of calendar time whatever the dates: on DST days, across zones, there and back again.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use std::sync::Arc;
use tidetable::calendar::{
    BusinessDays, Closures, Edge, Envelope, Moment, Nominal, Profile, Recurrence, Roll, instant,
};
use tidetable::config::Library;

use crate::reference::{Table, calendar};

struct Transition {
    zone: Tz,
    at: DateTime<Utc>,
    is_gap: bool,
    from: NaiveDateTime,
    until: NaiveDateTime,
}

fn transitions() -> Vec<Transition> {
    let table = Table::read("dst_transitions.csv");
    let columns = ["zone", "instant_utc", "kind", "local_from_inclusive", "local_to_exclusive"];
    let rows = table.columns(columns).into_iter();
    rows.map(|[zone, at, kind, from, until]| Transition {
        zone: zone.parse().unwrap(),
        at: at.parse().unwrap(),
        is_gap: match kind {
            "gap" => true,
            "fold" => false,
            other => panic!("{other}"),
        },
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
    })
    .collect()
}

fn daily(time: NaiveTime, zone: Tz) -> Recurrence {
    Recurrence {
        name: "daily".into(),
        leg: None,
        on: Nominal::Rule("every day".parse().unwrap(), 1970..=2099),
        days: Arc::new(BusinessDays::try_new(&Closures::default()).unwrap()),
        roll: Roll::AsIs,
        offset: 0,
        at: Moment::Time(time),
        zone,
        profile: Arc::new(Profile {
            name: "minute".into(),
            envelope: Envelope { hold: TimeDelta::minutes(1), ..Envelope::default() },
            prior: None,
        }),
    }
}

#[test]
fn every_transition_of_the_table_is_where_the_zone_has_it() {
    let all = transitions();
    assert_eq!(all.len(), 172);
    for Transition { zone, at, is_gap, from, until } in all {
        let just_before = from - TimeDelta::seconds(1);
        assert!(instant(just_before, zone, Edge::Start) < at, "{zone} {at}");
        if is_gap {
            for inside in [from, from + (until - from) / 2, until - TimeDelta::seconds(1), until] {
                for edge in [Edge::Start, Edge::End] {
                    assert_eq!(instant(inside, zone, edge), at, "{zone} {inside}");
                }
            }
        } else {
            let (start, end) = (instant(from, zone, Edge::Start), instant(from, zone, Edge::End));
            assert_eq!((end, end - start), (at, until - from), "{zone} {from}");
            assert_eq!(instant(until, zone, Edge::Start), instant(until, zone, Edge::End));
        }
    }
}

#[test]
fn a_daily_occurrence_fires_once_a_day_across_every_transition() {
    for Transition { zone, at, from, .. } in transitions() {
        let (first, last) = (from.date() - TimeDelta::days(3), from.date() + TimeDelta::days(3));
        for minutes in (0..24 * 60).step_by(15) {
            let time = NaiveTime::MIN + TimeDelta::minutes(minutes);
            let fired: Vec<_> = daily(time, zone).occurrences(first, last);
            assert_eq!(fired.len(), 7, "{zone} {time}");
            assert!(fired.is_sorted_by(|a, b| a.at < b.at), "{zone} {time} around {at}");
            // Spans that meet have each window once: asked in halves, nothing is lost and nothing comes twice.
            let (start, end) = (fired[0].at, fired[6].at + TimeDelta::seconds(1));
            let windows = |from, until| daily(time, zone).windows(&(from..until));
            let (before, after) = (windows(start, at), windows(at, end));
            let both = before
                .iter()
                .chain(&after)
                .map(|window| window.at)
                .collect::<std::collections::BTreeSet<_>>();
            assert_eq!(both.len(), 7, "{zone} {time} around {at}");
        }
    }
}

fn any_business_days() -> impl Strategy<Value = Arc<BusinessDays>> {
    let names: Vec<_> = Library::shipped().calendars().filter_map(|calendar| calendar.days.clone()).collect();
    prop::sample::select(names)
}

fn any_date() -> impl Strategy<Value = NaiveDate> {
    (0_i64..47_000).prop_map(|days| NaiveDate::from_ymd_opt(1971, 1, 1).unwrap() + TimeDelta::days(days))
}

fn any_roll() -> impl Strategy<Value = Roll> {
    prop::sample::select(vec![
        Roll::AsIs,
        Roll::Skip,
        Roll::Previous,
        Roll::Following,
        Roll::ModifiedFollowing,
    ])
}

proptest! {
    #[test]
    fn business_days_forward_and_back_end_where_they_began(
        days in any_business_days(), date in any_date(), count in -60_i64..60,
    ) {
        let open = days.following(date);
        let there = days.plus(open, count);
        prop_assert!(days.is_open(open) && days.is_open(there));
        prop_assert_eq!(days.plus(there, -count), open);
        prop_assert_eq!(there.cmp(&open), count.cmp(&0));
    }

    #[test]
    fn counting_business_days_is_stepping_over_closed_ones(
        days in any_business_days(), date in any_date(), count in 1_i64..40,
    ) {
        let there = days.plus(days.following(date), count);
        let between = days.following(date).iter_days().skip(1).take_while(|day| *day <= there);
        prop_assert_eq!(between.filter(|day| days.is_open(*day)).count(), usize::try_from(count).unwrap());
    }

    #[test]
    fn rolling_never_reverses_two_dates_and_lands_on_open_days(
        days in any_business_days(), date in any_date(), roll in any_roll(), later in 0_i64..40, offset in -10_i64..10,
    ) {
        let moved = |date| roll.apply(date, &days).map(|date| days.plus(date, offset));
        let (first, second) = (moved(date), moved(date + TimeDelta::days(later)));
        if let (Some(first), Some(second)) = (first, second) {
            prop_assert!(first <= second);
        }
        if roll != Roll::AsIs {
            prop_assert!(first.is_none_or(|date| days.is_open(date)));
        }
    }

    #[test]
    fn a_span_has_the_occurrences_of_its_parts(
        date in any_date(), days in 1_i64..400, cut in 0_i64..400, offset in -30_i64..=30, roll in any_roll(),
    ) {
        let bank = calendar("us-fed").days.clone().unwrap();
        let nominal = Nominal::Rule("last day".parse().unwrap(), 1970..=2099);
        let pay = Recurrence { on: nominal, days: bank, roll, offset, ..daily(NaiveTime::MIN, Tz::UTC) };
        let last = date + TimeDelta::days(days);
        let cut = (date + TimeDelta::days(cut)).min(last);
        let whole = pay.occurrences(date, last);
        let parts = [pay.occurrences(date, cut), pay.occurrences(cut + TimeDelta::days(1), last)].concat();
        prop_assert_eq!(&whole, &parts);
        prop_assert!(whole.is_sorted_by_key(|occurrence| occurrence.date));
        // Each month's last day takes place once, somewhere; a skipped one not at all.
        if roll != Roll::Skip {
            let (inner, outer) = (date + TimeDelta::days(120), last - TimeDelta::days(120));
            let months: std::collections::BTreeSet<_> =
                whole.iter().map(|occurrence| (occurrence.nominal.year(), occurrence.nominal.month())).collect();
            prop_assert_eq!(months.len(), whole.len());
            let ruled = |date: &NaiveDate| *date <= outer && date.year() <= 2099;
            let expected = inner.iter_days().take_while(ruled).filter(|date| date.succ_opt().unwrap().day() == 1);
            prop_assert!(expected.clone().all(|date| months.contains(&(date.year(), date.month()))));
        }
    }

    #[test]
    fn a_local_time_never_goes_back(
        at in prop::sample::select(transitions().iter().map(|t| (t.zone, t.from)).collect::<Vec<_>>()),
        seconds in -100_000_i64..100_000, later in 0_i64..20_000,
    ) {
        let (zone, local) = (at.0, at.1 + TimeDelta::seconds(seconds));
        let after = local + TimeDelta::seconds(later);
        for edge in [Edge::Start, Edge::End] {
            prop_assert!(instant(local, zone, edge) <= instant(after, zone, edge));
        }
        prop_assert!(instant(local, zone, Edge::Start) <= instant(local, zone, Edge::End));
    }
}
