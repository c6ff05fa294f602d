//! Scopes: the homes that a person may read and write, by their position (promise 5).

use super::{Directory, PositionEntry};
use crate::calendar::Day;
use crate::ids::{OrgUnitId, OutletId, PersonId};
use crate::kinds::{KindSpec, Role, WritePolicy};
use crate::limits::LATE_WORK_DAYS_MAX;
use crate::record::{Home, Op};

/// A writer: the person behind a device, or headquarters through the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// A person's device.
    Person(PersonId),
    /// The server itself: imports and administration.
    Headquarters,
}

/// Why a write is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The person held no position on the day.
    #[error("{person} held no position on {day}, so nothing was in scope: ask headquarters to assign one")]
    NoPosition {
        /// The person.
        person: PersonId,
        /// The day of the work.
        day: Day,
    },
    /// That role does not write the kind.
    #[error("a {role} does not write {kind}")]
    Role {
        /// The role's code.
        role: &'static str,
        /// The kind's code.
        kind: &'static str,
    },
    /// That role writes the kind, but not this field.
    #[error("a {role} does not write {kind}.{field}: ask headquarters")]
    Field {
        /// The role's code.
        role: &'static str,
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// Only the server writes the field.
    #[error("{kind}.{field} is written by the server alone")]
    Server {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// The home was not in scope on the day.
    #[error("{home} was not in your scope on {day}: ask your manager whether it is assigned to you")]
    Scope {
        /// The home, for people.
        home: String,
        /// The day of the work.
        day: Day,
    },
}

/// What a position sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grant {
    /// The outlets assigned to it and its own home.
    Own,
    /// A unit and everything below it.
    Unit(OrgUnitId),
    /// Everything.
    Nation,
}

impl PositionEntry {
    /// The grant of the position, by its role.
    pub const fn grant(&self) -> Grant {
        match self.role {
            Role::Merchandiser | Role::Representative => Grant::Own,
            Role::Manager => Grant::Unit(self.unit),
            Role::Headquarters => Grant::Nation,
        }
    }
}

impl Directory {
    /// What a person sees by the position that they hold on a day; `None` without a position.
    pub fn grant(&self, person: PersonId, day: Day) -> Option<Grant> {
        Some(self.held_on(person, day)?.1.grant())
    }

    /// All homes that a person may read on a day, in order.
    pub fn scope(&self, person: PersonId, day: Day) -> Vec<Home> {
        let mut homes = vec![Home::Company];
        let Some((position, entry)) = self.held_on(person, day) else {
            return homes;
        };
        homes.push(Home::Person(person));
        homes.extend(self.chain(entry.unit).into_iter().map(Home::Unit));
        match entry.grant() {
            Grant::Own => homes.extend(self.outlets_of(position, day).map(Home::Outlet)),
            Grant::Unit(unit) => {
                homes.extend(
                    self.units().map(|(id, _)| id).filter(|id| self.is_within(*id, unit)).map(Home::Unit),
                );
                homes.extend(self.people_within(unit, day).map(Home::Person));
                let outlets = self.outlet_ids().filter(|id| self.outlet_within(*id, unit, day));
                homes.extend(outlets.map(Home::Outlet));
            }
            Grant::Nation => {
                homes.extend(self.units().map(|(id, _)| Home::Unit(id)));
                homes.extend(self.people().map(|(id, _)| Home::Person(id)));
                homes.extend(self.outlet_ids().map(Home::Outlet));
            }
        }
        homes.sort_unstable();
        homes.dedup();
        homes
    }

    /// Whether a person may see a home on a day.
    pub fn sees(&self, person: PersonId, home: Home, day: Day) -> bool {
        let Some((position, entry)) = self.held_on(person, day) else {
            return home == Home::Company;
        };
        let own = match home {
            Home::Company => true,
            Home::Person(id) => id == person,
            Home::Unit(id) => self.chain(entry.unit).contains(&id),
            Home::Outlet(id) => self.assignment_on(id, day).is_some_and(|found| found.position == position),
        };
        own || match entry.grant() {
            Grant::Own => false,
            Grant::Nation => true,
            Grant::Unit(unit) => match home {
                Home::Company => true,
                Home::Unit(id) => self.is_within(id, unit),
                Home::Person(id) => self.person_within(id, unit, day),
                Home::Outlet(id) => self.outlet_within(id, unit, day),
            },
        }
    }

