//! The lab's organisation, built by the generator's rules (`../shared/peers/rust/gen`), and the conversion of the
//! lab's visits to records and back.

use std::collections::BTreeMap;

use xundian_client::{Client, GpsFix, VisitBundle, VisitId};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, RecordId};
use xundian_protocol::kinds::{
    Entity, Gtin, Header, Outlet, Role, ShelfObservation, StockCount, UnitType, Visit as VisitForm,
};
use xundian_protocol::record::{Home, Record};

use super::PeerError;
use super::contract::{Line, Visit};
use crate::company::{Company, NewOutlet, person_id, unit_id};

/// The number of recording devices: the larger of the harness's two sizes.
pub(super) const DEVICES: u32 = 20;
/// The number of outlets of the first device, which visits alone in the run with one device and 2,000 visits.
const STORES_ALONE: u32 = 1_000;
/// The number of outlets of each other device, for the run with 20 devices of 200 visits each.
const STORES_EACH: u32 = 100;
pub(super) const REGIONS: u32 = 9;
/// The day of all visits.
pub(super) const LAB_DAY: Day = Day(20_403);
/// The staff numbers of the person who pulls and of the one who queries figures.
pub(super) const MANAGER: &str = "MGR1";
pub(super) const HEADQUARTERS: &str = "HQ1";
const TASKS: [&str; 3] = ["t1", "t2", "t3"];
/// The generator gives degrees × 10⁶, the records hold degrees × 10⁷.
const E7_PER_E6: i64 = 10;

const fn region_of(device: u32) -> u32 {
    device % REGIONS + 1
}

/// Returns the staff number of the device's owner.
pub(super) fn rep(device: u32) -> String {
    format!("R{}{device:03}", region_of(device))
}

fn region_code(region: u32) -> String {
    format!("R{region}")
}

/// Returns the number of each region, by its unit.
pub(super) fn regions() -> BTreeMap<OrgUnitId, u32> {
    (1..=REGIONS).map(|region| (unit_id(&region_code(region)), region)).collect()
}

/// Drafts everything that the lab's visits refer to.
pub(super) fn company() -> Company {
    let mut company = Company::default();
    let top = company.unit("HQ", "总公司", UnitType::Company, None);
    let headquarters = company.position("HQ-P", "总部", top, Role::Headquarters);
    company.person(HEADQUARTERS, "总部", headquarters);
    let mut teams = Vec::new();
    for region in 1..=REGIONS {
        let unit = company.unit(&region_code(region), &format!("{region}大区"), UnitType::Region, Some(top));
        teams.push((unit, company.position(&format!("T{region}"), "理货员", unit, Role::Merchandiser)));
    }
    let manager = company.position("MGR-P", "大区经理", teams[0].0, Role::Manager);
    company.person(MANAGER, "大区经理", manager);
    for device in 0..DEVICES {
        let region = region_of(device);
        let (unit, team) = teams[(region - 1) as usize];
        company.person(&rep(device), "理货员", team);
        for store in 0..if device == 0 { STORES_ALONE } else { STORES_EACH } {
            let code = format!("S{region}-{device:02}{store:04}");
            let (name, unit) = (code.as_str(), Some(unit));
            let new = NewOutlet { code: &code, name, address: None, unit, position_e7: None };
            let outlet = company.outlet(new);
            company.assign(outlet, team, Day(LAB_DAY.0 - 365));
        }
    }
    company
}

/// Converts a visit of the lab to what the app would save.
pub(super) fn bundle(visit: &Visit, outlet: OutletId) -> Result<VisitBundle, PeerError> {
    let wrong = |what: &str| PeerError::Wrong(format!("visit {}: {what}", visit.visit_id));
    let mut bundle = VisitBundle::new(outlet, visit.check_in * 1000, visit.check_out * 1000);
    let id = u128::from_str_radix(&visit.visit_id, 16).map_err(|_| wrong("its id is not a number"))?;
    bundle.id = Some(VisitId(RecordId::from_bytes(id.to_be_bytes())));
    bundle.fix = Some(GpsFix {
        latitude_e7: i64::from(visit.lat_e6) * E7_PER_E6,
        longitude_e7: i64::from(visit.lon_e6) * E7_PER_E6,
        accuracy_m: None,
        mocked: false,
    });
    bundle.task_answers = TASKS.iter().map(|task| (*task).to_owned()).zip(visit.tasks).collect();
    bundle.note = Some(visit.note.clone());
    for line in &visit.lines {
        let gtin: Gtin = line.sku.parse()?;
        bundle.shelf.present.insert(gtin, !line.oos);
        bundle.shelf.facings_own.insert(gtin, line.facings.into());
        bundle.shelf.price_minor.insert(gtin, line.price_cents.into());
        bundle.count.shelf_units.insert(gtin, line.shelf_qty.into());
        bundle.count.backroom_units.insert(gtin, line.back_qty.into());
    }
    Ok(bundle)
}

