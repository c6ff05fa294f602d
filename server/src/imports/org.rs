//! `import org`: units 组织单元 and positions 岗位 in one file, distinguished by the column `row`.

use super::current_records::{Codes, Seen, id_of};
use super::draft_record::{DraftRecord, Filled};
use super::row_reader::RowReader;
use super::rows::{Row, Table};
use super::{BadRow, Checked};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::access::Directory;
use xundian_protocol::ids::{OrgUnitId, PositionId};
use xundian_protocol::kinds::{Entity, OrgUnit, Position, Role, UnitType};
use xundian_protocol::record::Home;

const UNIT_FIELDS: &[Filled] =
    &[("name_en", OrgUnit::SPEC.tag_of("name_en")), ("parent", OrgUnit::SPEC.tag_of("parent"))];
const POSITION_FIELDS: &[Filled] = &[("superior", Position::SPEC.tag_of("superior"))];

struct Unit {
    code: String,
    name_zh: String,
    name_en: Option<String>,
    unit_type: UnitType,
    parent: Option<String>,
    territory: Option<BTreeSet<String>>,
}

struct Post {
    code: String,
    title: String,
    unit: String,
    role: Role,
    superior: Option<String>,
}

enum Entry {
    Unit(Unit),
    Post(Post),
}

pub(super) fn check(table: &Table, directory: &Directory) -> Checked {
    let mut checked = Checked::default();
    let mut seen = [Seen::default(), Seen::default()];
    let mut entries = Vec::new();
    for row in &table.rows {
        let mut cells = RowReader::new(table, row);
        let entry = read(&mut cells, &mut seen);
        checked.bad.extend(cells.into_bad());
        entries.extend(entry.map(|entry| (row, entry)));
    }
    let mut refused = refuse_dangling(table, directory, &mut entries);
    checked.bad.append(&mut refused);
    let ids = Ids::of(directory, &entries);
    for (row, entry) in entries {
        checked.drafts.push((row.line, draft(table, &ids, entry)));
    }
    checked
}

fn read(cells: &mut RowReader<'_>, seen: &mut [Seen; 2]) -> Option<Entry> {
    let (seen, entry) = match cells.raw("row").to_lowercase().as_str() {
        "" | "unit" | "组织" => (&mut seen[0], read_unit(cells).map(Entry::Unit)),
        "position" | "岗位" => (&mut seen[1], read_post(cells).map(Entry::Post)),
        _ => {
            cells.refuse("row", "is neither unit 组织 nor position 岗位");
            return None;
        }
    };
    if let Some(code) = cells.code("code")
        && let Some(first) = seen.before(&code, cells.line())
    {
        cells.refuse("code", format!("stands on line {first} already"));
    }
    entry.filter(|_| !cells.is_bad())
}

fn read_unit(cells: &mut RowReader<'_>) -> Option<Unit> {
    let code = cells.required_code("code");
    let name_zh = cells.required_text("name_zh").map(|name| spelled(&name));
    let name_en = cells.text("name_en");
    cells.require("unit_type");
    let unit_type = cells.choice("unit_type");
    let parent = cells.code("parent");
    if unit_type.is_some_and(|found| found != UnitType::Company) && cells.raw("parent").is_empty() {
        cells.refuse("parent", "must not be empty: only a company has no unit above it");
    }
    let territory = territory(cells);
    Some(Unit { code: code?, name_zh: name_zh?, name_en, unit_type: unit_type?, parent, territory })
}

fn read_post(cells: &mut RowReader<'_>) -> Option<Post> {
    let code = cells.required_code("code");
    let title = cells.required_text("title");
    let unit = cells.required_code("unit");
    cells.require("role");
    let role = cells.choice("role");
    let superior = cells.code("superior");
    Some(Post { code: code?, title: title?, unit: unit?, role: role?, superior })
}

/// The source writes 赣晥 with 晥, a misspelling of 皖; both are accepted, one is stored (DOMAIN F2).
pub(super) fn spelled(name: &str) -> String {
    name.replace("赣晥", "赣皖")
}

fn territory(cells: &mut RowReader<'_>) -> Option<BTreeSet<String>> {
    let parts = cells.text("territory")?;
    let mut codes = BTreeSet::new();
    for part in parts.split(['|', ';', '；', '、', ' ']).filter(|part| !part.is_empty()) {
        let Some(code) = division(part) else {
            cells.refuse("territory", format!("{part} is no division code of two, four or six digits"));
            return None;
        };
        codes.insert(code);
    }
    Some(codes)
}

/// A GB/T 2260 code without trailing pairs of zeros, which mean "all of it": 360000 becomes 36.
pub(super) fn division(code: &str) -> Option<String> {
    if !matches!(code.len(), 2 | 4 | 6) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut code = code;
    while let Some(shorter) = code.strip_suffix("00").filter(|rest| !rest.is_empty()) {
        code = shorter;
    }
    Some(code.to_owned()).filter(|code| code != "00")
}

/// Removes rows that refer to something neither in the store nor in a good row of the file. Removing one can leave
/// another dangling, so this repeats until nothing changes.
fn refuse_dangling(table: &Table, directory: &Directory, entries: &mut Vec<(&Row, Entry)>) -> Vec<BadRow> {
    let mut bad = Vec::new();
    loop {
        let outline = Outline::of(directory, entries.iter().map(|(_, entry)| entry));
        let before = entries.len();
        entries.retain(|(row, entry)| {
            let Some((column, reason)) = outline.fault(entry) else { return true };
            let mut cells = RowReader::new(table, row);
            cells.refuse(column, reason);
            bad.append(&mut cells.into_bad());
            false
        });
        if entries.len() == before {
            return bad;
        }
    }
}

