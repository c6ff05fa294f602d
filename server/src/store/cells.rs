//! How cells are stored: those of neighbouring products share a row.
//!
//! A visit covers some twenty products, and a GTIN begins with its maker's number, so cells that change together are
//! stored together: one row is read and written instead of dozens.

use super::StoreError;
use xundian_protocol::figures::{Cell, Dimension, MEASURES_MAX, MeasureFamily, Measures, Period, Subject};
use xundian_protocol::wire::stored;

/// GTINs that share a row. The last digit is a check digit, so a row holds at most a tenth of this.
const DIMENSIONS_PER_BLOCK: u64 = 10_000;

/// The key of a row of cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CellRowKey {
    /// The measure family.
    pub(super) family: MeasureFamily,
    /// The period.
    pub(super) period: Period,
    /// The subject.
    pub(super) subject: Subject,
    /// The block of dimensions: their number divided by [`DIMENSIONS_PER_BLOCK`].
    pub(super) number: u64,
}

impl CellRowKey {
    /// The row of a cell.
    pub(super) const fn of(cell: &Cell) -> Self {
        Self {
            family: cell.family,
            period: cell.period,
            subject: cell.subject,
            number: cell.dimension.0 / DIMENSIONS_PER_BLOCK,
        }
    }

    const fn cell(self, offset: u64) -> Cell {
        let dimension = Dimension(self.number.saturating_mul(DIMENSIONS_PER_BLOCK).saturating_add(offset));
        Cell { family: self.family, subject: self.subject, period: self.period, dimension }
    }
}

/// The cells of one row by their offset in it; none is zero.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct CellRow(Vec<(u64, Measures)>);

impl CellRow {
    /// Adds to a cell; a cell that becomes zero is removed.
    pub(super) fn add(&mut self, cell: &Cell, added: Measures) {
        let offset = cell.dimension.0 % DIMENSIONS_PER_BLOCK;
        match self.0.binary_search_by_key(&offset, |(offset, _)| *offset) {
            Ok(at) => {
                self.0[at].1 += added;
                if self.0[at].1.is_zero() {
                    self.0.remove(at);
                }
            }
            Err(_) if added.is_zero() => {}
            Err(at) => self.0.insert(at, (offset, added)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Numbers: for each cell its offset from the one before, how many measures follow, and those without trailing
    /// zeros.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut numbers = Vec::with_capacity(self.0.len() * 4);
        let mut last = 0;
        for (offset, measures) in &self.0 {
            let used = measures.0.iter().rposition(|measure| *measure != 0).map_or(0, |last| last + 1);
            // Both are far below what an i64 holds.
            numbers.extend([(offset - last).cast_signed(), (used as u64).cast_signed()]);
            numbers.extend(&measures.0[..used]);
            last = *offset;
        }
        stored::encode_numbers(&numbers)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut cells = Vec::new();
        Self::read(bytes, |offset, measures| cells.push((offset, measures)))?;
        Ok(Self(cells))
    }

    /// The cells of a row with their addresses, by dimension, decoded directly from its bytes.
    pub(super) fn read_block(
        block: CellRowKey,
        bytes: &[u8],
        mut each: impl FnMut(Cell, Measures),
    ) -> Result<(), StoreError> {
        Self::read(bytes, |offset, measures| each(block.cell(offset), measures))
    }

    fn read(bytes: &[u8], mut each: impl FnMut(u64, Measures)) -> Result<(), StoreError> {
        let damaged = |error| StoreError::damaged("cells", error);
        let layout = || StoreError::damaged("cells", "its layout");
        let mut numbers = stored::read_numbers(bytes).map_err(damaged)?;
        let mut next = || numbers.next().transpose().map_err(damaged);
        let mut offset = 0u64;
        let mut is_first = true;
        while let Some(step) = next()? {
            let rises = step > 0 || (is_first && step == 0);
            let further = offset.checked_add_signed(step).filter(|to| rises && *to < DIMENSIONS_PER_BLOCK);
            offset = further.ok_or_else(layout)?;
            is_first = false;
            let used =
                next()?.and_then(|used| usize::try_from(used).ok()).filter(|used| *used <= MEASURES_MAX);
            let mut measures = Measures::default();
            for measure in &mut measures.0[..used.ok_or_else(layout)?] {
                *measure = next()?.ok_or_else(layout)?;
            }
            each(offset, measures);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use xundian_protocol::calendar::Day;

    fn cell(dimension: u64) -> Cell {
        Cell {
            family: MeasureFamily::Products,
            subject: Subject::Unit(None),
            period: Period::Day(Day(1)),
            dimension: Dimension(dimension),
        }
    }

    proptest! {
        #[test]
        fn a_row_holds_the_sums_of_its_cells(
            added in prop::collection::vec((0..8u64, prop::collection::vec(-2..3i64, 0..=MEASURES_MAX)), 0..40),
        ) {
            let first = 6_901_137_020_000u64;
            let mut row = CellRow::default();
            let mut model: BTreeMap<Cell, Measures> = BTreeMap::new();
            for (n, measures) in added {
                let cell = cell(first + n * 1_249);
                row.add(&cell, Measures::of(&measures));
                *model.entry(cell).or_default() += Measures::of(&measures);
            }
            model.retain(|_, measures| !measures.is_zero());
            prop_assert_eq!(row.is_empty(), model.is_empty());
            prop_assert_eq!(&CellRow::decode(&row.encode()).expect("its own bytes"), &row);
            let mut read = Vec::new();
            CellRow::read_block(CellRowKey::of(&cell(first)), &row.encode(), |cell, measures| read.push((cell, measures)))
                .expect("its own bytes");
            prop_assert_eq!(read, model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn other_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = CellRow::decode(&bytes);
        }
    }
}
