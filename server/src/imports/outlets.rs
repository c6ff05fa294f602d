//! `import outlets`: outlets 门店, from our own columns or from a public list of shops.

use super::Checked;
use super::current_records::{Codes, Seen, id_of};
use super::draft_record::{DraftRecord, Filled};
use super::org::{division, spelled};
use super::row_reader::{Finer, RowReader};
use super::rows::Table;
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId};
use xundian_protocol::kinds::{Channel, Entity, Outlet, OutletStatus};
use xundian_protocol::record::Home;

/// `channel` and `status` are required, so an empty cell leaves them as they are.
const FIELDS: &[Filled] = &[
    ("address", Outlet::SPEC.tag_of("address")),
    ("city", Outlet::SPEC.tag_of("city")),
    ("division", Outlet::SPEC.tag_of("division")),
    ("county_code", Outlet::SPEC.tag_of("division")),
    ("city_code", Outlet::SPEC.tag_of("division")),
    ("province_code", Outlet::SPEC.tag_of("division")),
    ("unit", Outlet::SPEC.tag_of("unit")),
    ("longitude", Outlet::SPEC.tag_of("longitude_e7")),
    ("latitude", Outlet::SPEC.tag_of("latitude_e7")),
    ("geofence_m", Outlet::SPEC.tag_of("geofence_m")),
    ("time_zone", Outlet::SPEC.tag_of("time_zone")),
    ("open_hours", Outlet::SPEC.tag_of("open_hours")),
    ("open_time", Outlet::SPEC.tag_of("open_hours")),
    ("close_time", Outlet::SPEC.tag_of("open_hours")),
    ("visits_per_28_days", Outlet::SPEC.tag_of("visits_per_28_days")),
    ("phone", Outlet::SPEC.tag_of("phone")),
    ("note", Outlet::SPEC.tag_of("note")),
];

const DIVISIONS: [&str; 4] = ["division", "county_code", "city_code", "province_code"];
const UNASSIGNED: [&str; 4] = ["unassigned", "未分配", "未分区", "无"];
const DEGREE_DIGITS: u32 = 7;
const DEGREE_E7: i64 = 10_000_000;

pub(super) fn check(table: &Table, directory: &Directory, channel: Option<Channel>) -> Checked {
    let codes = Codes::of(directory);
    let mut units = Units::of(directory);
    let mut checked = Checked::default();
    let mut seen = Seen::default();
    for row in &table.rows {
        let mut cells = RowReader::new(table, row);
        let says = read(&mut cells, &mut units, &mut seen, channel);
        match says.code.clone().filter(|_| !cells.is_bad()) {
            Some(code) => {
                let derived = || OutletId(id_of::<Outlet>(&[&code]));
                let id = codes.outlets.get(&code).copied().unwrap_or_else(derived);
                if says.unit.is_none() {
                    checked.unassigned += 1;
                }
                let draft = DraftRecord::new(Outlet::key(id.0), Home::Outlet(id), &says, table, FIELDS);
                checked.drafts.push((row.line, draft.or_new(&new_outlet())));
            }
            None => checked.bad.append(&mut cells.into_bad()),
        }
    }
    checked
}

fn new_outlet() -> Outlet {
    Outlet { channel: Some(Channel::Other), status: Some(OutletStatus::Active), ..Default::default() }
}

fn read(
    cells: &mut RowReader<'_>,
    units: &mut Units<'_>,
    seen: &mut Seen,
    channel: Option<Channel>,
) -> Outlet {
    let code = cells.required_code("code");
    if let Some(first) = code.as_ref().and_then(|code| seen.before(code, cells.line())) {
        cells.refuse("code", format!("stands on line {first} already"));
    }
    let division = read_division(cells);
    let unit = read_unit(cells, units, division.as_deref());
    let (latitude_e7, longitude_e7) = read_position(cells);
    Outlet {
        code,
        name: cells.required_text("name"),
        channel: cells.choice("channel").or(channel),
        address: cells.text("address"),
        division,
        city: cells.text("city"),
        unit,
        latitude_e7,
        longitude_e7,
        geofence_m: cells.int("geofence_m", 1, 100_000),
        time_zone: read_zone(cells),
        status: cells.choice("status"),
        open_hours: read_hours(cells),
        visits_per_28_days: cells.int("visits_per_28_days", 0, 280),
        phone: cells.text("phone"),
        note: cells.text("note"),
    }
}

/// The finest division of the row; the coarser ones must contain it.
fn read_division(cells: &mut RowReader<'_>) -> Option<String> {
    let mut finest: Option<(&str, String)> = None;
    for column in DIVISIONS {
        let raw = cells.raw(column);
        if raw.is_empty() {
            continue;
        }
        let Some(code) = division(raw) else {
            cells.refuse(column, "is no division code of two, four or six digits");
            continue;
        };
        match &finest {
            Some((finer, found)) if !found.starts_with(&code) => {
                cells.refuse(column, format!("does not contain {found} of {finer}"));
            }
            Some(_) => {}
            None => finest = Some((column, code)),
        }
    }
    finest.map(|(_, code)| code)
}

