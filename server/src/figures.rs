//! Figures for people: cells rolled up over the organisation, with their completeness.
//!
//! Every roll-up is a sum of the same leaf cells, so the regions and the outlets of no region always add up to the
//! nation.

#[cfg(test)]
mod tests;

use crate::server::Server;
use crate::store::{Device, StoreError, Subjects};
use std::collections::BTreeMap;
use std::sync::Arc;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::figures::{
    Cell, Completeness, IssueFigures, MeasureFamily, Measures, ProductFigures, Subject, VisitFigures,
};
use xundian_protocol::ids::{OrgUnitId, PersonId};
use xundian_protocol::kinds::Gtin;

/// The organisational scope of a figure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RollUp {
    /// Everything.
    Nation,
    /// A unit and everything below it.
    Unit(OrgUnitId),
    /// Everything outside the regions: outlets of no unit, and units above the regions.
    Unassigned,
    /// One person.
    Person(PersonId),
}

/// The subjects whose cells are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellSubjects {
    /// All units, and the outlets of no unit.
    Units,
    /// All people.
    People,
    /// One unit without those below it; `None` for the outlets of no unit.
    Unit(Option<OrgUnitId>),
    /// One person.
    Person(PersonId),
}

/// All figures of a scope in a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Visits.
    pub visits: VisitFigures,
    /// The figures of all products.
    pub products: ProductFigures,
    /// Units on hand at the end of the period.
    pub stock_units: i64,
    /// Urgent matters.
    pub issues: IssueFigures,
    /// How much has arrived.
    pub completeness: Completeness,
}

/// The sums of all measure families, before they become figures.
#[derive(Clone, Copy, Default)]
struct Sums {
    visits: Measures,
    products: Measures,
    stock: Measures,
    issues: Measures,
    open: Measures,
}

impl Sums {
    fn add(&mut self, family: MeasureFamily, measures: Measures) {
        *match family {
            MeasureFamily::Visits => &mut self.visits,
            MeasureFamily::Products => &mut self.products,
            MeasureFamily::Stock => &mut self.stock,
            MeasureFamily::Issues => &mut self.issues,
            MeasureFamily::OpenIssues => &mut self.open,
        } += measures;
    }

    fn figures(self, completeness: Completeness) -> Figures {
        Figures {
            visits: self.visits.into(),
            products: self.products.into(),
            stock_units: self.stock.0[0],
            issues: IssueFigures::new(self.issues, self.open),
            completeness,
        }
    }
}

/// A cell summed over periods: its subject, its dimension and its measures.
type Row = (Subject, u64, Measures);

/// Sums of cells over periods. The cells of one period arrive ordered by subject and dimension, so a period is
/// collected as a list and merged as a whole. The first period, often the only one, costs no search.
#[derive(Default)]
struct CellSums {
    sums: BTreeMap<(Subject, u64), Measures>,
    period: Vec<Row>,
}

impl CellSums {
    fn add(&mut self, cell: Cell, measures: Measures) {
        let at = (cell.subject, cell.dimension.0);
        if self.period.last().is_some_and(|last| (last.0, last.1) >= at) {
            self.end_period();
        }
        self.period.push((at.0, at.1, measures));
    }

    fn end_period(&mut self) {
        for (subject, dimension, measures) in self.period.drain(..) {
            *self.sums.entry((subject, dimension)).or_default() += measures;
        }
    }

    /// The non-zero sums, by subject and dimension.
    fn finish(mut self) -> Vec<Row> {
        if !self.sums.is_empty() {
            self.end_period();
            self.period = self.sums.into_iter().map(|(at, measures)| (at.0, at.1, measures)).collect();
        }
        self.period.retain(|(_, _, measures)| !measures.is_zero());
        self.period
    }
}

impl Server {
    /// Cells by subject and dimension: flows summed over the days, levels at the end of `to`.
    pub fn cells(
        &self,
        family: MeasureFamily,
        of: CellSubjects,
        from: Day,
        to: Day,
    ) -> Result<Vec<Row>, StoreError> {
        let subjects = match of {
            CellSubjects::Units => Subjects::Units,
            CellSubjects::People => Subjects::People,
            CellSubjects::Unit(unit) => Subjects::One(Subject::Unit(unit)),
            CellSubjects::Person(person) => Subjects::One(Subject::Person(person)),
        };
        let mut sums = CellSums::default();
        self.store.reader().cells(family, subjects, from, to, |cell, measures| sums.add(cell, measures))?;
        Ok(sums.finish())
    }

    /// The figures of one scope.
    pub fn figures(&self, scope: RollUp, from: Day, to: Day) -> Result<Figures, StoreError> {
        self.figures_by(&self.watermarks()?, scope, from, to)
    }

