//! The scope and the period of a page, and how an address encodes them.

use super::error::PageError;
use super::link::Link;
use super::texts as t;
use std::collections::BTreeMap;
use std::fmt;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::Contribution;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId};

/// The longest period that a page shows.
pub(super) const PERIOD_DAYS_MAX: i32 = 366;
/// The first day that a page shows, 2000-01-01, and the last one, 2100-01-01.
pub(super) const FIRST_DAY: Day = Day(10_957);
const LAST_DAY: Day = Day(47_482);

/// The scope of the figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FigureScope {
    /// The whole company.
    Nation,
    /// A unit and everything below it.
    Unit(OrgUnitId),
    /// A unit without the units below it.
    UnitOwn(OrgUnitId),
    /// Everything outside the regions.
    Unassigned,
    /// What a person recorded.
    Person(PersonId),
    /// One outlet.
    Outlet(OutletId),
}

impl FigureScope {
    /// Reads it from a query: `unit` (an id, or `none`) with `own=1`, or `person`, or `outlet`.
    pub(super) fn read(query: &Query) -> Result<Self, PageError> {
        let given = ["unit", "person", "outlet"].into_iter().filter(|name| query.get(name).is_some()).count();
        if given > 1 {
            return Err(PageError::BadRequest(t::BAD_QUERY));
        }
        if let Some(person) = query.id("person")? {
            return Ok(Self::Person(person));
        }
        if let Some(outlet) = query.id("outlet")? {
            return Ok(Self::Outlet(outlet));
        }
        if query.get("unit") == Some("none") {
            return Ok(Self::Unassigned);
        }
        let own = query.get("own") == Some("1");
        Ok(match query.id("unit")? {
            Some(unit) if own => Self::UnitOwn(unit),
            Some(unit) => Self::Unit(unit),
            None => Self::Nation,
        })
    }

    /// Whether a record's contribution belongs to the scope; the rule that filled the cells.
    pub(super) fn owns(self, directory: &Directory, part: &Contribution) -> bool {
        match self {
            Self::Person(person) => part.person == Some(person),
            Self::Outlet(outlet) => part.outlet == Some(outlet),
            _ => part
                .outlet
                .is_some_and(|outlet| self.holds(directory, directory.unit_on(outlet, part.unit_on))),
        }
    }

    /// Whether figures of a leaf unit belong to the scope.
    pub(super) fn holds(self, directory: &Directory, leaf: Option<OrgUnitId>) -> bool {
        match self {
            Self::Nation => true,
            Self::Unit(unit) => leaf.is_some_and(|leaf| directory.is_within(leaf, unit)),
            Self::UnitOwn(unit) => leaf == Some(unit),
            Self::Unassigned => leaf.and_then(|leaf| directory.region_of(leaf)).is_none(),
            Self::Person(_) | Self::Outlet(_) => false,
        }
    }

    /// The page of the scope's figures.
    pub(super) fn page(self) -> Link {
        match self {
            Self::Nation => Link::to("/"),
            Self::Unit(unit) | Self::UnitOwn(unit) => Link::to(format!("/unit/{unit}")),
            Self::Unassigned => Link::to("/unit/none"),
            Self::Person(person) => Link::to(format!("/person/{person}")),
            Self::Outlet(outlet) => Link::to(format!("/outlet/{outlet}")),
        }
    }
}

/// The days of a page, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    /// The first day.
    pub(super) from: Day,
    /// The last day.
    pub(super) to: Day,
}

impl Period {
    /// A single day.
    pub(super) const fn day(day: Day) -> Self {
        Self { from: day, to: day }
    }

    /// Reads it from a query: `day`, or `from` and `to`; without them `today`.
    pub(super) fn read(query: &Query, today: Day) -> Result<Self, PageError> {
        let day = |name| query.get(name).map(read_day).transpose();
        let period = match (day("day")?, day("from")?, day("to")?) {
            (Some(day), None, None) => Self::day(day),
            (None, Some(from), Some(to)) => Self { from, to },
            (None, None, None) => Self::day(today),
            _ => return Err(PageError::BadRequest(t::BAD_DAY)),
        };
        let fits = period.from <= period.to && period.days() <= PERIOD_DAYS_MAX;
        if fits { Ok(period) } else { Err(PageError::BadRequest(t::BAD_DAY)) }
    }

    /// The number of days.
    pub(super) const fn days(self) -> i32 {
        self.to.0 - self.from.0 + 1
    }

