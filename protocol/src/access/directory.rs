//! The directory: the organisation as a lookup by id and by day.

use crate::calendar::Day;
use crate::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use crate::kinds::{
    Channel, Entity, OrgUnit, Outlet, OutletAssignment, Person, PersonStatus, Position, Role, UnitType,
};
use crate::record::{Home, Record};
use std::collections::{BTreeMap, BTreeSet};

/// An organisation unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitEntry {
    /// Its code.
    pub code: String,
    /// Its Chinese name.
    pub name_zh: String,
    /// Its English name; empty if it has none.
    pub name_en: String,
    /// Its type.
    pub unit_type: UnitType,
    /// The unit above.
    pub parent: Option<OrgUnitId>,
    /// Division codes of its territory.
    pub territory: BTreeSet<String>,
}

/// A position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PositionEntry {
    /// Its code.
    pub code: String,
    /// Its title.
    pub title: String,
    /// The unit it belongs to.
    pub unit: OrgUnitId,
    /// Its role, which decides what it may see and write.
    pub role: Role,
}

/// A member of staff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonEntry {
    /// The staff number.
    pub code: String,
    /// The name.
    pub name: String,
    /// Whether the person works here.
    pub active: bool,
    /// The last day of work, if it is known.
    pub left_on: Option<Day>,
    /// The position held before any of the following.
    first_position: Option<PositionId>,
    /// Positions by the first day on which they were held.
    later_positions: BTreeMap<Day, Option<PositionId>>,
}

impl PersonEntry {
    /// The position that the person holds on a day; none after the last day of work.
    pub fn position_on(&self, day: Day) -> Option<PositionId> {
        let works = self.active || self.left_on.is_some_and(|last| day <= last);
        let later = || self.later_positions.range(..=day).next_back().map(|(_, position)| *position);
        works.then(|| later().unwrap_or(self.first_position)).flatten()
    }

    fn last_position(&self, day: Day) -> Option<PositionId> {
        let later = self.later_positions.range(..=day).rev().find_map(|(_, position)| *position);
        later.or(self.first_position)
    }
}

/// An outlet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutletEntry {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The city's name.
    pub city: String,
    /// The type of trade.
    pub channel: Channel,
    /// The unit whose territory it is in.
    pub unit: Option<OrgUnitId>,
    /// Its IANA zone, if it is not the default one.
    pub time_zone: Option<String>,
}

/// An assignment of an outlet to a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The position.
    pub position: PositionId,
    /// The number of the hand-over. If two assignments are in force, the greater epoch wins.
    pub epoch: i64,
    /// The first day on which it is in force.
    pub from: Day,
    /// The last day; `None` while it has no end.
    pub to: Option<Day>,
}

/// The organisation: units, positions, people, outlets and assignments, by id.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    units: BTreeMap<OrgUnitId, UnitEntry>,
    positions: BTreeMap<PositionId, PositionEntry>,
    people: BTreeMap<PersonId, PersonEntry>,
    outlets: BTreeMap<OutletId, OutletEntry>,
    assignments: BTreeMap<OutletId, BTreeMap<RecordId, Assignment>>,
    by_position: BTreeMap<PositionId, BTreeSet<OutletId>>,
}

impl Directory {
    /// Applies the current state of a record. Kinds that are not part of the organisation are ignored.
    pub fn apply(&mut self, record: &Record) {
        let (id, kind) = (record.key.id, record.key.kind);
        if kind == OrgUnit::SPEC.kind {
            replace(&mut self.units, OrgUnitId(id), unit_entry(&OrgUnit::read(record)));
        } else if kind == Position::SPEC.kind {
            replace(&mut self.positions, PositionId(id), position_entry(&Position::read(record)));
        } else if kind == Person::SPEC.kind {
            replace(&mut self.people, PersonId(id), person_entry(&Person::read(record)));
        } else if kind == Outlet::SPEC.kind {
            replace(&mut self.outlets, OutletId(id), outlet_entry(&Outlet::read(record)));
        } else if kind == OutletAssignment::SPEC.kind
            && let Home::Outlet(outlet) = record.home
        {
            self.assign(outlet, id, assignment(&OutletAssignment::read(record)));
        }
    }

