//! A small company: two regions, one with an area below it, four people and six outlets.
//!
//! | person | position | unit | sees |
//! |---|---|---|---|
//! | W1 王芳 | HB-M1 merchandiser | HB-1 片区, in 华北大区 | A1, A2, A3 |
//! | W2 李雷 | HB-R2 representative | HB 华北大区 | B1 |
//! | W3 陈静 | HN-R1 representative | HN 华南大区 | C1 |
//! | W4 赵强 | HB-MGR manager | HB 华北大区 | all of 华北大区 |
//!
//! D1 is assigned to nobody and belongs to no unit. It counts as unassigned, and for the nation.

use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    Channel, Entity, Gtin, OrgUnit, Outlet, OutletAssignment, OutletStatus, Person, PersonStatus, Position,
    Product, Role, RoutePlan, UnitType,
};
use xundian_protocol::record::Home;
use xundian_server::{Draft, Server, sessions};

/// Each outlet's code, channel, and the position that it is assigned to.
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
/// The number of days since the outlets were assigned.
const DAYS_OF_HISTORY: i32 = 60;

/// Returns the id that is derived from a code, as imports derive it.
pub fn id<T: Entity>(code: &str) -> RecordId {
    RecordId::derived(T::SPEC.kind, code)
}

/// Returns the unit with this code.
pub fn unit(code: &str) -> OrgUnitId {
    OrgUnitId(id::<OrgUnit>(code))
}

/// Returns the person with this staff number.
pub fn person(code: &str) -> PersonId {
    PersonId(id::<Person>(code))
}

/// Returns the outlet with this code.
pub fn outlet(code: &str) -> OutletId {
    OutletId(id::<Outlet>(code))
}

/// Returns the position with this code.
pub fn position(code: &str) -> PositionId {
    PositionId(id::<Position>(code))
}

/// Returns the n-th product.
///
/// # Panics
/// Panics if `n` is too large.
pub fn product(n: u64) -> Gtin {
    Gtin::with_check_digit(952_000_000_000 + n).expect("GS1 keeps these numbers for demonstrations")
}

/// Returns today's date in the company's time zone.
///
/// # Panics
/// Panics if the clock is outside the calendar.
pub fn today() -> Day {
    Day::local(sessions::now_ms(), DEFAULT_ZONE).expect("the clock is set")
}

/// Drafts a record as headquarters writes it.
pub fn draft<T: Entity>(form: &T, id: RecordId, home: Home) -> Draft {
    Draft { key: T::key(id), home, writes: form.writes() }
}

/// Writes the whole company, including products.
///
/// # Panics
/// Panics if the server refuses it.
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
/// Panics if the server refuses them.
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

/// Drafts a person who holds a position.
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

/// Drafts an active outlet.
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

/// Drafts an assignment of an outlet to a position. Of two that apply on a day, the one with the greater epoch counts.
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

/// Drafts a route plan with outlets in this order.
pub fn route(of: &str, day: Day, outlets: &[&str]) -> Draft {
    let order = outlets.iter().zip(1..).map(|(code, place)| (outlet(code), place)).collect();
    let form = RoutePlan { day: Some(day), call_order: order, ..RoutePlan::default() };
    draft(&form, id::<RoutePlan>(&format!("{of}/{day}")), Home::Person(person(of)))
}
