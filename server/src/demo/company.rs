//! The demo's company as drafts: nine regions with two areas each, 36 merchandisers with their outlets and the day's
//! route plans, the managers above them, and the products.
//!
//! Pure: everything follows from a seed and a day. Names and locations of outlets are invented; the cities are real.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    Channel, Entity, GtinError, OrgUnit, Outlet, OutletAssignment, OutletStatus, Person, PersonStatus,
    Position, Role, RoutePlan, UnitType,
};
use xundian_protocol::record::Home;

use super::catalogue::{self, Item};
use super::geography::{City, REGIONS, Region, UNASSIGNED};
use crate::Draft;

/// Areas 片区 of a region.
const AREAS: usize = 2;
/// Merchandisers of an area.
const PER_AREA: usize = 2;
/// A person's outlets that are not on the day's plan.
const SPARE: usize = 6;
/// Outlets in each city that belongs to no region.
const UNASSIGNED_PER_CITY: usize = 3;
/// When positions got their outlets, in days before the demo's day.
const ASSIGNED_DAYS: i32 = 60;
/// Hypermarkets and chain outlets of a planned day: each is a full day's work (S6.6).
const DAY_PLANS: [(usize, usize); 8] = [(8, 0), (6, 6), (5, 9), (4, 12), (3, 15), (2, 18), (1, 21), (0, 24)];
const COMPANY: &str = "HQ";

/// The company: what is written to the server, and what its people need to know.
#[derive(Debug)]
pub(super) struct Company {
    /// All drafts, in an order that can be written at once.
    pub(super) drafts: Vec<Draft>,
    pub(super) merchandisers: Vec<Merchandiser>,
    pub(super) items: Vec<Item>,
    /// Each region with its manager.
    pub(super) managers: Vec<(&'static str, PersonId)>,
    /// Outlets that belong to no region.
    pub(super) unassigned_outlets: usize,
}

/// One of the 36 people in the field.
#[derive(Clone, Debug)]
pub(super) struct Merchandiser {
    /// The index among all, from 0.
    pub(super) nth: usize,
    pub(super) person: PersonId,
    pub(super) code: String,
    pub(super) name: String,
    /// The outlets on the day's plan, in the order of calls.
    pub(super) planned: Vec<Shop>,
    /// Further outlets that are not on the plan.
    pub(super) spare: Vec<Shop>,
}

/// An outlet as its visitor needs it.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    pub(super) id: OutletId,
    pub(super) channel: Channel,
    /// Latitude and longitude.
    pub(super) position_e7: (i64, i64),
    /// The listed products, as indices into the company's items.
    pub(super) listed: Vec<usize>,
}

impl Company {
    /// The number of outlets with an assignment.
    pub(super) fn assigned_outlets(&self) -> usize {
        self.merchandisers.iter().map(|who| who.planned.len() + who.spare.len()).sum()
    }

    /// The number of calls on the day's plans.
    pub(super) fn planned_calls(&self) -> usize {
        self.merchandisers.iter().map(|who| who.planned.len()).sum()
    }
}

/// Makes the company as of a day.
pub(super) fn make(seed: u64, day: Day) -> Result<Company, GtinError> {
    let items = catalogue::items()?;
    let own: Vec<usize> = (0..items.len()).filter(|place| !items[*place].competitor).collect();
    let mut maker = Maker { random: StdRng::seed_from_u64(seed), day, own, drafts: Vec::new() };
    maker.company();
    maker.drafts.extend(catalogue::drafts(&items));
    let mut merchandisers = Vec::new();
    let mut managers = Vec::new();
    for region in &REGIONS {
        managers.push((region.code, maker.region(region)));
        for area in 0..AREAS {
            for number in 0..PER_AREA {
                let nth = merchandisers.len();
                merchandisers.push(maker.merchandiser(region, area, area * PER_AREA + number, nth));
            }
        }
    }
    let unassigned_outlets = maker.unassigned();
    Ok(Company { drafts: maker.drafts, merchandisers, items, managers, unassigned_outlets })
}

/// The id that an import would derive from these codes, so that a later import finds the record.
fn id_of<T: Entity>(codes: &[&str]) -> RecordId {
    RecordId::derived(T::SPEC.kind, &codes.join("\n"))
}

fn unit_id(code: &str) -> OrgUnitId {
    OrgUnitId(id_of::<OrgUnit>(&[code]))
}

fn position_id(code: &str) -> PositionId {
    PositionId(id_of::<Position>(&[code]))
}