    /// Whether records of this kind change what a directory answers.
    pub fn concerns(kind: crate::ids::KindId) -> bool {
        [
            OrgUnit::SPEC.kind,
            Position::SPEC.kind,
            Person::SPEC.kind,
            Outlet::SPEC.kind,
            OutletAssignment::SPEC.kind,
        ]
        .contains(&kind)
    }

    fn assign(&mut self, outlet: OutletId, id: RecordId, entry: Option<Assignment>) {
        let of_outlet = self.assignments.entry(outlet).or_default();
        let before: BTreeSet<_> = of_outlet.values().map(|assignment| assignment.position).collect();
        replace(of_outlet, id, entry);
        let after: BTreeSet<_> = of_outlet.values().map(|assignment| assignment.position).collect();
        for position in before.difference(&after) {
            if let Some(outlets) = self.by_position.get_mut(position) {
                outlets.remove(&outlet);
            }
        }
        for position in after {
            self.by_position.entry(position).or_default().insert(outlet);
        }
    }

    /// A unit.
    pub fn unit(&self, id: OrgUnitId) -> Option<&UnitEntry> {
        self.units.get(&id)
    }

    /// A position.
    pub fn position(&self, id: PositionId) -> Option<&PositionEntry> {
        self.positions.get(&id)
    }

    /// A person.
    pub fn person(&self, id: PersonId) -> Option<&PersonEntry> {
        self.people.get(&id)
    }

    /// An outlet.
    pub fn outlet(&self, id: OutletId) -> Option<&OutletEntry> {
        self.outlets.get(&id)
    }

    /// All units, by id.
    pub fn units(&self) -> impl Iterator<Item = (OrgUnitId, &UnitEntry)> {
        self.units.iter().map(|(id, entry)| (*id, entry))
    }

    /// All positions, by id.
    pub fn positions(&self) -> impl Iterator<Item = (PositionId, &PositionEntry)> {
        self.positions.iter().map(|(id, entry)| (*id, entry))
    }

    /// All people, by id.
    pub fn people(&self) -> impl Iterator<Item = (PersonId, &PersonEntry)> {
        self.people.iter().map(|(id, entry)| (*id, entry))
    }

    /// All outlets, by id.
    pub fn outlets(&self) -> impl Iterator<Item = (OutletId, &OutletEntry)> {
        self.outlets.iter().map(|(id, entry)| (*id, entry))
    }

    /// All outlets that are known or assigned, some of them twice. An outlet is in scope even if its profile is missing
    /// or written by a newer version.
    pub(super) fn outlet_ids(&self) -> impl Iterator<Item = OutletId> {
        self.outlets.keys().chain(self.assignments.keys()).copied()
    }

    /// All assignments of an outlet, past and future ones included.
    pub fn assignments(&self, outlet: OutletId) -> impl Iterator<Item = Assignment> {
        self.assignments.get(&outlet).into_iter().flat_map(|of_outlet| of_outlet.values().copied())
    }

    /// The assignment of an outlet that is in force on a day. If there are several, the one with the greatest epoch
    /// wins.
    pub fn assignment_on(&self, outlet: OutletId, day: Day) -> Option<Assignment> {
        let in_force =
            |assignment: &Assignment| assignment.from <= day && assignment.to.is_none_or(|last| day <= last);
        self.assignments(outlet)
            .filter(in_force)
            .max_by_key(|assignment| (assignment.epoch, assignment.position))
    }

    /// The outlets that are assigned to a position on a day.
    pub fn outlets_of(&self, position: PositionId, day: Day) -> impl Iterator<Item = OutletId> {
        let outlets = self.by_position.get(&position).into_iter().flatten().copied();
        outlets.filter(move |outlet| {
            self.assignment_on(*outlet, day).is_some_and(|assignment| assignment.position == position)
        })
    }

    /// The outlets that are assigned to a position on any day, past or future.
    pub fn outlets_ever_of(&self, position: PositionId) -> impl Iterator<Item = OutletId> {
        self.by_position.get(&position).into_iter().flatten().copied()
    }

    /// The unit that an outlet counts towards on a day: the unit of the position it is assigned to, else the unit of
    /// its territory, else none (DOMAIN C, S2.2).
    pub fn unit_on(&self, outlet: OutletId, day: Day) -> Option<OrgUnitId> {
        let by_assignment = || {
            let assignment = self.assignment_on(outlet, day)?;
            Some(self.positions.get(&assignment.position)?.unit)
        };
        by_assignment().or_else(|| self.outlets.get(&outlet)?.unit)
    }

