//! The report of one visit: every field of every record that was saved during it.

use super::ReportError;
use super::sheet::{Column, Sheet, SheetValue, ShownIn};
use crate::server::Server;
use std::cell::RefCell;
use xundian_protocol::calendar::DEFAULT_ZONE;
use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::format::{Formatter, Meaning, field_label, field_name, line_key, moment};
use xundian_protocol::kinds::{self, Entity, KindSpec, Visit};
use xundian_protocol::record::{Field, Home, Record, RecordKey, Value};

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
    let zone = directory.outlet(outlet).and_then(|entry| entry.time_zone.as_deref()).unwrap_or(DEFAULT_ZONE);
    // The formatter looks names up while it writes; a store error fails the report afterwards.
    let unreadable = RefCell::new(None);
    let name = |kind, id| match server.record(RecordKey { kind, id }) {
        Ok(record) => kinds::spec(kind)?.code_and_name(&record?),
        Err(error) => {
            unreadable.replace(Some(error));
            None
        }
    };
    let formatter = Formatter { name: &name, moment: &|unix_ms| moment(unix_ms, zone) };
    let mut rows = rows(&Visit::SPEC, &visit, &formatter);
    for spec in kinds::ALL.into_iter().filter(|spec| spec.kind != Visit::SPEC.kind) {
        let Some(field) = spec.reference_to(Visit::SPEC.kind) else { continue };
        for record in server.records_of_home(visit.home, spec.kind)? {
            if record.value(field.tag) == Some(&Value::Id(id)) {
                rows.extend(self::rows(spec, &record, &formatter));
            }
        }
    }
    if let Some(error) = unreadable.take() {
        return Err(error.into());
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

fn rows(spec: &KindSpec, record: &Record, formatter: &Formatter<'_>) -> Vec<Vec<SheetValue>> {
    let row = |field: &Field| {
        let declared = spec.field(field.at.tag);
        let value = match Meaning::of(declared, &field.register.value) {
            Meaning::Absent => return None,
            // Whole numbers stay numbers for programs.
            Meaning::Number { number, digits: 0, .. } => SheetValue::Int(number),
            _ => formatter.value(declared, &field.register.value).zh.into(),
        };
        let key = &field.at.key;
        Some(vec![
            spec.code.into(),
            spec.label.zh.into(),
            record.key.id.to_string().into(),
            // A field of a newer version is shown by its number.
            field_name(declared, field.at.tag).into(),
            field_label(declared, field.at.tag).zh.into(),
            line_key(declared, key).into(),
            formatter.line(declared, key).unwrap_or_default().into(),
            value,
        ])
    };
    record.fields().iter().filter_map(row).collect()
}