struct Maker {
    random: StdRng,
    day: Day,
    /// The indices of the own products.
    own: Vec<usize>,
    drafts: Vec<Draft>,
}

impl Maker {
    fn company(&mut self) {
        self.unit(COMPANY, "示例公司", "Demo company", UnitType::Company, None, &[]);
        self.position("HQ-DIRECTOR", "营销总监", COMPANY, Role::Headquarters, None);
        self.person("HQ-01", "营销总监", "HQ-DIRECTOR");
    }

    /// A region with its areas and positions. Returns its manager. The areas' positions are vacant: a vacant position
    /// is a record as well (S5.2).
    fn region(&mut self, region: &Region) -> PersonId {
        let kind = if region.is_special() { UnitType::SpecialRegion } else { UnitType::Region };
        self.unit(region.code, region.name_zh, region.name_en, kind, Some(COMPANY), region.provinces);
        let post = manager_post(region.code);
        self.position(
            &post,
            &format!("{}经理", region.name_zh),
            region.code,
            Role::Manager,
            Some("HQ-DIRECTOR"),
        );
        let cities = region.cities();
        for area in 0..AREAS {
            let code = area_code(region, area);
            // If a region is one city, its areas share it, and no division code can distinguish them.
            let territory: Vec<&str> = if cities.len() < AREAS {
                Vec::new()
            } else {
                cities.iter().skip(area).step_by(AREAS).map(|city| city.code).collect()
            };
            let name_zh = format!("{}{}片区", region.short_zh, ["一", "二"][area % 2]);
            let name_en = format!("{}, area {}", region.name_en, area + 1);
            self.unit(&code, &name_zh, &name_en, UnitType::Area, Some(region.code), &territory);
            self.position(&manager_post(&code), "区域经理", &code, Role::Manager, Some(&post));
        }
        self.person(&format!("{}-00", region.code), &format!("经理 {}", region.short_zh), &post)
    }

    fn merchandiser(&mut self, region: &Region, area: usize, number: usize, nth: usize) -> Merchandiser {
        let code = format!("{}-{:02}", region.code, number + 1);
        let name = format!("理货员 {}-{:02}", region.short_zh, number + 1);
        let (post, unit) = (format!("{code}-POST"), area_code(region, area));
        self.position(&post, "理货员", &unit, Role::Merchandiser, Some(&manager_post(&unit)));
        let person = self.person(&code, &name, &post);

        let cities = region.cities();
        let of_area: Vec<City> =
            cities.iter().skip(area.min(cities.len() - 1)).step_by(AREAS).copied().collect();
        // Two people share an area; each works in some of its cities.
        let own: Vec<City> =
            of_area.iter().skip(number % PER_AREA % of_area.len()).step_by(PER_AREA).copied().collect();
        let (hypermarkets, chains) = DAY_PLANS[self.random.random_range(0..DAY_PLANS.len())];
        let planned = self.channels(hypermarkets, chains);
        let mut shops = Vec::with_capacity(planned.len() + SPARE);
        let spare = [Channel::Supermarket, Channel::Convenience, Channel::Traditional]
            .into_iter()
            .cycle()
            .take(SPARE);
        for (place, channel) in planned.iter().copied().chain(spare).enumerate() {
            // A day stays in one or two cities.
            let city = own[place % own.len().min(2)];
            shops.push(self.shop(
                &format!("{code}-{:03}", place + 1),
                channel,
                city,
                Some(&unit),
                region.centre_e7,
            ));
        }
        for (place, shop) in shops.iter().enumerate() {
            self.assign(shop.id, &format!("{code}-{:03}", place + 1), &post);
        }
        let spare = shops.split_off(planned.len());
        self.plan(person, &code, &shops);
        Merchandiser { nth, person, code, name, planned: shops, spare }
    }

    /// The calls of a day in travelling order.
    fn channels(&mut self, hypermarkets: usize, chains: usize) -> Vec<Channel> {
        let mut left = [hypermarkets, chains];
        let mut calls = Vec::with_capacity(hypermarkets + chains);
        while left[0] + left[1] > 0 {
            let hypermarket = self.random.random_range(0..left[0] + left[1]) < left[0];
            left[usize::from(!hypermarket)] -= 1;
            calls.push(if hypermarket { Channel::Hypermarket } else { Channel::Chain });
        }
        calls
    }

    fn unassigned(&mut self) -> usize {
        for city in &UNASSIGNED {
            for number in 0..UNASSIGNED_PER_CITY {
                let code = format!("FREE-{}-{:02}", city.code, number + 1);
                self.shop(&code, Channel::Traditional, *city, None, (360_000_000, 1_040_000_000));
            }
        }
        UNASSIGNED.len() * UNASSIGNED_PER_CITY
    }

