//! Cells: where figures are kept, and what a record contributes to them.

use crate::calendar::Day;
use crate::ids::{OrgUnitId, OutletId, PersonId};
use std::ops::{AddAssign, Neg};

/// The most measures of any family.
pub const MEASURES_MAX: usize = 10;

/// The additive numbers of one cell. The family says what each of them is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Measures(pub [i64; MEASURES_MAX]);

impl Measures {
    /// Measures that start with these numbers; the rest are zero.
    pub fn of(first: &[i64]) -> Self {
        let mut measures = Self::default();
        for (to, from) in measures.0.iter_mut().zip(first) {
            *to = *from;
        }
        measures
    }

    /// Whether all are zero. Such a cell need not be kept.
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

/// Whether the cells of a family are flows or levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Summed over the days of a period: visits made, products found absent.
    Flow,
    /// A running total: the level at a day is the sum of all changes up to it. Changes are kept by day, month and year,
    /// so that a level is read from about fifty cells, however old the store is.
    Level,
}

/// A family of measures. The measures of each are listed beside it, in order.
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
    /// All families, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Visits, Self::Products, Self::Stock, Self::Issues, Self::OpenIssues];

    /// The family's number in stored and sent bytes.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The family with a number.
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

/// The unit or person of a cell. Only the cells of single units and persons are kept; totals are sums of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// The unit of the outlet on that day; `None` for outlets that belong to no unit.
    Unit(Option<OrgUnitId>),
    /// The person who recorded it.
    Person(PersonId),
}

/// What a family is split by: nothing (0) or a product (its GTIN).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dimension(pub u64);

/// The period of a cell.
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
    /// The family.
    pub family: MeasureFamily,
    /// The unit or person.
    pub subject: Subject,
    /// The period.
    pub period: Period,
    /// The dimension.
    pub dimension: Dimension,
}

/// What one record adds to the figures of one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contribution {
    /// The family.
    pub family: MeasureFamily,
    /// The outlet. It decides the unit, by the assignment in force on `unit_on`.
    pub outlet: Option<OutletId>,
    /// The person who recorded it, or the person of the plan.
    pub person: Option<PersonId>,
    /// The business day.
    pub day: Day,
    /// The day whose assignment decides the unit. For an event it is the business day. A level (an open issue, a stock
    /// level) that started on an earlier day ends in the unit in which it started, even if the outlet has changed hands
    /// since.
    pub unit_on: Day,
    /// What the family is split by.
    pub dimension: Dimension,
    /// The amounts to add.
    pub measures: Measures,
}

impl MeasureFamily {
    /// The periods whose cells change when something happens on `day`.
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
    /// The subjects whose cells this contribution changes, given the unit of its outlet.
    pub fn subjects(&self, unit: Option<OrgUnitId>) -> impl Iterator<Item = Subject> {
        let of_unit = self.outlet.map(|_| Subject::Unit(unit));
        of_unit.into_iter().chain(self.person.map(Subject::Person))
    }
}
