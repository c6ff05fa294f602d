//! Figures: which cells a record contributes to, and the formulas over cells (DOMAIN sections C and D).
//!
//! A record contributes additive measures to cells. When it changes, its old contribution is subtracted and the new one
//! is added, so a cell always equals a recomputation from all records. Ratios are never stored: numerators and
//! denominators are summed, and divided for display. This module knows no kind of record: kinds call it.

mod cell;
mod formulas;
pub mod stock_ledger;

pub use cell::{
    Cell, Contribution, Dimension, MEASURES_MAX, MeasureFamily, Measures, Nature, Period, Subject,
};
pub use formulas::{Completeness, IssueFigures, ProductFigures, Ratio, VisitFigures};
