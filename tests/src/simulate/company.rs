//! The company of a simulation: regions with areas, and one person per phone. Most are merchandisers or
//! representatives, some are managers or work at headquarters.

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PersonId, PositionId};
use xundian_protocol::kinds::{Gtin, Role, UnitType};

use crate::company::{Company, NewOutlet, outlet_id, person_id, position_id};

/// The number of outlets that each merchandiser or representative starts with.
const OUTLETS_EACH: usize = 3;
const PRODUCTS: u64 = 6;
const REGIONS: usize = 2;
/// The number of days since the outlets were assigned.
const DAYS_OF_HISTORY: i32 = 30;

/// The people, positions and outlets.
pub(super) struct Staff {
    pub(super) people: Vec<PersonId>,
    pub(super) positions: Vec<PositionId>,
    pub(super) outlets: Vec<OutletId>,
}

/// Returns the n-th product.
///
/// # Panics
/// Never: GS1 keeps these numbers for demonstrations.
pub(super) fn product(n: u64) -> Gtin {
    Gtin::with_check_digit(952_000_000_000 + n % PRODUCTS).expect("a number of twelve digits")
}

/// Drafts a company with one person per phone.
pub(super) fn found(phones: usize, today: Day) -> (Company, Staff) {
    let mut company = Company::default();
    let mut staff = Staff { people: Vec::new(), positions: Vec::new(), outlets: Vec::new() };
    let from = Day(today.0 - DAYS_OF_HISTORY);
    let top = company.unit("HQ", "总公司", UnitType::Company, None);
    let regions: Vec<_> = (0..REGIONS)
        .map(|n| company.unit(&format!("R{n}"), &format!("{n}大区"), UnitType::Region, Some(top)))
        .collect();
    for n in 0..phones {
        let region = regions[n % REGIONS];
        let (unit, role) = match n % 6 {
            3 => (region, Role::Manager),
            4 => (region, Role::Representative),
            5 => (top, Role::Headquarters),
            _ => {
                let area = company.unit(&format!("A{n}"), &format!("{n}片区"), UnitType::Area, Some(region));
                (area, Role::Merchandiser)
            }
        };
        let code = format!("P{n}");
        company.position(&code, "岗位", unit, role);
        company.person(&code, &format!("员工{n}"), position_id(&code));
        staff.people.push(person_id(&code));
        staff.positions.push(position_id(&code));
        if matches!(role, Role::Merchandiser | Role::Representative) {
            for of in 0..OUTLETS_EACH {
                let code = format!("{n}-{of}");
                let (name, unit) = (format!("门店{code}"), Some(unit));
                company.outlet(NewOutlet {
                    code: &code,
                    name: &name,
                    address: None,
                    unit,
                    position_e7: None,
                });
                company.assign(outlet_id(&code), position_id(&format!("P{n}")), from);
                staff.outlets.push(outlet_id(&code));
            }
        }
    }
    for n in 0..PRODUCTS {
        company.product(product(n), &format!("茶饮料{n}"));
    }
    (company, staff)
}
