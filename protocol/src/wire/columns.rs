//! Columns: the rows of one frame, stored column by column.
//!
//! All values of one field of one kind are stored together, so that repeated values (outlets, GTINs, days) and slowly
//! growing ones (times, stamps) are adjacent, which helps the compressor. Rows of the same structure share
//! one shape.

use super::DecodeError;
use super::codec::{put, take};
use super::rows::{
    FieldRef, FieldsReader, KeyBudget, Row, RowField, RunShape, WireHome, WireKey, WireKeyRef, WireRecordKey,
    WireStamp, WireValue, WireValueRef, runs,
};
use crate::limits::{FRAME_COLUMNS_MAX, FRAME_FIELDS_MAX};
use crate::record::{Key, Value};
use bincode::{Decode, Encode};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Rows as columns.
#[derive(Encode, Decode, Clone, PartialEq, Debug, Default)]
pub(super) struct Columns {
    shapes: Vec<Shape>,
    /// The shape, the id and the home of each row, and its stamps.
    rows: u32,
    row_shapes: Vec<u8>,
    ids: Vec<u8>,
    homes: Vec<u8>,
    stamps: Vec<u8>,
    stamp_indexes: Vec<u8>,
    columns: Vec<Column>,
}

#[derive(Encode, Decode, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Shape {
    kind: u16,
    runs: Vec<RunShape>,
}

/// The keys and values of one field of one kind, in the order of the rows.
#[derive(Encode, Decode, Clone, PartialEq, Debug)]
struct Column {
    kind: u16,
    tag: u16,
    keys: Vec<u8>,
    values: Values,
}

/// The values of a column. Whole numbers are written plain or as differences, whichever is shorter.
#[derive(Encode, Decode, Clone, PartialEq, Debug)]
enum Values {
    Mixed(Vec<u8>),
    Ints(Vec<u8>),
    IntDifferences(Vec<u8>),
    Bools(Vec<u8>),
}

impl Columns {
    /// Encodes rows as columns.
    pub(super) fn of<'a>(rows: impl IntoIterator<Item = Row<FieldRef<'a>>>) -> Self {
        let mut writer = Writer::default();
        for row in rows {
            writer.row(&row);
        }
        writer.finish()
    }

    /// The number of rows.
    pub(super) const fn len(&self) -> usize {
        self.rows as usize
    }

    /// Decodes the rows, at most `rows_max`.
    pub(super) fn rows(self, rows_max: usize) -> Result<Vec<Row<RowField>>, DecodeError> {
        let rows = self.len();
        DecodeError::bound("rows of a frame", rows, rows_max)?;
        DecodeError::bound("shapes of a frame", self.shapes.len(), rows)?;
        DecodeError::bound("columns of a frame", self.columns.len(), FRAME_COLUMNS_MAX)?;
        let reader = Reader::new(&self)?;
        let mut out = Vec::with_capacity(rows);
        let mut fields = 0;
        for _ in 0..rows {
            let row = reader.row()?;
            fields += row.fields.len();
            DecodeError::bound("fields of a frame", fields, FRAME_FIELDS_MAX)?;
            out.push(row);
        }
        reader.finish()?;
        Ok(out)
    }
}

/// The keys and values of one column so far.
type Gathered<'a> = (Vec<u8>, Vec<&'a Value>);

#[derive(Default)]
struct Writer<'a> {
    out: Columns,
    shapes: BTreeMap<Shape, u32>,
    columns: BTreeMap<(u16, u16), Gathered<'a>>,
    last_hlc: u64,
}

