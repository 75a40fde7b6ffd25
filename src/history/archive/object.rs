//! One object: a series to Parquet and back.
//!
//! The low-level writer and reader of the `parquet` crate are enough for three flat columns; its arrow half would be
//! another twelve crates.
//!
//! Reading trusts nothing: the number of rows, the sizes, every instant and every load are checked against what the name
//! of the object and the demand say, and a checksum of our own covers the metadata and the loads, for zstd frames and
//! Parquet pages have none here and a flipped bit would be a wrong number.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::layout::{fnv, fnv_on};
use crate::engine::{Demand, Target};
use crate::series::Series;
use crate::time::{Slot, Step};
use crate::units::Load;

/// The format that is written. Version 1 is described in the module's header and held by `tests/data/archive/v1`.
pub(super) const FORMAT_VERSION: u32 = 1;

const SCHEMA: &str = "message tidetable {
  REQUIRED INT64 slot_end (TIMESTAMP(MICROS,true));
  OPTIONAL DOUBLE load;
  REQUIRED INT32 step_seconds;
}";

/// Metadata keys.
const VERSION: &str = "tidetable.format_version";
const TARGET: &str = "tidetable.target";
const QUERY: &str = "tidetable.query";
const STEP: &str = "tidetable.step_seconds";
const UNIT: &str = "tidetable.unit";
const ZONE: &str = "tidetable.timezone";
const CHECKSUM: &str = "tidetable.checksum";

/// The most that a row may take when decompressed: an instant, a load, a step and their levels are 21 bytes.
const ROW_BYTES: i64 = 32;

/// What pages and dictionaries may take besides.
const OVERHEAD_BYTES: i64 = 64 << 10;

/// Why an object cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// A later tidetable wrote it.
    #[error("is of format {found}, and this version reads up to {FORMAT_VERSION}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is not what its name says.
    #[error("is corrupt: {0}")]
    Corrupt(String),
}

