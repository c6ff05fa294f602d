//! Reads derived rows one by one, although some may be corrupt, for comparing them with the records and repairing them.

use super::cells::{CellRow, CellRowKey};
use super::engine::{Row, Table};
use super::{Levels, Owner, ProvenanceKey, Reader, Statement, StoreError, keys, rows, stock};
use xundian_protocol::figures::{Cell, Measures};
use xundian_protocol::ids::{KindId, OrgUnitId, OutletId, PersonId, RecordId};

/// A row of figures that cannot be read, or whose key does not belong to its content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnreadableRow {
    pub(super) table: Table,
    pub(super) key: Vec<u8>,
}

/// A row's content, or the key of an unreadable row.
pub type Readable<T> = Result<T, UnreadableRow>;

impl Reader<'_> {
    /// Every row of cells.
    pub fn cell_rows(
        &self,
    ) -> impl Iterator<Item = Result<Readable<Vec<(Cell, Measures)>>, StoreError>> + use<'_> {
        self.at.all(Table::Cells).map(|row| read(Table::Cells, row, read_cells))
    }

    /// Every provenance row.
    pub fn provenance_rows(
        &self,
    ) -> impl Iterator<Item = Result<Readable<Vec<ProvenanceKey>>, StoreError>> + use<'_> {
        self.at.all(Table::Provenance).map(|row| read(Table::Provenance, row, read_provenance))
    }

    /// Every stock statement, by outlet and entry.
    pub fn statement_rows(
        &self,
    ) -> impl Iterator<Item = Result<Readable<(OutletId, Statement)>, StoreError>> + use<'_> {
        self.at.all(Table::Stock).map(|row| read(Table::Stock, row, read_statement))
    }

    /// The latest levels of all stock ledgers, by outlet.
    pub fn level_rows(
        &self,
    ) -> impl Iterator<Item = Result<Readable<(OutletId, Levels)>, StoreError>> + use<'_> {
        self.at.all(Table::Levels).map(|row| read(Table::Levels, row, read_levels))
    }
}

impl UnreadableRow {
    /// The outlet that a row of stock belongs to, as far as its key tells.
    pub fn outlet(&self) -> Option<OutletId> {
        let is_of_stock = matches!(self.table, Table::Stock | Table::Levels);
        let (outlet, _) = self.key.split_first_chunk::<16>().filter(|_| is_of_stock)?;
        Some(OutletId(RecordId::from_bytes(*outlet)))
    }
}

impl std::fmt::Display for UnreadableRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ", self.table)?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn read<T>(
    table: Table,
    row: Result<Row, StoreError>,
    content: impl FnOnce(&[u8], &[u8]) -> Option<T>,
) -> Result<Readable<T>, StoreError> {
    let (key, value) = row?;
    Ok(content(&key, &value).ok_or_else(|| UnreadableRow { table, key: key.to_vec() }))
}

fn read_cells(key: &[u8], value: &[u8]) -> Option<Vec<(Cell, Measures)>> {
    let block = keys::read_block(key).filter(|block| keys::cells(*block) == key)?;
    let mut cells = Vec::new();
    CellRow::read_block(block, value, |cell, measures| cells.push((cell, measures))).ok()?;
    cells.iter().all(|(cell, _)| CellRowKey::of(cell) == block).then_some(cells)
}

fn read_provenance(key: &[u8], value: &[u8]) -> Option<Vec<ProvenanceKey>> {
    let (owner, _) = key.split_first_chunk::<17>()?;
    let id = RecordId::from_bytes(owner[1..].try_into().ok()?);
    let owner = match owner[0] {
        0 => Owner::Unit(None),
        1 => Owner::Unit(Some(OrgUnitId(id))),
        2 => Owner::Person(PersonId(id)),
        3 => Owner::Outlet(OutletId(id)),
        _ => return None,
    };
    let (day, id) = keys::read_provenance_key(key)?;
    let provenance_key = |kind: KindId| ProvenanceKey { owner, day, id, kind };
    let provenance: Vec<ProvenanceKey> =
        rows::read_kinds(value).ok()?.into_iter().map(provenance_key).collect();
    provenance.first().is_some_and(|first| keys::provenance_key(first) == key).then_some(provenance)
}

fn read_statement(key: &[u8], value: &[u8]) -> Option<(OutletId, Statement)> {
    let (outlet, at) = keys::read_stock(key).filter(|(outlet, at)| keys::stock(*outlet, at) == key)?;
    Some((outlet, Statement::decode(at, value).ok()?))
}

fn read_levels(key: &[u8], value: &[u8]) -> Option<(OutletId, Levels)> {
    let outlet = OutletId(RecordId::from_bytes(key.try_into().ok()?));
    Some((outlet, stock::decode_levels(value).ok()?))
}