impl<'a> Writer<'a> {
    fn row(&mut self, row: &Row<FieldRef<'a>>) {
        let kind = row.record.kind.0;
        let runs = runs(&row.fields);
        let shape = Shape { kind, runs: runs.iter().map(|run| run.shape).collect() };
        let next = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        let shape = *self.shapes.entry(shape).or_insert(next);
        put(&shape, &mut self.out.row_shapes);
        self.out.ids.extend(row.record.id.as_bytes());
        put(&WireHome::from(row.home), &mut self.out.homes);
        put(&u32::try_from(row.stamps.len()).unwrap_or(u32::MAX), &mut self.out.stamps);
        for stamp in &row.stamps {
            let difference = stamp.hlc.0.wrapping_sub(self.last_hlc).cast_signed();
            self.last_hlc = stamp.hlc.0;
            put(&difference, &mut self.out.stamps);
            put(&stamp.device.0, &mut self.out.stamps);
        }
        for run in runs {
            let (keys, values) = self.columns.entry((kind, run.shape.tag)).or_default();
            if run.shape.lines > 0 && !run.shape.shared_keys {
                for field in run.fields {
                    put(&WireKeyRef::from(&field.at.key), keys);
                }
            }
            values.extend(run.fields.iter().map(|field| field.value));
        }
        if row.stamps.len() > 1 {
            for field in &row.fields {
                put(&field.stamp, &mut self.out.stamp_indexes);
            }
        }
        self.out.rows += 1;
    }

    fn finish(mut self) -> Columns {
        let mut shapes: Vec<(Shape, u32)> = self.shapes.into_iter().collect();
        shapes.sort_by_key(|(_, index)| *index);
        self.out.shapes = shapes.into_iter().map(|(shape, _)| shape).collect();
        let column = |((kind, tag), (keys, values)): (_, (_, Vec<_>))| Column {
            kind,
            tag,
            keys,
            values: Values::of(&values),
        };
        self.out.columns = self.columns.into_iter().map(column).collect();
        self.out
    }
}

impl Values {
    fn of(values: &[&Value]) -> Self {
        let mut plain = Vec::new();
        let mut differences = Vec::new();
        if values.iter().all(|value| matches!(value, Value::Int(_))) {
            let mut last = 0i64;
            for value in values {
                let Value::Int(number) = value else { continue };
                put(number, &mut plain);
                put(&number.wrapping_sub(last), &mut differences);
                last = *number;
            }
            return if differences.len() < plain.len() {
                Self::IntDifferences(differences)
            } else {
                Self::Ints(plain)
            };
        }
        if values.iter().all(|value| matches!(value, Value::Bool(_))) {
            return Self::Bools(values.iter().map(|value| u8::from(**value == Value::Bool(true))).collect());
        }
        for value in values {
            put(&WireValueRef::from(*value), &mut plain);
        }
        Self::Mixed(plain)
    }
}

struct Reader<'a> {
    shapes: &'a [Shape],
    row_shapes: RefCell<&'a [u8]>,
    ids: RefCell<&'a [u8]>,
    homes: RefCell<&'a [u8]>,
    stamps: RefCell<&'a [u8]>,
    stamp_indexes: RefCell<&'a [u8]>,
    columns: BTreeMap<(u16, u16), ColumnReader<'a>>,
    last_hlc: std::cell::Cell<u64>,
    budget: KeyBudget,
}

struct ColumnReader<'a> {
    keys: RefCell<&'a [u8]>,
    values: RefCell<&'a [u8]>,
    form: &'a Values,
    last: std::cell::Cell<i64>,
}

impl<'a> Reader<'a> {
    fn new(columns: &'a Columns) -> Result<Self, DecodeError> {
        let mut readers = BTreeMap::new();
        for column in &columns.columns {
            let (Values::Mixed(values)
            | Values::Ints(values)
            | Values::IntDifferences(values)
            | Values::Bools(values)) = &column.values;
            let reader = ColumnReader {
                keys: RefCell::new(&column.keys),
                values: RefCell::new(values),
                form: &column.values,
                last: std::cell::Cell::new(0),
            };
            if readers.insert((column.kind, column.tag), reader).is_some() {
                return Err(DecodeError::malformed("a column occurs twice"));
            }
        }
        Ok(Self {
            shapes: &columns.shapes,
            row_shapes: RefCell::new(&columns.row_shapes),
            ids: RefCell::new(&columns.ids),
            homes: RefCell::new(&columns.homes),
            stamps: RefCell::new(&columns.stamps),
            stamp_indexes: RefCell::new(&columns.stamp_indexes),
            columns: readers,
            last_hlc: std::cell::Cell::new(0),
            budget: KeyBudget::new(),
        })
    }