impl From<ParquetError> for Unreadable {
    fn from(error: ParquetError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

fn corrupt(what: impl Into<String>) -> Unreadable {
    Unreadable::Corrupt(what.into())
}

/// The bytes of an object that holds every slot of `series`.
pub(super) fn encode(target: &Target, demand: &Demand, series: &Series) -> Result<Bytes, ParquetError> {
    encode_as(FORMAT_VERSION, target, demand, series)
}

pub(super) fn encode_as(
    version: u32,
    target: &Target,
    demand: &Demand,
    series: &Series,
) -> Result<Bytes, ParquetError> {
    let step = series.step();
    let mut metadata: Vec<(&str, String)> = vec![
        (VERSION, version.to_string()),
        (TARGET, target.name.to_string()),
        (QUERY, demand.measured()),
        (STEP, step.seconds().to_string()),
        (UNIT, demand.unit.clone()),
        (ZONE, target.timezone.name().to_owned()),
    ];
    metadata.push((CHECKSUM, checksum(metadata.iter().map(|(key, value)| (*key, value.as_str())), series)));
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    let properties = WriterProperties::builder()
        .set_created_by(concat!("tidetable version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(metadata))
        // Instants a step apart are a constant difference. Loads seldom repeat: a dictionary of them would cost more than
        // it saves. Both encodings are read by every Spark since 3.3, which splitting doubles by byte is not.
        .set_column_dictionary_enabled(ColumnPath::from("slot_end"), false)
        .set_column_encoding(ColumnPath::from("slot_end"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(ColumnPath::from("load"), false)
        .build();

    let slots = || series.grid().slots();
    let ends: Vec<i64> = slots().map(|slot| end_micros(step, slot)).collect();
    let measured: Vec<i16> = slots().map(|slot| i16::from(series.load(slot).is_some())).collect();
    let loads: Vec<f64> = slots().filter_map(|slot| series.load(slot)).collect();
    let steps = vec![i32::try_from(step.seconds()).unwrap_or(i32::MAX); ends.len()];

    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut rows = writer.next_row_group()?;
    while let Some(mut column) = rows.next_column()? {
        match column.untyped() {
            ColumnWriter::Int64ColumnWriter(column) => column.write_batch(&ends, None, None)?,
            ColumnWriter::DoubleColumnWriter(column) => column.write_batch(&loads, Some(&measured), None)?,
            ColumnWriter::Int32ColumnWriter(column) => column.write_batch(&steps, None, None)?,
            _ => return Err(ParquetError::General("the schema has another column".to_owned())),
        };
        column.close()?;
    }
    rows.close()?;
    Ok(Bytes::from(writer.into_inner()?))
}

/// The series that `bytes` hold, when it is exactly `slots` of `demand`.
pub(super) fn decode(bytes: Bytes, demand: &Demand, slots: &Range<Slot>) -> Result<Series, Unreadable> {
    let step = demand.step;
    let reader = SerializedFileReader::new(bytes)?;
    let file = reader.metadata().file_metadata();
    let metadata: Vec<(&str, &str)> = file
        .key_value_metadata()
        .into_iter()
        .flatten()
        .filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?)))
        .collect();
    let named = |key: &'static str| {
        let found = metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        found.ok_or_else(|| corrupt(format!("its metadata lack {key}")))
    };
    match named(VERSION)?.parse::<u32>() {
        Ok(found @ 1..=FORMAT_VERSION) => found,
        Ok(found) if found > FORMAT_VERSION => return Err(Unreadable::Newer { found }),
        _ => return Err(corrupt(format!("{:?} is no format", shortened(named(VERSION)?)))),
    };
    if named(STEP)? != step.seconds().to_string() || named(QUERY)? != demand.measured() {
        return Err(corrupt(format!("it is about another query or step: {:?}", shortened(named(QUERY)?))));
    }
    let expected = usize::try_from(slots.end.since(slots.start)).unwrap_or(0);
    let mut series = Series::empty(step, slots.start);
    let (mut next, mut remaining) = (slots.start, expected);
    for index in 0..reader.num_row_groups() {
        let rows = reader.get_row_group(index)?;
        let count = usize::try_from(rows.metadata().num_rows()).unwrap_or(usize::MAX);
        if count > remaining {
            return Err(corrupt(format!("it has more than {expected} rows")));
        }
        remaining -= count;
        read_rows(rows.as_ref(), count, &mut next, &mut series)?;
    }
    if remaining > 0 {
        return Err(corrupt(format!("{remaining} of {expected} rows are missing")));
    }
    let covered = metadata.iter().filter(|(key, _)| *key != CHECKSUM && key.starts_with("tidetable."));
    if checksum(covered.copied(), &series) != named(CHECKSUM)? {
        return Err(corrupt("the checksum is wrong"));
    }
    Ok(series)
}

/// Appends `count` rows to `series`, the first of which must be `next`.
fn read_rows(
    rows: &dyn RowGroupReader,
    count: usize,
    next: &mut Slot,
    series: &mut Series,
) -> Result<(), Unreadable> {
    let step = series.step();
    let (ends, _) = column::<Int64Type>(rows, "slot_end", Type::INT64, count)?;
    let (loads, measured) = column::<DoubleType>(rows, "load", Type::DOUBLE, count)?;
    if ends.len() != count {
        return Err(corrupt("slot_end has a hole"));
    }
    let mut loads = loads.into_iter();
    for (end, measured) in ends.into_iter().zip(measured) {
        if end != end_micros(step, *next) {
            return Err(corrupt(format!("where slot_end {} belongs it has {end} µs", step.end(*next))));
        }
        if !measured {
            series.mask(*next);
        } else if let Some(Ok(load)) = loads.next().map(Load::try_new) {
            series.put(*next, load);
        } else {
            return Err(corrupt(format!("the load at {} is no load", step.end(*next))));
        }
        *next = next.next();
    }
    Ok(())
}

/// The numbers of a column and, per row, whether there is one.
fn column<T: parquet::data_type::DataType>(
    rows: &dyn RowGroupReader,
    name: &str,
    kind: Type,
    count: usize,
) -> Result<(Vec<T::T>, Vec<bool>), Unreadable> {
    let columns = rows.metadata().columns();
    let place = columns
        .iter()
        .position(|column| column.column_path().string() == name)
        .ok_or_else(|| corrupt(format!("it has no column {name}")))?;
    let description = columns[place].column_descr();
    let (levels, repeats) = (description.max_def_level(), description.max_rep_level());
    if columns[place].column_type() != kind || repeats != 0 || levels > 1 {
        return Err(corrupt(format!("its column {name} is of another type")));
    }
    let most = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(ROW_BYTES) + OVERHEAD_BYTES;
    if columns[place].uncompressed_size() > most {
        return Err(corrupt(format!("its column {name} claims more than {most} bytes")));
    }
    let mut reader = get_typed_column_reader::<T>(rows.get_column_reader(place)?);
    let (mut values, mut definitions, mut read) = (Vec::with_capacity(count), Vec::new(), 0);
    while read < count {
        let wanted = (levels > 0).then_some(&mut definitions);
        let (records, _, _) = reader.read_records(count - read, wanted, None, &mut values)?;
        if records == 0 {
            return Err(corrupt(format!("its column {name} ends after {read} of {count} rows")));
        }
        read += records;
    }
    let measured = if levels == 0 {
        vec![true; count]
    } else {
        definitions.into_iter().map(|level| level == levels).collect()
    };
    Ok((values, measured))
}

/// Of the metadata in their order and of every slot.
fn checksum<'a>(metadata: impl Iterator<Item = (&'a str, &'a str)>, series: &Series) -> String {
    let hash = metadata.fold(fnv([]), |hash, (key, value)| {
        let sizes = [key.len(), value.len()].into_iter().flat_map(usize::to_le_bytes);
        fnv_on(hash, sizes.chain(key.bytes()).chain(value.bytes()))
    });
    let hash = fnv_on(hash, series.first().0.to_le_bytes());
    let hash = series.grid().slots().fold(hash, |hash, slot| match series.load(slot) {
        Some(load) => fnv_on(hash, std::iter::once(1).chain(load.to_bits().to_le_bytes())),
        None => fnv_on(hash, [0]),
    });
    format!("{hash:016x}")
}

fn end_micros(step: Step, slot: Slot) -> i64 {
    slot.0.saturating_add(1).saturating_mul(step.seconds()).saturating_mul(1_000_000)
}

/// So much of a stranger's text as a message can bear.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The target that the tests beside the code keep days of.
#[cfg(test)]
pub(super) fn test_target() -> Target {
    use std::time::Duration;

    use crate::calendar;
    use crate::decision;
    use crate::engine;
    use crate::guard;
    use crate::plan;
    use crate::units::{LoadPerReplica, Quantile, Replicas};

    let minutes = |count: u64| Duration::from_secs(count * 60);
    Target {
        name: "payments-api".into(),
        labels: std::collections::BTreeMap::default(),
        scaled_object: engine::ScaledObject { namespace: "payments".into(), name: "payments-api".into() },
        demands: vec![Demand {
            name: "demand".into(),
            source: "main".into(),
            query: "sum(rate(payment_transactions_total[2m]))".into(),
            label: None,
            step: Step::try_new(minutes(60)).unwrap(),
            settle_lag: minutes(2),
            history: minutes(15 * 1440),
            unit: "tx/s".into(),
            capacity: LoadPerReplica::try_new(120.0).unwrap(),
        }],
        timezone: chrono_tz::America::New_York,
        almanac: calendar::Almanac::none(chrono_tz::America::New_York),
        lead_time: engine::LeadTime::Configured,
        scale_up: engine::ScaleUpFrom::Configured,
        exclude: Arc::default(),
        policy: decision::Policy {
            plan: plan::Options {
                lead_time: minutes(2),
                quantile: Quantile::P95,
                growth: plan::Growth::default(),
            },
            guard: guard::Options {
                scale_down_hold: minutes(1),
                stale_after: minutes(2),
                mode: guard::Mode::Shadow,
                ..guard::Options::active(Replicas(3), Replicas(200))
            },
        },
        tolerance: guard::Tolerance::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Span;
    use super::test_target as target;
    use super::*;
    use proptest::prelude::*;

    fn demand() -> Demand {
        target().demands.remove(0)
    }

    fn day() -> (Range<Slot>, Series) {
        let slots = Span::parse("day-2026-11-01.parquet").unwrap().slots(demand().step);
        let mut series = Series::empty(demand().step, slots.start);
        for (index, slot) in (slots.start.0..slots.end.0).map(Slot).enumerate() {
            if index % 5 == 3 {
                series.mask(slot);
            } else {
                series.put(slot, Load::saturating(index as f64 * 1.1));
            }
        }
        (slots, series)
    }

    #[test]
    fn what_was_written_is_read_and_the_same_bytes_come_of_the_same_day() {
        let (slots, series) = day();
        let bytes = encode(&target(), &demand(), &series).unwrap();
        assert_eq!(decode(bytes.clone(), &demand(), &slots), Ok(series.clone()));
        assert_eq!(encode(&target(), &demand(), &series).unwrap(), bytes);
    }

    #[test]
    fn a_newer_format_and_another_history_are_told_apart_from_this_one() {
        let (slots, series) = day();
        let newer = encode_as(2, &target(), &demand(), &series).unwrap();
        assert_eq!(decode(newer, &demand(), &slots), Err(Unreadable::Newer { found: 2 }));
        let bytes = encode(&target(), &demand(), &series).unwrap();
        let other = Demand { query: "up".into(), ..demand() };
        let complaint = decode(bytes.clone(), &other, &slots).unwrap_err().to_string();
        assert!(complaint.contains("another query"), "{complaint}");
        let label = crate::engine::Label { name: "app".into(), content: "ledger".into() };
        let other = Demand { label: Some(label), ..demand() };
        let complaint = decode(bytes.clone(), &other, &slots).unwrap_err().to_string();
        assert!(complaint.contains("another query"), "of another series: {complaint}");
        let shifted = slots.start.next()..slots.end.next();
        let complaint = decode(bytes.clone(), &demand(), &shifted).unwrap_err().to_string();
        assert!(complaint.contains("where slot_end"), "{complaint}");
        for (from, until) in [(0, 23), (0, 25)] {
            let other = slots.start.plus(from)..slots.start.plus(until);
            assert!(decode(bytes.clone(), &demand(), &other).is_err());
        }
    }

    /// What a decoder may do with bytes that a disk has spoiled: refuse them, or never have needed the bit.
    fn refuses_or_reads(bytes: Bytes, what: &str) {
        let (slots, series) = day();
        let demand = demand();
        // A panic is turned into a refusal by the caller, as the archive does.
        let decoded = std::panic::catch_unwind(|| decode(bytes, &demand, &slots));
        if let Ok(Ok(read)) = decoded {
            assert_eq!(read, series, "{what}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_never_a_wrong_number() {
        let (_, series) = day();
        let bytes = encode(&target(), &demand(), &series).unwrap().to_vec();
        for place in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut spoiled = bytes.clone();
                spoiled[place] ^= 1 << bit;
                refuses_or_reads(spoiled.into(), &format!("bit {bit} of byte {place}"));
            }
        }
        for len in 0..bytes.len() {
            let (slots, _) = day();
            let cut = Bytes::copy_from_slice(&bytes[..len]);
            assert!(decode(cut, &demand(), &slots).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn spoiled_bytes_are_never_a_wrong_number(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (_, series) = day();
            let mut bytes = encode(&target(), &demand(), &series).unwrap().to_vec();
            for (place, byte) in edits {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.extend(tail);
            refuses_or_reads(bytes.into(), "spoiled");
        }
    }
}
