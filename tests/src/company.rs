//! Drafts of an organisation: units, positions, people, outlets, assignments and products, each named by a code.
//!
//! Every id is derived from a code, so the id is known without reading the record.

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    Channel, Entity, Gtin, OrgUnit, Outlet, OutletAssignment, OutletStatus, Person, PersonStatus, Position,
    Product, Role, UnitType,
};
use xundian_protocol::record::{Home, RecordKey};
use xundian_server::Draft;

/// An organisation being drafted.
#[derive(Default)]
pub struct Company {
    drafts: Vec<Draft>,
}

/// An outlet to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewOutlet<'a> {
    /// Its code.
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its postal address.
    pub address: Option<&'a str>,
    /// The unit of its territory.
    pub unit: Option<OrgUnitId>,
    /// Latitude and longitude, degrees × 10⁷.
    pub position_e7: Option<(i64, i64)>,
}

/// Returns the id of the unit with this code.
pub fn unit_id(code: &str) -> OrgUnitId {
    OrgUnitId(RecordId::derived(OrgUnit::SPEC.kind, code))
}

/// Returns the id of the position with this code.
pub fn position_id(code: &str) -> PositionId {
    PositionId(RecordId::derived(Position::SPEC.kind, code))
}

/// Returns the id of the person with this staff number.
pub fn person_id(code: &str) -> PersonId {
    PersonId(RecordId::derived(Person::SPEC.kind, code))
}

/// Returns the id of the outlet with this code.
pub fn outlet_id(code: &str) -> OutletId {
    OutletId(RecordId::derived(Outlet::SPEC.kind, code))
}

impl Company {
    /// Adds a unit.
    pub fn unit(
        &mut self,
        code: &str,
        name: &str,
        unit_type: UnitType,
        parent: Option<OrgUnitId>,
    ) -> OrgUnitId {
        let id = unit_id(code);
        let form = OrgUnit {
            code: Some(code.into()),
            name_zh: Some(name.into()),
            unit_type: Some(unit_type),
            parent,
            ..OrgUnit::default()
        };
        self.add(id.0, Home::Company, &form);
        id
    }

    /// Adds a position.
    pub fn position(&mut self, code: &str, title: &str, unit: OrgUnitId, role: Role) -> PositionId {
        let id = position_id(code);
        let form = Position {
            code: Some(code.into()),
            title: Some(title.into()),
            unit: Some(unit),
            role: Some(role),
            superior: None,
        };
        self.add(id.0, Home::Company, &form);
        id
    }

    /// Adds a person who holds a position.
    pub fn person(&mut self, code: &str, name: &str, position: PositionId) -> PersonId {
        let id = person_id(code);
        let form = Person {
            code: Some(code.into()),
            name: Some(name.into()),
            status: Some(PersonStatus::Active),
            position: Some(position),
            ..Person::default()
        };
        self.add(id.0, Home::Person(id), &form);
        id
    }

    /// Adds an outlet.
    pub fn outlet(&mut self, outlet: NewOutlet<'_>) -> OutletId {
        let id = outlet_id(outlet.code);
        let form = Outlet {
            code: Some(outlet.code.into()),
            name: Some(outlet.name.into()),
            address: outlet.address.map(Into::into),
            channel: Some(Channel::Chain),
            status: Some(OutletStatus::Active),
            unit: outlet.unit,
            latitude_e7: outlet.position_e7.map(|at| at.0),
            longitude_e7: outlet.position_e7.map(|at| at.1),
            ..Outlet::default()
        };
        self.add(id.0, Home::Outlet(id), &form);
        id
    }

    /// Assigns an outlet to a position, starting on a day.
    pub fn assign(&mut self, outlet: OutletId, position: PositionId, from: Day) {
        let id = RecordId::derived(OutletAssignment::SPEC.kind, &format!("{outlet}/{position}/{from}"));
        let form = OutletAssignment {
            position: Some(position),
            epoch: Some(1),
            from: Some(from),
            ..OutletAssignment::default()
        };
        self.add(id, Home::Outlet(outlet), &form);
    }

    /// Adds a product.
    pub fn product(&mut self, gtin: Gtin, name: &str) {
        let form = Product { gtin: Some(gtin), name: Some(name.into()), ..Product::default() };
        self.add(Product::id_of(gtin), Home::Company, &form);
    }

    /// Returns the drafts for the server to write.
    pub fn into_drafts(self) -> Vec<Draft> {
        self.drafts
    }

    fn add<T: Entity>(&mut self, id: RecordId, home: Home, form: &T) {
        let key = RecordKey { kind: T::SPEC.kind, id };
        self.drafts.push(Draft { key, home, writes: form.writes() });
    }
}