    /// The period of the same length before (−1) or after (1).
    pub(super) const fn moved(self, by: i32) -> Self {
        let days = by * self.days();
        Self { from: Day(self.from.0 + days), to: Day(self.to.0 + days) }
    }

    /// Whether a day is in it.
    pub(super) fn contains(self, day: Day) -> bool {
        (self.from..=self.to).contains(&day)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { self.from.fmt(f) } else { write!(f, "{} – {}", self.from, self.to) }
    }
}

fn read_day(text: &str) -> Result<Day, PageError> {
    let day: Day = text.parse().map_err(|_| PageError::BadRequest(t::BAD_DAY))?;
    // Only one spelling of a day, so that each page has one address.
    let fits = (FIRST_DAY..=LAST_DAY).contains(&day) && day.to_string() == text;
    if fits { Ok(day) } else { Err(PageError::BadRequest(t::BAD_DAY)) }
}

/// The parameters of an address, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Builds a query from pairs. A repeated name is refused; empty values, as forms send them, are left out.
    pub(super) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, PageError> {
        let mut query = BTreeMap::new();
        for (name, value) in pairs {
            if query.insert(name, value).is_some() {
                return Err(PageError::BadRequest(t::BAD_QUERY));
            }
        }
        query.retain(|_, value| !value.is_empty());
        Ok(Self(query))
    }

    /// A parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is an id.
    pub(super) fn id<I: std::str::FromStr>(&self, name: &str) -> Result<Option<I>, PageError> {
        self.get(name).map(read_id).transpose()
    }

    /// All parameters but one.
    pub(super) fn without(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |(key, _)| *key != name).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Parses an id in an address: 36 characters, nothing else.
pub(super) fn read_id<I: std::str::FromStr>(text: &str) -> Result<I, PageError> {
    let fits = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let id = text.parse().map_err(|_| PageError::BadRequest(t::BAD_ID));
    if fits { id } else { Err(PageError::BadRequest(t::BAD_ID)) }
}

impl Link {
    /// Adds a scope.
    pub(super) fn scope(self, scope: FigureScope) -> Self {
        match scope {
            FigureScope::Nation => self,
            FigureScope::Unit(unit) => self.with("unit", unit),
            FigureScope::UnitOwn(unit) => self.with("unit", unit).with("own", 1),
            FigureScope::Unassigned => self.with("unit", "none"),
            FigureScope::Person(person) => self.with("person", person),
            FigureScope::Outlet(outlet) => self.with("outlet", outlet),
        }
    }

    /// Adds a period.
    pub(super) fn period(self, period: Period) -> Self {
        if period.from == period.to {
            self.with("day", period.from)
        } else {
            self.with("from", period.from).with("to", period.to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query::from_pairs(pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()).unwrap()
    }

    #[test]
    fn a_period_is_read_strictly() {
        let read =
            |pairs: &[(&str, &str)]| Period::read(&query(pairs), Day(20_000)).map(|p| p.to_string()).ok();
        assert_eq!(read(&[]).as_deref(), Some("2024-10-04"));
        assert_eq!(read(&[("day", "2026-11-23")]).as_deref(), Some("2026-11-23"));
        assert_eq!(
            read(&[("from", "2026-11-01"), ("to", "2026-11-23")]).as_deref(),
            Some("2026-11-01 – 2026-11-23")
        );
        for bad in ["2026-1-1", "2026-13-01", "+2026-01-01", "1999-12-31", "2100-01-02", "x", "99999-01-01"] {
            assert_eq!(read(&[("day", bad)]), None, "{bad}");
        }
        assert_eq!(read(&[("from", "2026-11-23"), ("to", "2026-11-01")]), None);
        assert_eq!(read(&[("from", "2026-11-23")]), None);
        assert_eq!(read(&[("from", "2024-01-01"), ("to", "2026-01-01")]), None);
    }

    #[test]
    fn whose_survives_its_address() {
        let unit = OrgUnitId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        for scope in [
            FigureScope::Nation,
            FigureScope::Unit(unit),
            FigureScope::UnitOwn(unit),
            FigureScope::Unassigned,
        ] {
            let link = Link::to("/visits").scope(scope).to_string();
            let pairs = link.split_once('?').map_or("", |(_, pairs)| pairs).split('&');
            let pairs: Vec<_> = pairs.filter_map(|pair| pair.split_once('=')).collect();
            assert_eq!(FigureScope::read(&query(&pairs)).unwrap(), scope);
        }
        assert!(FigureScope::read(&query(&[("unit", "../etc")])).is_err());
        assert!(FigureScope::read(&query(&[("unit", "none"), ("person", "x")])).is_err());
    }
}