/// The organisation after the import, by codes.
struct Outline {
    parents: BTreeMap<String, Option<String>>,
    superiors: BTreeMap<String, Option<String>>,
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Outline {
    fn of<'a>(directory: &Directory, entries: impl Iterator<Item = &'a Entry>) -> Self {
        let code = |id: OrgUnitId| directory.unit(id).map(|unit| unit.code.clone());
        let mut territories: BTreeMap<String, BTreeSet<String>> =
            directory.units().map(|(_, unit)| (unit.code.clone(), unit.territory.clone())).collect();
        let mut outline = Self {
            parents: directory
                .units()
                .map(|(_, unit)| (unit.code.clone(), unit.parent.and_then(code)))
                .collect(),
            superiors: directory.positions().map(|(_, position)| (position.code.clone(), None)).collect(),
            owners: BTreeMap::new(),
        };
        for entry in entries {
            match entry {
                Entry::Unit(unit) => {
                    outline.parents.insert(unit.code.clone(), unit.parent.clone());
                    territories.extend(unit.territory.clone().map(|codes| (unit.code.clone(), codes)));
                }
                Entry::Post(post) => {
                    outline.superiors.insert(post.code.clone(), post.superior.clone());
                }
            }
        }
        for (unit, division) in
            territories.iter().flat_map(|(unit, codes)| codes.iter().map(move |code| (unit, code)))
        {
            outline.owners.entry(division.clone()).or_default().insert(unit.clone());
        }
        outline
    }

    fn fault(&self, entry: &Entry) -> Option<(&'static str, String)> {
        match entry {
            Entry::Unit(unit) => {
                if unit.parent.as_ref().is_some_and(|parent| !self.parents.contains_key(parent)) {
                    return Some((
                        "parent",
                        "no unit has this code, here or in a good row of the file".into(),
                    ));
                }
                if circles(&self.parents, &unit.code) {
                    return Some(("parent", "the unit would lie below itself".into()));
                }
                self.shared_territory(unit)
            }
            Entry::Post(post) => {
                if !self.parents.contains_key(&post.unit) {
                    return Some(("unit", "no unit has this code, here or in a good row of the file".into()));
                }
                if post.superior.as_ref().is_some_and(|superior| !self.superiors.contains_key(superior)) {
                    return Some((
                        "superior",
                        "no position has this code, here or in a good row of the file".into(),
                    ));
                }
                let circle = circles(&self.superiors, &post.code);
                circle.then(|| ("superior", "the position would report to itself".into()))
            }
        }
    }

    fn shared_territory(&self, unit: &Unit) -> Option<(&'static str, String)> {
        let others = |division: &String| {
            let other = self.owners.get(division)?.iter().find(|owner| **owner != unit.code)?;
            Some(("territory", format!("{division} is the territory of {other} as well")))
        };
        unit.territory.iter().flatten().find_map(others)
    }
}

fn circles(above: &BTreeMap<String, Option<String>>, start: &str) -> bool {
    let mut at = start;
    for _ in 0..=above.len() {
        match above.get(at) {
            Some(Some(next)) if next == start => return true,
            Some(Some(next)) => at = next,
            _ => return false,
        }
    }
    // A circle further up: its own rows are at fault.
    false
}

struct Ids {
    units: BTreeMap<String, OrgUnitId>,
    positions: BTreeMap<String, PositionId>,
}

impl Ids {
    fn of(directory: &Directory, entries: &[(&Row, Entry)]) -> Self {
        let Codes { mut units, mut positions, .. } = Codes::of(directory);
        for (_, entry) in entries {
            match entry {
                Entry::Unit(Unit { code, .. }) => {
                    units.entry(code.clone()).or_insert_with(|| OrgUnitId(id_of::<OrgUnit>(&[code])));
                }
                Entry::Post(Post { code, .. }) => {
                    positions.entry(code.clone()).or_insert_with(|| PositionId(id_of::<Position>(&[code])));
                }
            }
        }
        Self { units, positions }
    }
}

fn draft(table: &Table, ids: &Ids, entry: Entry) -> DraftRecord {
    match entry {
        Entry::Unit(unit) => {
            let id = ids.units.get(&unit.code).map_or_else(|| id_of::<OrgUnit>(&[&unit.code]), |id| id.0);
            let territory = unit.territory.into_iter().flatten().map(|code| (code, true)).collect();
            let says = OrgUnit {
                parent: unit.parent.and_then(|code| ids.units.get(&code).copied()),
                code: Some(unit.code),
                name_zh: Some(unit.name_zh),
                name_en: unit.name_en,
                unit_type: Some(unit.unit_type),
                territory,
            };
            let draft = DraftRecord::new(OrgUnit::key(id), Home::Company, &says, table, UNIT_FIELDS);
            if table.has("territory") {
                draft.replacing(const { &[OrgUnit::SPEC.tag_of("territory")] })
            } else {
                draft
            }
        }
        Entry::Post(post) => {
            let id =
                ids.positions.get(&post.code).map_or_else(|| id_of::<Position>(&[&post.code]), |id| id.0);
            let says = Position {
                unit: ids.units.get(&post.unit).copied(),
                superior: post.superior.and_then(|code| ids.positions.get(&code).copied()),
                code: Some(post.code),
                title: Some(post.title),
                role: Some(post.role),
            };
            DraftRecord::new(Position::key(id), Home::Company, &says, table, POSITION_FIELDS)
        }
    }
}