    fn figures_by(
        &self,
        watermarks: &Watermarks,
        scope: RollUp,
        from: Day,
        to: Day,
    ) -> Result<Figures, StoreError> {
        let groups = self.group(watermarks, self.subjects(scope), from, to, |directory, subject| {
            scope.covers(directory, subject, to).then_some(scope)
        })?;
        Ok(groups.get(&scope).copied().unwrap_or_else(|| watermarks.figures_of_nothing(scope, to)))
    }

    /// The figures of each region by code, then of the outlets of no region. They add up to the nation.
    pub fn by_region(&self, from: Day, to: Day) -> Result<Vec<(RollUp, Figures)>, StoreError> {
        let directory = self.directory();
        let mut regions: Vec<_> = directory.units().filter(|(_, unit)| unit.unit_type.is_region()).collect();
        regions.sort_by(|a, b| a.1.code.cmp(&b.1.code));
        let scopes: Vec<RollUp> =
            regions.iter().map(|(id, _)| RollUp::Unit(*id)).chain([RollUp::Unassigned]).collect();
        let region = |directory: &Directory, subject| match subject {
            Subject::Unit(Some(unit)) => {
                Some(directory.region_of(unit).map_or(RollUp::Unassigned, RollUp::Unit))
            }
            Subject::Unit(None) => Some(RollUp::Unassigned),
            Subject::Person(_) => None,
        };
        self.grouped(scopes, CellSubjects::Units, from, to, region)
    }

    /// The figures directly below a unit: each child with everything below it, and the outlets of the unit itself, if
    /// any, under its own id.
    pub fn by_unit_below(
        &self,
        above: OrgUnitId,
        from: Day,
        to: Day,
    ) -> Result<Vec<(RollUp, Figures)>, StoreError> {
        let directory = self.directory();
        let mut children: Vec<_> = directory.units().filter(|(_, unit)| unit.parent == Some(above)).collect();
        children.sort_by(|a, b| a.1.code.cmp(&b.1.code));
        let scopes = children.iter().map(|(id, _)| RollUp::Unit(*id)).collect();
        let child = |directory: &Directory, subject| {
            let Subject::Unit(Some(unit)) = subject else { return None };
            let chain = directory.chain(unit);
            let at = chain.iter().position(|id| *id == above)?;
            Some(RollUp::Unit(if at == 0 { above } else { chain[at - 1] }))
        };
        self.grouped(scopes, CellSubjects::Units, from, to, child)
    }

    /// The figures of each person of a scope, by code.
    pub fn by_person(
        &self,
        scope: RollUp,
        from: Day,
        to: Day,
    ) -> Result<Vec<(PersonId, Figures)>, StoreError> {
        let directory = self.directory();
        let mut people: Vec<_> =
            directory.people().filter(|(id, _)| scope.covers(&directory, Subject::Person(*id), to)).collect();
        people.sort_by(|a, b| a.1.code.cmp(&b.1.code));
        let scopes = people.iter().map(|(id, _)| RollUp::Person(*id)).collect();
        let person = |directory: &Directory, subject| match subject {
            Subject::Person(id) if scope.covers(directory, subject, to) => Some(RollUp::Person(id)),
            _ => None,
        };
        let rows = self.grouped(scopes, CellSubjects::People, from, to, person)?;
        let person =
            |(scope, figures)| if let RollUp::Person(id) = scope { Some((id, figures)) } else { None };
        Ok(rows.into_iter().filter_map(person).collect())
    }

    /// The figures of each product and its units on hand at the end, by GTIN.
    pub fn by_product(
        &self,
        scope: RollUp,
        from: Day,
        to: Day,
    ) -> Result<Vec<(Gtin, ProductFigures, i64)>, StoreError> {
        let directory = self.directory();
        let mut products: BTreeMap<u64, (Measures, i64)> = BTreeMap::new();
        for (subject, gtin, measures) in
            self.cells(MeasureFamily::Products, self.subjects(scope), from, to)?
        {
            if scope.covers(&directory, subject, to) {
                products.entry(gtin).or_default().0 += measures;
            }
        }
        for (subject, gtin, measures) in self.cells(MeasureFamily::Stock, self.subjects(scope), from, to)? {
            if scope.covers(&directory, subject, to) {
                products.entry(gtin).or_default().1 += measures.0[0];
            }
        }
        let row = |(gtin, (found, units)): (u64, (Measures, i64))| {
            Some((Gtin::new(gtin).ok()?, found.into(), units))
        };
        Ok(products.into_iter().filter_map(row).collect())
    }

