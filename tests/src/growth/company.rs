//! The company of the growth benchmark: nine regions with a manager each, and reps with their own outlets.

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::{Gtin, Role, UnitType};

use super::Size;
use crate::company::{Company, NewOutlet, person_id};
use crate::support::company::product;

const REGIONS: u32 = 9;

/// A rep and their outlets.
pub(super) struct Rep {
    pub(super) person: PersonId,
    pub(super) outlets: Vec<OutletId>,
}

/// The manager of the first region.
pub(super) fn manager() -> PersonId {
    person_id("MGR0")
}

pub(super) fn products(size: Size) -> Vec<Gtin> {
    (0..u64::from(size.products)).map(product).collect()
}

/// Returns the company's drafts, in parts to be written one after the other, and its reps.
pub(super) fn draw(size: Size, first: Day) -> (Vec<Company>, Vec<Rep>) {
    let mut top = Company::default();
    let headquarters = top.unit("HQ", "总公司", UnitType::Company, None);
    let mut teams = Vec::new();
    for region in 0..REGIONS {
        let unit =
            top.unit(&format!("R{region}"), &format!("{region}大区"), UnitType::Region, Some(headquarters));
        let manager = top.position(&format!("MGR{region}"), "大区经理", unit, Role::Manager);
        top.person(&format!("MGR{region}"), "大区经理", manager);
        teams.push(unit);
    }
    for gtin in products(size) {
        top.product(gtin, "茶饮料");
    }
    let (mut parts, mut reps) = (vec![top], Vec::new());
    for rep in 0..size.people {
        let mut part = Company::default();
        let unit = teams[(rep % REGIONS) as usize];
        let code = format!("P{rep:05}");
        let position = part.position(&code, "理货员", unit, Role::Merchandiser);
        let person = part.person(&code, "理货员", position);
        let outlet = |n: u32| {
            let code = format!("{code}-{n:03}");
            let new =
                NewOutlet { code: &code, name: &code, address: None, unit: Some(unit), position_e7: None };
            let outlet = part.outlet(new);
            part.assign(outlet, position, first);
            outlet
        };
        reps.push(Rep { person, outlets: (0..size.outlets_each).map(outlet).collect() });
        parts.push(part);
    }
    (parts, reps)
}