    /// Checks whether a writer may write an op on a record of a kind, for work done on `day`.
    ///
    /// The right is judged on the day of the work. If it has ended since, the work is accepted for
    /// [`LATE_WORK_DAYS_MAX`] more days. An edit of a shared record must also carry a stamp of that day, so that it
    /// never overrides later writes. Reference data need the right of today.
    ///
    /// # Errors
    /// Returns why the write is refused.
    pub fn may_write(
        &self,
        writer: Writer,
        kind: &KindSpec,
        op: &Op,
        day: Day,
        today: Day,
    ) -> Result<(), Denied> {
        let Writer::Person(person) = writer else { return Ok(()) };
        self.had_right(person, kind, op, day)?;
        if day == today {
            return Ok(());
        }
        self.had_right(person, kind, op, today).or_else(|denied| {
            let late_days = i64::from(today.0) - i64::from(day.0);
            let is_late = (0..=i64::from(LATE_WORK_DAYS_MAX)).contains(&late_days);
            let is_of_then = Day::in_default_zone(op.stamp.hlc.unix_ms()) <= day.next();
            let is_taken = match kind.write_policy {
                WritePolicy::Event => is_late,
                WritePolicy::Edited => is_late && is_of_then,
                WritePolicy::Reference => false,
            };
            if is_taken { Ok(()) } else { Err(denied) }
        })
    }

    /// Whether a person had the right to an op on a day.
    fn had_right(&self, person: PersonId, kind: &KindSpec, op: &Op, day: Day) -> Result<(), Denied> {
        let (_, entry) = self.held_on(person, day).ok_or(Denied::NoPosition { person, day })?;
        if entry.role != Role::Headquarters {
            let (role, kind_code) = (crate::kinds::Choice::code(entry.role), kind.code);
            if !kind.writers.contains(&entry.role) {
                return Err(Denied::Role { role, kind: kind_code });
            }
            let mut reserved = kind.fields.iter().filter(|field| field.headquarters);
            if let Some(field) = reserved.find(|field| op.names(field.tag)) {
                return Err(Denied::Field { role, kind: kind_code, field: field.name });
            }
        }
        let mut found_out = kind.fields.iter().filter(|field| field.server);
        if let Some(field) = found_out.find(|field| op.names(field.tag)) {
            return Err(Denied::Server { kind: kind.code, field: field.name });
        }
        if self.sees(person, op.home, day) {
            return Ok(());
        }
        Err(Denied::Scope { home: self.home_name(op.home), day })
    }

    /// The name of a home, for people.
    pub fn home_name(&self, home: Home) -> String {
        match home {
            Home::Company => "the company".into(),
            Home::Unit(id) => self.unit(id).map_or_else(|| format!("unit {id}"), |unit| unit.name_zh.clone()),
            Home::Outlet(id) => self
                .outlet(id)
                .map_or_else(|| format!("outlet {id}"), |outlet| format!("outlet {}", outlet.code)),
            Home::Person(id) => {
                self.person(id).map_or_else(|| format!("person {id}"), |person| person.name.clone())
            }
        }
    }

    /// The people whose position on a day is in a unit or below it. A person who has left stays where their work is.
    pub fn people_within(&self, unit: OrgUnitId, day: Day) -> impl Iterator<Item = PersonId> {
        self.people().map(|(id, _)| id).filter(move |id| self.person_within(*id, unit, day))
    }

    fn person_within(&self, person: PersonId, unit: OrgUnitId, day: Day) -> bool {
        self.last_known_position(person, day).is_some_and(|(_, position)| self.is_within(position.unit, unit))
    }

    /// Whether an outlet counts towards a unit, or one below it, on a day.
    pub fn outlet_within(&self, outlet: OutletId, unit: OrgUnitId, day: Day) -> bool {
        self.unit_on(outlet, day).is_some_and(|found| self.is_within(found, unit))
    }
}

/// A digest of an ordered set of homes. Device and server compare it to find out whether they have the same scope.
pub fn scope_digest(homes: &[Home]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for home in homes {
        let (kind, id): (u8, &[u8]) = match home {
            Home::Company => (0, &[]),
            Home::Unit(id) => (1, id.0.as_bytes()),
            Home::Outlet(id) => (2, id.0.as_bytes()),
            Home::Person(id) => (3, id.0.as_bytes()),
        };
        hasher.update(&[kind]);
        hasher.update(id);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}
