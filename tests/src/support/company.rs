//! A small company: two regions, one with an area below it, four people and six outlets.
//!
//! | person | position | unit | sees |
//! |---|---|---|---|
//! | W1 王芳 | HB-M1 merchandiser | HB-1 片区, in 华北大区 | A1, A2, A3 |
//! | W2 李雷 | HB-R2 representative | HB 华北大区 | B1 |
//! | W3 陈静 | HN-R1 representative | HN 华南大区 | C1 |
//! | W4 赵强 | HB-MGR manager | HB 华北大区 | all of 华北大区 |
//!
//! D1 is assigned to nobody and lies in no unit: it counts as unassigned, and for the nation.

use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    Channel, Entity, Gtin, OrgUnit, Outlet, OutletAssignment, OutletStatus, Person, PersonStatus, Position,
    Product, Role, RoutePlan, UnitType,
};
use xundian_protocol::record::Home;
use xundian_server::{Draft, Server, sessions};

/// Code, type of trade, and the position that looks after it.
const OUTLETS: [(&str, Channel, Option<&str>); 6] = [
    ("A1", Channel::Hypermarket, Some("HB-M1")),
    ("A2", Channel::Chain, Some("HB-M1")),
    ("A3", Channel::Convenience, Some("HB-M1")),
    ("B1", Channel::Hypermarket, Some("HB-R2")),
    ("C1", Channel::Chain, Some("HN-R1")),
    ("D1", Channel::Traditional, None),
];
const PEOPLE: [(&str, &str, &str); 4] =
    [("W1", "王芳", "HB-M1"), ("W2", "李雷", "HB-R2"), ("W3", "陈静", "HN-R1"), ("W4", "赵强", "HB-MGR")];
const POSITIONS: [(&str, &str, &str, Role); 4] = [
    ("HB-M1", "理货员", "HB-1", Role::Merchandiser),
    ("HB-R2", "区域销售", "HB", Role::Representative),
    ("HN-R1", "区域销售", "HN", Role::Representative),
    ("HB-MGR", "大区经理", "HB", Role::Manager),
];
const UNITS: [(&str, &str, UnitType, Option<&str>); 4] = [
    ("HQ", "总公司", UnitType::Company, None),
    ("HB", "华北大区", UnitType::Region, Some("HQ")),
    ("HB-1", "北京片区", UnitType::Area, Some("HB")),
    ("HN", "华南大区", UnitType::Region, Some("HQ")),
];
/// How long before today everything began.
const DAYS_OF_HISTORY: i32 = 60;

/// The id of a record that imports and this company name by a code.
pub fn id<T: Entity>(code: &str) -> RecordId {
    RecordId::derived(T::SPEC.kind, code)
}

/// A unit by its code.
pub fn unit(code: &str) -> OrgUnitId {
    OrgUnitId(id::<OrgUnit>(code))
}

/// A person by staff number.
pub fn person(code: &str) -> PersonId {
    PersonId(id::<Person>(code))
}

/// An outlet by its code.
pub fn outlet(code: &str) -> OutletId {
    OutletId(id::<Outlet>(code))
}

/// A position by its code.
pub fn position(code: &str) -> PositionId {
    PositionId(id::<Position>(code))
}

/// The n-th product.
///
/// # Panics
/// Where there cannot be so many.
pub fn product(n: u64) -> Gtin {
    Gtin::with_check_digit(952_000_000_000 + n).expect("GS1 keeps these numbers for demonstrations")
}

/// The present day, by the company's zone.
///
/// # Panics
/// Where the clock stands outside the calendar.
pub fn today() -> Day {
    Day::local(sessions::now_ms(), DEFAULT_ZONE).expect("the clock is set")
}

/// A form as headquarters writes it.
pub fn draft<T: Entity>(form: &T, id: RecordId, home: Home) -> Draft {
    Draft { key: T::key(id), home, writes: form.writes() }
}

/// Writes the company, products and all.
///
/// # Panics
/// Where the server refuses it.
pub fn found(server: &Server) {
    let from = Day(today().0 - DAYS_OF_HISTORY);
    let mut drafts = organisation();
    for (code, channel, position) in OUTLETS {
        drafts.push(outlet_draft(code, channel));
        drafts.extend(position.map(|position| assignment(code, position, 1, from, None)));
    }
    for n in 0..10 {
        let form =
            Product { gtin: Some(product(n)), name: Some(format!("茶饮料{n}")), ..Product::default() };
        drafts.push(draft(&form, Product::id_of(product(n)), Home::Company));
    }
    write(server, drafts);
}

/// Writes drafts as headquarters.
///
/// # Panics
/// Where the server refuses them.
pub fn write(server: &Server, drafts: Vec<Draft>) {
    server.write(drafts, "test", sessions::now_ms()).expect("headquarters may write this");
}

fn organisation() -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (code, name, unit_type, parent) in UNITS {
        let form = OrgUnit {
            code: Some(code.into()),
            name_zh: Some(name.into()),
            unit_type: Some(unit_type),
            parent: parent.map(unit),
            ..OrgUnit::default()
        };
        drafts.push(draft(&form, unit(code).0, Home::Company));
    }
    for (code, title, of, role) in POSITIONS {
        let form = Position {
            code: Some(code.into()),
            title: Some(title.into()),
            unit: Some(unit(of)),
            role: Some(role),
            ..Position::default()
        };
        drafts.push(draft(&form, position(code).0, Home::Company));
    }
    for (code, name, held) in PEOPLE {
        drafts.push(person_draft(code, name, held));
    }
    drafts
}

/// A person who holds a position.
pub fn person_draft(code: &str, name: &str, held: &str) -> Draft {
    let form = Person {
        code: Some(code.into()),
        name: Some(name.into()),
        status: Some(PersonStatus::Active),
        position: Some(position(held)),
        ..Person::default()
    };
    draft(&form, person(code).0, Home::Person(person(code)))
}

/// An outlet that trades.
pub fn outlet_draft(code: &str, channel: Channel) -> Draft {
    let form = Outlet {
        code: Some(code.into()),
        name: Some(format!("门店{code}")),
        channel: Some(channel),
        status: Some(OutletStatus::Active),
        ..Outlet::default()
    };
    draft(&form, outlet(code).0, Home::Outlet(outlet(code)))
}

/// An assignment of an outlet to a position; of two in force the greater epoch stands.
pub fn assignment(of: &str, to: &str, epoch: i64, from: Day, last: Option<Day>) -> Draft {
    let form = OutletAssignment {
        position: Some(position(to)),
        epoch: Some(epoch),
        from: Some(from),
        to: last,
        ..OutletAssignment::default()
    };
    draft(&form, id::<OutletAssignment>(&format!("{of}/{epoch}")), Home::Outlet(outlet(of)))
}

/// A plan that names outlets in their order.
pub fn route(of: &str, day: Day, outlets: &[&str]) -> Draft {
    let order = outlets.iter().zip(1..).map(|(code, place)| (outlet(code), place)).collect();
    let form = RoutePlan { day: Some(day), call_order: order, ..RoutePlan::default() };
    draft(&form, id::<RoutePlan>(&format!("{of}/{day}")), Home::Person(person(of)))
}