fn read_unit(cells: &mut RowReader<'_>, units: &mut Units<'_>, division: Option<&str>) -> Option<OrgUnitId> {
    let named = cells.raw("unit");
    if named.is_empty() || UNASSIGNED.iter().any(|word| named.eq_ignore_ascii_case(word)) {
        return division.and_then(|code| units.of_division(code));
    }
    match units.named(named) {
        Ok(id) => Some(id),
        Err(reason) => {
            cells.refuse("unit", reason);
            None
        }
    }
}

fn read_position(cells: &mut RowReader<'_>) -> (Option<i64>, Option<i64>) {
    let crs = cells.raw("crs").to_lowercase().replace(['-', '_', ' '], "");
    if !matches!(crs.as_str(), "" | "wgs84" | "epsg:4326") {
        cells.refuse("crs", "is not WGS-84: convert the positions first, the others are off by 100-700 m");
    }
    let mut degrees = |column: &str, bound: i64| {
        let found = cells.decimal(column, DEGREE_DIGITS, Finer::Rounded)?;
        if found.abs() > bound * DEGREE_E7 {
            cells.refuse(
                column,
                format!("is not within -{bound} to {bound} degrees: are longitude and latitude swapped?"),
            );
        }
        Some(found)
    };
    let position = (degrees("latitude", 90), degrees("longitude", 180));
    match position {
        (Some(0), Some(0)) => {
            cells.refuse("latitude", "0,0 is in the sea: leave both empty where the place is not known")
        }
        (Some(_), None) if cells.raw("longitude").is_empty() => {
            cells.refuse("longitude", "must not be empty where there is a latitude");
        }
        (None, Some(_)) if cells.raw("latitude").is_empty() => {
            cells.refuse("latitude", "must not be empty where there is a longitude");
        }
        _ => {}
    }
    position
}

fn read_zone(cells: &mut RowReader<'_>) -> Option<String> {
    let zone = cells.text("time_zone")?;
    if Day::local(0, &zone).is_none() {
        cells.refuse("time_zone", "is no IANA zone such as Asia/Shanghai");
    }
    Some(zone)
}

fn read_hours(cells: &mut RowReader<'_>) -> Option<String> {
    let hours = cells.text("open_hours");
    let (open, close) = (cells.text("open_time")?, cells.text("close_time")?);
    let without_seconds = |time: &str| match time.split(':').collect::<Vec<_>>().as_slice() {
        [hour, minute, "00"] => format!("{hour}:{minute}"),
        _ => time.to_owned(),
    };
    hours.or_else(|| Some(format!("{}-{}", without_seconds(&open), without_seconds(&close))))
}

/// The unit with a code or name, or why there is none.
pub(crate) fn unit_named(directory: &Directory, name: &str) -> Result<OrgUnitId, String> {
    Units::of(directory).named(name)
}

/// Units by their possible names in a file, and by division.
struct Units<'a> {
    directory: &'a Directory,
    by_name: BTreeMap<String, BTreeSet<OrgUnitId>>,
    by_division: BTreeMap<String, Option<OrgUnitId>>,
}

impl<'a> Units<'a> {
    fn of(directory: &'a Directory) -> Self {
        let mut by_name: BTreeMap<String, BTreeSet<OrgUnitId>> = BTreeMap::new();
        for (id, unit) in directory.units() {
            for name in [&unit.name_zh, &unit.name_en].into_iter().filter(|name| !name.is_empty()) {
                by_name.entry(spelled(name).to_lowercase()).or_default().insert(id);
            }
        }
        // A code names one unit, even if another unit has it as its name.
        for (id, unit) in directory.units() {
            by_name.insert(unit.code.to_lowercase(), BTreeSet::from([id]));
        }
        Self { directory, by_name, by_division: BTreeMap::new() }
    }

    fn named(&self, name: &str) -> Result<OrgUnitId, String> {
        let found = self.by_name.get(&spelled(name).to_lowercase()).map(|ids| ids.iter().collect::<Vec<_>>());
        match found.as_deref() {
            Some([id]) => Ok(**id),
            Some(_) => Err("several units have this name: give the unit's code".into()),
            None => Err("no unit has this code or name".into()),
        }
    }

    /// Many outlets share a division, so each is looked up once.
    fn of_division(&mut self, code: &str) -> Option<OrgUnitId> {
        let directory = self.directory;
        *self.by_division.entry(code.to_owned()).or_insert_with(|| directory.unit_of_division(code))
    }
}
