//! Cells: where a figure is kept, and what a record adds to it.

use crate::calendar::Day;
use crate::ids::{OrgUnitId, OutletId, PersonId};
use std::ops::{AddAssign, Neg};

/// The most measures that any view has.
pub const MEASURES_MAX: usize = 10;

/// Additive numbers of one cell; which is which, the view says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Measures(pub [i64; MEASURES_MAX]);

impl Measures {
    /// Measures that are all zero but the first ones.
    pub fn of(first: &[i64]) -> Self {
        let mut measures = Self::default();
        for (to, from) in measures.0.iter_mut().zip(first) {
            *to = *from;
        }
        measures
    }

    /// Whether all are zero, as those of a cell that need not be kept.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|measure| *measure == 0)
    }
}

impl AddAssign for Measures {
    fn add_assign(&mut self, other: Self) {
        for (to, from) in self.0.iter_mut().zip(other.0) {
            *to = to.wrapping_add(from);
        }
    }
}

impl Neg for Measures {
    type Output = Self;
    fn neg(mut self) -> Self {
        for measure in &mut self.0 {
            *measure = measure.wrapping_neg();
        }
        self
    }
}

/// Whether a view's cells are what happened in a period or what stands at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Summed over the days of a period: visits made, products found absent.
    Flow,
    /// A running total of changes: the level at a day is the sum of all cells up to it. Kept by day, month
    /// and year, so that a level is read from some fifty cells however old the store is.
    Level,
}

/// A family of figures. The measures of each are named beside it, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum MeasureFamily {
    /// planned, planned and done, visits, done, aborted, time in store (ms), visits with a time,
    /// done in hypermarkets, done in chain outlets
    Visits = 1,
    /// By product: audited, absent, absent but in the backroom, own facings, category facings,
    /// counts, counted units
    Products = 2,
    /// By product: units on hand
    Stock = 3,
    /// raised, closed, closed by the due day, due
    Issues = 4,
    /// open, overdue
    OpenIssues = 5,
}

impl MeasureFamily {
    /// All views, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Visits, Self::Products, Self::Stock, Self::Issues, Self::OpenIssues];

    /// The view's number in stored and sent bytes.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The view of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }

    /// Whether its cells are flows or levels.
    pub const fn nature(self) -> Nature {
        match self {
            Self::Visits | Self::Products | Self::Issues => Nature::Flow,
            Self::Stock | Self::OpenIssues => Nature::Level,
        }
    }
}

/// Whose figure it is at the grain that is kept; everything above is summed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// The unit to which the outlet belonged when it happened; `None` for outlets of no unit.
    Unit(Option<OrgUnitId>),
    /// The person who recorded it.
    Person(PersonId),
}

/// What a figure is split by: nothing (0) or a product (its GTIN).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dimension(pub u64);

/// The stretch of time that a cell stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Period {
    /// One year, by its number.
    Year(i32),
    /// One month, as [`Day::month`] counts them.
    Month(i32),
    /// One day.
    Day(Day),
}

/// The address of a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cell {
    /// The family of figures.
    pub family: MeasureFamily,
    /// Whose.
    pub subject: Subject,
    /// Of when.
    pub period: Period,
    /// Of what.
    pub dimension: Dimension,
}

/// What one record adds to the figures of one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contribution {
    /// The family of figures.
    pub family: MeasureFamily,
    /// The outlet it happened in; decides the unit, by the assignment in force on `unit_on`.
    pub outlet: Option<OutletId>,
    /// The person who recorded it, or whose plan it is.
    pub person: Option<PersonId>,
    /// The business day.
    pub day: Day,
    /// The day whose assignment decides the unit: the business day for what happens in a moment. What
    /// comes in on one day and goes out on another, as an open issue or a stock level does, goes out for
    /// the unit that it came in for, even if the outlet has changed hands since.
    pub unit_on: Day,
    /// What it is split by.
    pub dimension: Dimension,
    /// What is added.
    pub measures: Measures,
}

impl MeasureFamily {
    /// The periods whose cells a change on `day` moves.
    pub fn periods(self, day: Day) -> impl Iterator<Item = Period> {
        let coarse = match self.nature() {
            Nature::Flow => [None, None],
            Nature::Level => {
                [Some(Period::Month(day.month())), Some(Period::Year(day.month().div_euclid(12)))]
            }
        };
        std::iter::once(Period::Day(day)).chain(coarse.into_iter().flatten())
    }
}

impl Contribution {
    /// Whose cells this contribution moves, once the unit of its outlet is known.
    pub fn subjects(&self, unit: Option<OrgUnitId>) -> impl Iterator<Item = Subject> {
        let of_unit = self.outlet.map(|_| Subject::Unit(unit));
        of_unit.into_iter().chain(self.person.map(Subject::Person))
    }
}