    fn row(&self) -> Result<Row<RowField>, DecodeError> {
        let shape: u32 = take(&mut self.row_shapes.borrow_mut())?;
        let shape = self
            .shapes
            .get(shape as usize)
            .ok_or_else(|| DecodeError::malformed("a row has an unknown shape"))?;
        let id: [u8; 16] = take(&mut self.ids.borrow_mut())?;
        let home = take::<WireHome>(&mut self.homes.borrow_mut())?.into();
        let mut reader = FieldsReader::new(&shape.runs, &self.budget)?;
        for run in &shape.runs {
            let column = self.columns.get(&(shape.kind, run.tag));
            let column = column.ok_or_else(|| DecodeError::malformed("a column is missing"))?;
            reader.run(*run, || column.key(), || Ok((column.value()?, 0)))?;
        }
        let mut fields = reader.finish();
        let stamps = self.stamps(fields.len())?;
        if stamps.len() > 1 {
            for field in &mut fields {
                field.stamp = take(&mut self.stamp_indexes.borrow_mut())?;
            }
        }
        let record = WireRecordKey { kind: shape.kind, id }.into();
        Ok(Row { record, home, stamps, fields })
    }

    fn stamps(&self, fields: usize) -> Result<Vec<crate::clock::Stamp>, DecodeError> {
        let mut rest = self.stamps.borrow_mut();
        let count: u32 = take(&mut rest)?;
        DecodeError::bound("stamps of a row", count as usize, fields.max(1))?;
        let mut stamps = Vec::new();
        for _ in 0..count {
            let hlc = self.last_hlc.get().wrapping_add(take::<i64>(&mut rest)?.cast_unsigned());
            self.last_hlc.set(hlc);
            stamps.push(WireStamp { hlc, device: take(&mut rest)? }.into());
        }
        Ok(stamps)
    }

    /// Checks that every byte of every column was used.
    fn finish(self) -> Result<(), DecodeError> {
        let fixed = [&self.row_shapes, &self.ids, &self.homes, &self.stamps, &self.stamp_indexes];
        let columns = self.columns.values().flat_map(|column| [&column.keys, &column.values]);
        let left: usize = fixed.into_iter().chain(columns).map(|rest| rest.borrow().len()).sum();
        if left == 0 { Ok(()) } else { Err(DecodeError::Trailing(left)) }
    }
}

impl ColumnReader<'_> {
    fn key(&self) -> Result<Key, DecodeError> {
        take::<WireKey>(&mut self.keys.borrow_mut()).map(Into::into)
    }

    fn value(&self) -> Result<Value, DecodeError> {
        let mut rest = self.values.borrow_mut();
        match self.form {
            Values::Mixed(_) => take::<WireValue>(&mut rest).map(Into::into),
            Values::Ints(_) => take(&mut rest).map(Value::Int),
            Values::IntDifferences(_) => {
                self.last.set(self.last.get().wrapping_add(take(&mut rest)?));
                Ok(Value::Int(self.last.get()))
            }
            Values::Bools(_) => match take_byte(&mut rest)? {
                0 => Ok(Value::Bool(false)),
                1 => Ok(Value::Bool(true)),
                other => Err(DecodeError::malformed(format!("{other} is neither yes nor no"))),
            },
        }
    }
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, DecodeError> {
    let (first, left) = rest.split_first().ok_or_else(|| DecodeError::malformed("a column is too short"))?;
    *rest = left;
    Ok(*first)
}
