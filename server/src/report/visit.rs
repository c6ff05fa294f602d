//! The report of one visit: every field of every record that was saved during it.

use super::ReportError;
use super::sheet::{Column, Sheet, SheetValue, ShownIn, moment};
use crate::server::Server;
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{self, Entity, FieldSpec, KindSpec, Product, Unit, Visit};
use xundian_protocol::record::{Field, Home, Key, Record, Value};

const HEADS: [Column; 8] = [
    Column { key: "record", zh: "记录类型", show: ShownIn::Data },
    Column { key: "record_name", zh: "记录", show: ShownIn::Table },
    Column { key: "id", zh: "编号", show: ShownIn::Data },
    Column { key: "field", zh: "字段名", show: ShownIn::Data },
    Column { key: "field_name", zh: "字段", show: ShownIn::Table },
    Column { key: "line", zh: "行", show: ShownIn::Data },
    Column { key: "line_name", zh: "明细", show: ShownIn::Table },
    Column { key: "value", zh: "值", show: ShownIn::Always },
];

pub(super) fn read(server: &Server, text: &str) -> Result<Sheet, ReportError> {
    let unknown = || ReportError::Visit { text: text.chars().take(64).collect() };
    let id: RecordId = text.parse().map_err(|_| unknown())?;
    let visit = server.record(Visit::key(id))?.ok_or_else(unknown)?;
    let Home::Outlet(outlet) = visit.home else { return Err(unknown()) };
    let directory = server.directory();
    let names = Names::of(server, &directory, outlet)?;
    let mut rows = rows(&Visit::SPEC, &visit, &names);
    for spec in kinds::ALL.into_iter().filter(|spec| spec.kind != Visit::SPEC.kind) {
        let Some(field) = spec.fields.iter().find(|field| field.name == "visit") else { continue };
        for record in server.records_of_home(visit.home, spec.kind)? {
            if record.value(field.tag) == Some(&Value::Id(id)) {
                rows.extend(self::rows(spec, &record, &names));
            }
        }
    }
    let of_outlet =
        directory.outlet(outlet).map_or_else(String::new, |entry| format!("{} {}", entry.code, entry.name));
    Ok(Sheet {
        name: "visit",
        title: format!("拜访 {id} {of_outlet}"),
        days: None,
        heads: HEADS.to_vec(),
        rows,
        total: None,
        completeness: None,
    })
}

fn rows(spec: &KindSpec, record: &Record, names: &Names<'_>) -> Vec<Vec<SheetValue>> {
    let row = |field: &Field| {
        if field.register.value == Value::Absent {
            return None;
        }
        let (line, line_name) = names.line(&field.at.key);
        let declared = spec.field(field.at.tag);
        // A field of a newer version is shown by its number.
        let (name, label) = declared.map_or_else(
            || (format!("field_{}", field.at.tag), format!("字段 {}", field.at.tag)),
            |declared| (declared.name.to_owned(), declared.label.zh.to_owned()),
        );
        Some(vec![
            spec.code.into(),
            spec.label.zh.into(),
            record.key.id.to_string().into(),
            name.into(),
            label.into(),
            line.into(),
            line_name.into(),
            names.value(declared, &field.register.value),
        ])
    };
    record.fields().iter().filter_map(row).collect()
}

/// What ids and numbers mean to people.
struct Names<'a> {
    directory: &'a Directory,
    products: BTreeMap<u64, String>,
    zone: String,
}

impl<'a> Names<'a> {
    fn of(server: &Server, directory: &'a Directory, outlet: OutletId) -> Result<Self, ReportError> {
        let zone = directory.outlet(outlet).and_then(|entry| entry.time_zone.clone());
        let mut products = BTreeMap::new();
        for record in server.records(Product::SPEC.kind)? {
            let product = Product::read(&record);
            products.extend(product.gtin.map(|gtin| gtin.number()).zip(product.name));
        }
        Ok(Self { directory, products, zone: zone.unwrap_or_else(|| DEFAULT_ZONE.to_owned()) })
    }

    /// A line's key, and the same for people.
    fn line(&self, key: &Key) -> (String, String) {
        let product = |gtin: u64| {
            let code = format!("{gtin:014}");
            let name = self.products.get(&gtin).map_or_else(|| code.clone(), |name| format!("{code} {name}"));
            (code, name)
        };
        match key {
            Key::Single => (String::new(), String::new()),
            Key::Number(gtin) => product(*gtin),
            Key::Text(text) => (text.clone(), text.clone()),
            Key::Id(id) => (id.to_string(), self.id(*id)),
            Key::NumberText(gtin, lot) => {
                let (code, name) = product(*gtin);
                (format!("{code}/{lot}"), format!("{name} / {lot}"))
            }
        }
    }

    fn id(&self, id: RecordId) -> String {
        let person =
            self.directory.person(PersonId(id)).map(|entry| format!("{} {}", entry.code, entry.name));
        let outlet =
            || self.directory.outlet(OutletId(id)).map(|entry| format!("{} {}", entry.code, entry.name));
        let unit =
            || self.directory.unit(OrgUnitId(id)).map(|entry| format!("{} {}", entry.code, entry.name_zh));
        let position = || self.directory.position(PositionId(id)).map(|entry| entry.code.clone());
        person.or_else(outlet).or_else(unit).or_else(position).unwrap_or_else(|| id.to_string())
    }

    fn value(&self, field: Option<&FieldSpec>, value: &Value) -> SheetValue {
        match value {
            Value::Absent => SheetValue::Empty,
            Value::Bool(yes) => if *yes { "是" } else { "否" }.into(),
            Value::Text(text) => text.as_str().into(),
            Value::Id(id) => self.id(*id).into(),
            Value::Bytes(bytes) => format!("{} bytes", bytes.len()).into(),
            Value::Int(number) => self.number(field, *number),
        }
    }

    fn number(&self, field: Option<&FieldSpec>, number: i64) -> SheetValue {
        let choice = field.and_then(|field| field.choices.iter().find(|choice| choice.0 == number));
        if let Some((_, _, label)) = choice {
            return label.zh.into();
        }
        match field.map_or(Unit::None, |field| field.unit) {
            Unit::UnixMs => moment(number, &self.zone).into(),
            Unit::Day => {
                i32::try_from(number).map_or(SheetValue::Int(number), |day| Day(day).to_string().into())
            }
            Unit::Ms => format!("{} s", fixed(number, 3)).into(),
            Unit::DegreesE7 => fixed(number, 7).into(),
            Unit::MinorUnits => fixed(number, 2).into(),
            Unit::Metres => format!("{number} m").into(),
            Unit::Mm => format!("{number} mm").into(),
            Unit::Min => format!("{number} min").into(),
            Unit::None | Unit::Days | Unit::BaseUnits | Unit::Facings | Unit::Count | Unit::Bytes => {
                SheetValue::Int(number)
            }
        }
    }
}

/// A number of 10⁻ᵈⁱᵍⁱᵗˢ as a decimal.
fn fixed(number: i64, digits: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", number.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    format!("{sign}{whole}.{fraction}")
}
