//! The figures: which cells a record adds to, and the formulas over cells (DOMAIN sections C and D).
//!
//! A record contributes additive measures to cells. When it changes, what it contributed before is taken
//! back and the new is added, so a cell always equals a recomputation from all records. Ratios are never
//! stored: numerators and denominators are summed, and divided when they are shown.
//! Views know no kind of record: kinds call them.

mod cell;
mod formulas;
pub mod stock_ledger;

pub use cell::{
    Cell, Contribution, Dimension, MEASURES_MAX, MeasureFamily, Measures, Nature, Period, Subject,
};
pub use formulas::{Completeness, IssueFigures, ProductFigures, Ratio, VisitFigures};