    fn shop(
        &mut self,
        code: &str,
        channel: Channel,
        city: City,
        unit: Option<&str>,
        centre_e7: (i64, i64),
    ) -> Shop {
        let id = OutletId(id_of::<Outlet>(&[code]));
        let position_e7 = (
            centre_e7.0 + self.random.random_range(-9_000_000..9_000_000),
            centre_e7.1 + self.random.random_range(-9_000_000..9_000_000),
        );
        let (kind, listed, visits, hours) = match channel {
            Channel::Hypermarket => ("示例大卖场", 20, 8, "08:00-22:00"),
            Channel::Chain => ("示例连锁", 12, 4, "07:00-22:00"),
            Channel::Supermarket => ("示例超市", 12, 4, "07:30-21:30"),
            Channel::Convenience => ("示例便利店", 8, 2, "00:00-24:00"),
            Channel::Traditional | Channel::Other => ("示例食杂店", 6, 1, "08:00-20:00"),
        };
        let number = self.random.random_range(1..400);
        let outlet = Outlet {
            code: Some(code.to_owned()),
            name: Some(format!("{kind} {} {code}", city.name)),
            channel: Some(channel),
            address: Some(format!("{}示例路{number}号", city.name)),
            division: Some(city.code.to_owned()),
            city: Some(city.name.to_owned()),
            unit: unit.map(unit_id),
            latitude_e7: Some(position_e7.0),
            longitude_e7: Some(position_e7.1),
            geofence_m: Some(200),
            status: Some(OutletStatus::Active),
            open_hours: Some(hours.to_owned()),
            visits_per_28_days: Some(visits),
            ..Outlet::default()
        };
        self.drafts.push(Draft::of(id.0, Home::Outlet(id), &outlet));
        let mut listed: Vec<usize> = self.own.choose_multiple(&mut self.random, listed).copied().collect();
        listed.sort_unstable();
        Shop { id, channel, position_e7, listed }
    }

    fn assign(&mut self, outlet: OutletId, code: &str, post: &str) {
        let from = Day(self.day.0 - ASSIGNED_DAYS);
        let id = id_of::<OutletAssignment>(&[code, post, &from.to_string()]);
        let assignment = OutletAssignment {
            position: Some(position_id(post)),
            epoch: Some(1),
            from: Some(from),
            ..OutletAssignment::default()
        };
        self.drafts.push(Draft::of(id, Home::Outlet(outlet), &assignment));
    }

    fn plan(&mut self, person: PersonId, code: &str, calls: &[Shop]) {
        let id = id_of::<RoutePlan>(&[code, &self.day.to_string()]);
        let must = calls.iter().filter(|shop| shop.channel == Channel::Hypermarket);
        let plan = RoutePlan {
            day: Some(self.day),
            call_order: calls.iter().map(|shop| shop.id).zip(1..).collect(),
            call_must: must.map(|shop| (shop.id, true)).collect(),
            ..RoutePlan::default()
        };
        self.drafts.push(Draft::of(id, Home::Person(person), &plan));
    }

    fn unit(
        &mut self,
        code: &str,
        zh: &str,
        en: &str,
        kind: UnitType,
        parent: Option<&str>,
        territory: &[&str],
    ) {
        let unit = OrgUnit {
            code: Some(code.to_owned()),
            name_zh: Some(zh.to_owned()),
            name_en: Some(en.to_owned()),
            unit_type: Some(kind),
            parent: parent.map(unit_id),
            territory: territory.iter().map(|division| ((*division).to_owned(), true)).collect(),
        };
        self.drafts.push(Draft::of(unit_id(code).0, Home::Company, &unit));
    }

    fn position(&mut self, code: &str, title: &str, unit: &str, role: Role, superior: Option<&str>) {
        let position = Position {
            code: Some(code.to_owned()),
            title: Some(title.to_owned()),
            unit: Some(unit_id(unit)),
            role: Some(role),
            superior: superior.map(position_id),
        };
        self.drafts.push(Draft::of(position_id(code).0, Home::Company, &position));
    }

    fn person(&mut self, code: &str, name: &str, post: &str) -> PersonId {
        let id = PersonId(id_of::<Person>(&[code]));
        let person = Person {
            code: Some(code.to_owned()),
            name: Some(name.to_owned()),
            status: Some(PersonStatus::Active),
            position: Some(position_id(post)),
            ..Person::default()
        };
        self.drafts.push(Draft::of(id.0, Home::Person(id), &person));
        id
    }
}

