//! Stored values: single records and ops in the stores of device and server.

use super::DecodeError;
use super::codec::{put, put_number, take, take_all, take_number, version};
use super::rows::{
    FieldRef, FieldsReader, KeyBudget, Row, RowField, RunShape, WireHome, WireKey, WireKeyRef, WireRecordKey,
    WireStamp, WireValue, WireValueRef, runs,
};
use crate::clock::Stamp;
use crate::ids::OpSeq;
use crate::record::{Field, Op, Record, Register, Write};
use bincode::{Decode, Encode};

/// The format version of stored values.
pub const VERSION: u8 = 1;

/// Encodes a record.
pub fn encode_record(record: &Record) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_row(&record_row(record), &mut out);
    out
}

/// Decodes a record.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut rest = version(bytes, VERSION)?;
    let row = take_row(&mut rest)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    row_record(row)
}

/// Encodes an op.
pub fn encode_op(op: &Op) -> Vec<u8> {
    let mut out = vec![VERSION];
    put(&op.seq.0, &mut out);
    put_row(&op_row(op), &mut out);
    put(&seen_of(op), &mut out);
    out
}

/// Decodes an op.
pub fn decode_op(bytes: &[u8]) -> Result<Op, DecodeError> {
    let mut rest = version(bytes, VERSION)?;
    let seq = OpSeq(take(&mut rest)?);
    let row = take_row(&mut rest)?;
    let seen: Vec<Seen> = take_all(rest)?;
    row_op(row, seq, &seen)
}

/// The stamp that a writer saw in a field before its write.
#[derive(Encode, Decode, Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) write: u32,
    pub(super) stamp: WireStamp,
}

pub(super) fn seen_of(op: &Op) -> Vec<Seen> {
    let seen = |(at, write): (usize, &Write)| {
        Some(Seen { write: u32::try_from(at).unwrap_or(u32::MAX), stamp: write.seen?.into() })
    };
    op.writes.iter().enumerate().filter_map(seen).collect()
}

pub(super) fn op_row(op: &Op) -> Row<FieldRef<'_>> {
    let fields = op.writes.iter().map(|write| FieldRef { at: &write.at, value: &write.value, stamp: 0 });
    Row { record: op.record, home: op.home, stamps: vec![op.stamp], fields: fields.collect() }
}

pub(super) fn row_op(row: Row<RowField>, seq: OpSeq, seen: &[Seen]) -> Result<Op, DecodeError> {
    let [stamp] = row.stamps[..] else {
        return Err(DecodeError::malformed("an op has one stamp"));
    };
    let write = |field: RowField| Write { at: field.at, value: field.value, seen: None };
    let mut writes: Vec<Write> = row.fields.into_iter().map(write).collect();
    for seen in seen {
        let write = writes.get_mut(seen.write as usize);
        let write = write.ok_or_else(|| DecodeError::malformed("a seen stamp names no write"))?;
        write.seen = Some(seen.stamp.into());
    }
    let op = Op { seq, stamp, record: row.record, home: row.home, writes };
    if op.is_ordered() { Ok(op) } else { Err(DecodeError::malformed("the writes of an op are not in order")) }
}

pub(super) fn record_row(record: &Record) -> Row<FieldRef<'_>> {
    let mut stamps: Vec<Stamp> = Vec::new();
    let mut fields = Vec::with_capacity(record.fields().len());
    for Field { at, register } in record.fields() {
        let found = stamps.iter().rposition(|stamp| *stamp == register.stamp).unwrap_or_else(|| {
            stamps.push(register.stamp);
            stamps.len() - 1
        });
        let stamp = u32::try_from(found).unwrap_or(u32::MAX);
        fields.push(FieldRef { at, value: &register.value, stamp });
    }
    Row { record: record.key, home: record.home, stamps, fields }
}

pub(super) fn row_record(row: Row<RowField>) -> Result<Record, DecodeError> {
    let mut fields = Vec::with_capacity(row.fields.len());
    for field in row.fields {
        let stamp = row.stamps.get(field.stamp as usize).copied();
        let stamp = stamp.ok_or_else(|| DecodeError::malformed("a field names no stamp"))?;
        fields.push(Field { at: field.at, register: Register { value: field.value, stamp } });
    }
    if fields.windows(2).any(|pair: &[Field]| pair[0].at >= pair[1].at) {
        return Err(DecodeError::malformed("the fields of a record are not in order"));
    }
    Ok(Record::from_fields(row.record, row.home, fields))
}

fn put_row(row: &Row<FieldRef<'_>>, out: &mut Vec<u8>) {
    put(&WireRecordKey::from(row.record), out);
    put(&WireHome::from(row.home), out);
    put(&row.stamps.iter().map(|stamp| WireStamp::from(*stamp)).collect::<Vec<_>>(), out);
    let runs = runs(&row.fields);
    put(&runs.iter().map(|run| run.shape).collect::<Vec<_>>(), out);
    for run in runs {
        if run.shape.lines > 0 && !run.shape.shared_keys {
            for field in run.fields {
                put(&WireKeyRef::from(&field.at.key), out);
            }
        }
        for field in run.fields {
            put(&WireValueRef::from(field.value), out);
            if row.stamps.len() > 1 {
                put(&field.stamp, out);
            }
        }
    }
}

fn take_row(rest: &mut &[u8]) -> Result<Row<RowField>, DecodeError> {
    let record = take::<WireRecordKey>(rest)?.into();
    let home = take::<WireHome>(rest)?.into();
    let stamps: Vec<Stamp> = take::<Vec<WireStamp>>(rest)?.into_iter().map(Stamp::from).collect();
    let shapes: Vec<RunShape> = take(rest)?;
    let budget = KeyBudget::new();
    let mut reader = FieldsReader::new(&shapes, &budget)?;
    let rest = std::cell::RefCell::new(rest);
    for shape in shapes {
        let key = || take::<WireKey>(&mut rest.borrow_mut()).map(Into::into);
        let value = || {
            let value = take::<WireValue>(&mut rest.borrow_mut())?.into();
            let stamp = if stamps.len() > 1 { take(&mut rest.borrow_mut())? } else { 0 };
            Ok((value, stamp))
        };
        reader.run(shape, key, value)?;
    }
    Ok(Row { record, home, stamps, fields: reader.finish() })
}

/// Encodes whole numbers, small ones in few bytes, for rows of a store that are neither record nor op.
pub fn encode_numbers(numbers: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 2 * numbers.len());
    out.push(VERSION);
    for number in numbers {
        put_number(*number, &mut out);
    }
    out
}

/// Decodes whole numbers.
///
/// # Errors
/// Returns an error if the version is unknown or the bytes end within a number.
pub fn decode_numbers(bytes: &[u8]) -> Result<Vec<i64>, DecodeError> {
    read_numbers(bytes)?.collect()
}

/// Decodes whole numbers one by one. The iterator ends after an error.
///
/// # Errors
/// Returns an error if the version is unknown.
pub fn read_numbers(
    bytes: &[u8],
) -> Result<impl Iterator<Item = Result<i64, DecodeError>> + '_, DecodeError> {
    let mut rest = version(bytes, VERSION)?;
    Ok(std::iter::from_fn(move || (!rest.is_empty()).then(|| take_number(&mut rest))))
}