    /// The figures of each day of a period; at most 366.
    pub fn by_day(&self, scope: RollUp, from: Day, to: Day) -> Result<Vec<(Day, Figures)>, StoreError> {
        let watermarks = self.watermarks()?;
        let days = (from.0..=to.0).take(366).map(Day);
        days.map(|day| Ok((day, self.figures_by(&watermarks, scope, day, day)?))).collect()
    }

    const fn subjects(&self, scope: RollUp) -> CellSubjects {
        match scope {
            RollUp::Nation | RollUp::Unit(_) | RollUp::Unassigned => CellSubjects::Units,
            RollUp::Person(person) => CellSubjects::Person(person),
        }
    }

    fn grouped(
        &self,
        scopes: Vec<RollUp>,
        of: CellSubjects,
        from: Day,
        to: Day,
        group: impl Fn(&Directory, Subject) -> Option<RollUp>,
    ) -> Result<Vec<(RollUp, Figures)>, StoreError> {
        let watermarks = self.watermarks()?;
        let mut groups = self.group(&watermarks, of, from, to, group)?;
        let row = |scope| {
            let figures = groups.remove(&scope);
            (scope, figures.unwrap_or_else(|| watermarks.figures_of_nothing(scope, to)))
        };
        let mut rows: Vec<_> = scopes.into_iter().map(row).collect();
        rows.extend(groups);
        Ok(rows)
    }

    fn group(
        &self,
        watermarks: &Watermarks,
        of: CellSubjects,
        from: Day,
        to: Day,
        group: impl Fn(&Directory, Subject) -> Option<RollUp>,
    ) -> Result<BTreeMap<RollUp, Figures>, StoreError> {
        let directory = self.directory();
        let mut sums: BTreeMap<RollUp, Sums> = BTreeMap::new();
        for family in MeasureFamily::ALL {
            for (subject, _, measures) in self.cells(family, of, from, to)? {
                if let Some(scope) = group(&directory, subject) {
                    sums.entry(scope).or_default().add(family, measures);
                }
            }
        }
        let figures =
            |(scope, sums): (RollUp, Sums)| (scope, sums.figures(watermarks.completeness(scope, to)));
        Ok(sums.into_iter().map(figures).collect())
    }

    /// The completeness of a scope's figures up to the end of a day.
    pub fn completeness(&self, scope: RollUp, to: Day) -> Result<Completeness, StoreError> {
        Ok(self.watermarks()?.completeness(scope, to))
    }

    fn watermarks(&self) -> Result<Watermarks, StoreError> {
        let waited_for = self.devices()?.into_iter().filter(Device::is_waited_for);
        let through_ms = |device: Device| (device.person, device.captured_through_ms.unwrap_or(0));
        Ok(Watermarks { directory: self.directory(), through_ms: waited_for.map(through_ms).collect() })
    }
}

/// The watermark of each device that figures wait for. It is read once for all parts of one request.
struct Watermarks {
    directory: Arc<Directory>,
    through_ms: Vec<(PersonId, i64)>,
}

impl Watermarks {
    fn completeness(&self, scope: RollUp, to: Day) -> Completeness {
        let end_ms = to.next().start_ms(DEFAULT_ZONE).unwrap_or(i64::MAX);
        let mut completeness = Completeness::default();
        let mut through = i64::MAX;
        for (person, watermark) in &self.through_ms {
            if scope.covers(&self.directory, Subject::Person(*person), to) {
                completeness.devices += 1;
                completeness.complete += i64::from(*watermark >= end_ms);
                through = through.min(*watermark);
            }
        }
        completeness.through_ms = (completeness.devices > 0 && through > 0).then_some(through);
        completeness
    }

    /// The figures of a scope without cells.
    fn figures_of_nothing(&self, scope: RollUp, to: Day) -> Figures {
        Figures { completeness: self.completeness(scope, to), ..Figures::default() }
    }
}

impl RollUp {
    /// Whether the figures of a subject are part of this scope's, by the organisation on a day.
    pub fn covers(self, directory: &Directory, subject: Subject, day: Day) -> bool {
        match (self, subject) {
            (Self::Nation, _) => true,
            (Self::Unit(above), Subject::Unit(Some(unit))) => directory.is_within(unit, above),
            (Self::Unit(above), Subject::Person(person)) => directory
                .last_known_position(person, day)
                .is_some_and(|(_, position)| directory.is_within(position.unit, above)),
            (Self::Unassigned, Subject::Unit(None)) => true,
            (Self::Unassigned, Subject::Person(person)) => {
                directory.last_known_position(person, day).is_none()
            }
            (Self::Person(id), Subject::Person(person)) => id == person,
            (Self::Unit(_), Subject::Unit(None)) | (Self::Unassigned | Self::Person(_), Subject::Unit(_)) => {
                false
            }
        }
    }
}