fn area_code(region: &Region, area: usize) -> String {
    format!("{}-{}", region.code, area + 1)
}

fn manager_post(unit: &str) -> String {
    format!("{unit}-MANAGER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use xundian_protocol::access::Directory;
    use xundian_protocol::clock::{Hlc, Stamp};
    use xundian_protocol::ids::DeviceNo;
    use xundian_protocol::kinds::Gtin;
    use xundian_protocol::record::{Field, Record, Register, Write};

    const DAY: Day = Day(20_780);

    fn company(seed: u64) -> Company {
        make(seed, DAY).expect("valid GTINs")
    }

    fn record(draft: &Draft) -> Record {
        let stamp = Stamp { hlc: Hlc(1), device: DeviceNo::SERVER };
        let field = |write: &Write| Field {
            at: write.at.clone(),
            register: Register { value: write.value.clone(), stamp },
        };
        Record::from_fields(draft.key, draft.home, draft.writes.iter().map(field).collect())
    }

    fn directory(company: &Company) -> Directory {
        let mut directory = Directory::default();
        company.drafts.iter().for_each(|draft| directory.apply(&record(draft)));
        directory
    }

    #[test]
    fn there_are_nine_regions_of_these_names_and_36_people_in_the_field() {
        let company = company(1);
        let directory = directory(&company);
        let regions: BTreeSet<_> = directory
            .units()
            .filter(|(_, unit)| unit.unit_type.is_region())
            .map(|(_, unit)| unit.name_zh.as_str())
            .collect();
        let expected = [
            "晋蒙特区",
            "中南大区",
            "西北大区",
            "华北大区",
            "华南大区",
            "赣皖大区",
            "上海特区",
            "鲁豫大区",
            "江浙大区",
        ];
        assert_eq!(regions, expected.into());
        assert!(directory.units().any(|(_, unit)| unit.code == "GAN_WAN" && unit.name_zh == "赣皖大区"));
        assert_eq!((company.merchandisers.len(), company.managers.len()), (36, 9));
        for who in &company.merchandisers {
            let (_, post) = directory
                .last_known_position(who.person, Day::in_default_zone(1_800_000_000_000))
                .expect("a post");
            assert_eq!(post.role, Role::Merchandiser);
            let region =
                directory.region_of(post.unit).and_then(|region| directory.unit(region)).expect("a region");
            assert!(who.code.starts_with(&region.code), "{}", who.code);
        }
    }

    #[test]
    fn every_plan_is_a_full_day_in_outlets_of_the_own_scope() {
        let company = company(2);
        let directory = directory(&company);
        for who in &company.merchandisers {
            let of_channel = |channel| who.planned.iter().filter(|shop| shop.channel == channel).count();
            assert_eq!(of_channel(Channel::Hypermarket) * 3 + of_channel(Channel::Chain), 24, "{}", who.code);
            for shop in who.planned.iter().chain(&who.spare) {
                assert!(directory.sees(who.person, Home::Outlet(shop.id), DAY));
                assert!(
                    !shop.listed.is_empty()
                        && shop.listed.iter().all(|item| !company.items[*item].competitor)
                );
            }
        }
        let mixes: BTreeSet<_> = company.merchandisers.iter().map(|who| who.planned.len()).collect();
        assert!(mixes.len() > 4, "{mixes:?}");
    }

    #[test]
    fn some_outlets_belong_to_no_region() {
        let company = company(3);
        let directory = directory(&company);
        let free = directory.outlets().filter(|(id, _)| directory.unit_on(*id, DAY).is_none()).count();
        assert_eq!((free, company.unassigned_outlets), (24, 24));
        assert_eq!(directory.outlets().count(), company.assigned_outlets() + free);
    }

    #[test]
    fn the_same_seed_makes_the_same_company() {
        assert_eq!(company(4).drafts, company(4).drafts);
        assert_ne!(company(4).drafts, company(5).drafts);
        let keys: BTreeSet<_> = company(4).drafts.iter().map(|draft| draft.key).collect();
        assert_eq!(keys.len(), company(4).drafts.len(), "each record is written once");
    }

    #[test]
    fn gtins_are_of_the_demonstration_prefix() {
        let gtins = company(6).items.into_iter().map(|item| item.gtin.to_string());
        assert!(gtins.clone().all(|gtin| gtin.starts_with("0952") && gtin.parse::<Gtin>().is_ok()));
        assert!((60..=120).contains(&gtins.count()));
    }
}