/// Reads the lab's visits back from a device.
pub(super) struct Reader<'a> {
    client: &'a Client,
    outlets: BTreeMap<OutletId, String>,
    people: BTreeMap<RecordId, String>,
    regions: BTreeMap<OrgUnitId, u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client) -> Result<Self, PeerError> {
        let mut outlets = BTreeMap::new();
        for line in client.list(Outlet::SPEC.kind, None)? {
            let code = Outlet::read(&line.record).code.unwrap_or_default();
            outlets.insert(OutletId(line.record.key.id), code);
        }
        let people = (0..DEVICES).map(|device| (person_id(&rep(device)).0, rep(device))).collect();
        Ok(Self { client, outlets, people, regions: regions() })
    }

    /// Returns every visit on the device.
    pub(super) fn visits(&self) -> Result<Vec<Visit>, PeerError> {
        let lines = self.client.list(VisitForm::SPEC.kind, None)?;
        lines.iter().map(|line| self.visit(&line.record)).collect()
    }

    fn visit(&self, record: &Record) -> Result<Visit, PeerError> {
        let id = record.key.id;
        let wrong = |what: &str| PeerError::Wrong(format!("visit {id} came back without {what}"));
        let header = Header::read(record).ok_or_else(|| wrong("its header"))?;
        let form = VisitForm::read(record);
        let Home::Outlet(outlet) = record.home else { return Err(wrong("its outlet")) };
        let shelf: ShelfObservation = self.client.entity(id)?.ok_or_else(|| wrong("its shelf"))?;
        let count: StockCount = self.client.entity(id)?.ok_or_else(|| wrong("its count"))?;
        let outlet_form: Outlet = self.client.entity(outlet.0)?.ok_or_else(|| wrong("its outlet"))?;
        let region = outlet_form.unit.and_then(|unit| self.regions.get(&unit)).copied();
        let seconds = |ms: Option<i64>| ms.filter(|ms| ms % 1000 == 0).map(|ms| ms / 1000);
        let e6 = |e7: Option<i64>| e7.and_then(|e7| i32::try_from(e7 / E7_PER_E6).ok());
        let answer = |task: &str| form.task_answers.get(task).copied().unwrap_or(false);
        Ok(Visit {
            visit_id: format!("{:032x}", u128::from_be_bytes(*id.as_bytes())),
            store_id: self.outlets.get(&outlet).cloned().ok_or_else(|| wrong("its outlet"))?,
            rep_id: self.people.get(&header.actor.0).cloned().ok_or_else(|| wrong("its author"))?,
            region_id: region.ok_or_else(|| wrong("its region"))?,
            check_in: seconds(form.opened_at_ms).ok_or_else(|| wrong("its check-in"))?,
            check_out: seconds(form.closed_at_ms).ok_or_else(|| wrong("its check-out"))?,
            lat_e6: e6(form.latitude_e7).ok_or_else(|| wrong("its latitude"))?,
            lon_e6: e6(form.longitude_e7).ok_or_else(|| wrong("its longitude"))?,
            lines: lines(&shelf, &count).ok_or_else(|| wrong("a line"))?,
            tasks: TASKS.map(answer),
            note: form.note.clone().unwrap_or_default(),
        })
    }
}

/// Returns the lines ordered by GTIN, as the generator does.
fn lines(shelf: &ShelfObservation, count: &StockCount) -> Option<Vec<Line>> {
    let line = |(gtin, present): (&Gtin, &bool)| {
        Some(Line {
            sku: format!("{:013}", gtin.number()),
            shelf_qty: number(&count.shelf_units, gtin)?,
            back_qty: number(&count.backroom_units, gtin)?,
            facings: number(&shelf.facings_own, gtin)?,
            price_cents: number(&shelf.price_minor, gtin)?,
            oos: !present,
        })
    };
    shelf.present.iter().map(line).collect()
}

fn number(lines: &BTreeMap<Gtin, i64>, gtin: &Gtin) -> Option<u32> {
    u32::try_from(*lines.get(gtin)?).ok()
}