    /// A unit and all units above it, from the bottom up. A cycle in the data ends the walk.
    pub fn chain(&self, unit: OrgUnitId) -> Vec<OrgUnitId> {
        let mut chain = vec![unit];
        while let Some(parent) = chain.last().and_then(|last| self.units.get(last)?.parent) {
            if chain.contains(&parent) {
                break;
            }
            chain.push(parent);
        }
        chain
    }

    /// The 大区 or 特区 that a unit is or is part of.
    pub fn region_of(&self, unit: OrgUnitId) -> Option<OrgUnitId> {
        let is_region = |id: &OrgUnitId| self.units.get(id).is_some_and(|entry| entry.unit_type.is_region());
        self.chain(unit).into_iter().find(is_region)
    }

    /// Whether `unit` is `above` or is below it.
    pub fn is_within(&self, unit: OrgUnitId, above: OrgUnitId) -> bool {
        self.chain(unit).contains(&above)
    }

    /// The unit whose territory contains a division, by the longest prefix.
    pub fn unit_of_division(&self, division: &str) -> Option<OrgUnitId> {
        let longest = |entry: &UnitEntry| {
            entry.territory.iter().filter(|code| division.starts_with(code.as_str())).map(String::len).max()
        };
        let found = self.units.iter().filter_map(|(id, entry)| Some((longest(entry)?, *id)));
        found.max().map(|(_, id)| id)
    }

    /// The position and role that a person holds on a day.
    pub fn held_on(&self, person: PersonId, day: Day) -> Option<(PositionId, &PositionEntry)> {
        let position = self.people.get(&person)?.position_on(day)?;
        Some((position, self.positions.get(&position)?))
    }

    /// The position and role of a person on a day. A person who has left keeps the last position, where their work is.
    pub fn last_known_position(&self, person: PersonId, day: Day) -> Option<(PositionId, &PositionEntry)> {
        let entry = self.people.get(&person)?;
        let last = || entry.last_position(day).filter(|_| !entry.active);
        let position = entry.position_on(day).or_else(last)?;
        Some((position, self.positions.get(&position)?))
    }
}

fn replace<K: Ord, V>(entries: &mut BTreeMap<K, V>, key: K, entry: Option<V>) {
    match entry {
        Some(entry) => entries.insert(key, entry),
        None => entries.remove(&key),
    };
}

fn unit_entry(unit: &OrgUnit) -> Option<UnitEntry> {
    Some(UnitEntry {
        code: unit.code.clone()?,
        name_zh: unit.name_zh.clone()?,
        name_en: unit.name_en.clone().unwrap_or_default(),
        unit_type: unit.unit_type?,
        parent: unit.parent,
        territory: unit.territory.iter().filter(|(_, is)| **is).map(|(code, _)| code.clone()).collect(),
    })
}

fn position_entry(position: &Position) -> Option<PositionEntry> {
    Some(PositionEntry {
        code: position.code.clone()?,
        title: position.title.clone()?,
        unit: position.unit?,
        role: position.role?,
    })
}

fn person_entry(person: &Person) -> Option<PersonEntry> {
    Some(PersonEntry {
        code: person.code.clone()?,
        name: person.name.clone()?,
        active: person.status == Some(PersonStatus::Active),
        left_on: person.left_on,
        first_position: person.position,
        later_positions: person.position_from.iter().map(|(day, id)| (*day, known(*id))).collect(),
    })
}

/// The position in a line of `position_from`; `None` for the id of all zeros, which means no position.
fn known(position: PositionId) -> Option<PositionId> {
    (position.0 != RecordId::NIL).then_some(position)
}

fn outlet_entry(outlet: &Outlet) -> Option<OutletEntry> {
    Some(OutletEntry {
        code: outlet.code.clone()?,
        name: outlet.name.clone()?,
        city: outlet.city.clone().unwrap_or_default(),
        channel: outlet.channel?,
        unit: outlet.unit,
        time_zone: outlet.time_zone.clone(),
    })
}

fn assignment(assignment: &OutletAssignment) -> Option<Assignment> {
    Some(Assignment {
        position: assignment.position?,
        epoch: assignment.epoch?,
        from: assignment.from?,
        to: assignment.to,
    })
}
