//! The business objects, one file each: fields, units, labels, writers, and contributions to the figures (DOMAIN
//! section B).
//!
//! To add a kind, write its file, and add its name to the list of kinds below and its choices to the list of choices.
//! Everything else follows from the declaration: validation on both sides, imports, lists, and the typed struct in
//! every language. Generic code reads [`KindSpec`] and never matches on a kind by name.

mod declare;
pub mod format;
mod gtin;
mod validate;

mod conflict;
mod day_report;
mod departure_check;
mod issue;
mod org_unit;
mod outlet;
mod outlet_assignment;
mod person;
mod photo;
mod position;
mod product;
mod route_plan;
mod shelf_observation;
mod stock_count;
mod stock_movement;
mod visit;

pub use conflict::{Conflict, Decision, Settlement, Side};
pub use day_report::DayReport;
pub use declare::header::{self, Header};
pub use declare::{
    Attachment, Choice, ClockGrade, Entity, FieldCodec, FieldSpec, FieldValue, HomeKind, KeyType, KeyedValue,
    KindSpec, Label, LineKey, Role, Unit, WritePolicy,
};
pub use departure_check::DepartureCheck;
pub use gtin::{Gtin, GtinError};
pub use issue::{Issue, IssueKind, IssueState, Severity};
pub use org_unit::{OrgUnit, UnitType};
pub use outlet::{Channel, Outlet, OutletStatus};
pub use outlet_assignment::OutletAssignment;
pub use person::{Person, PersonStatus};
pub use photo::{MediaType, Photo, PhotoSource, PhotoSubject};
pub use position::Position;
pub use product::Product;
pub use route_plan::RoutePlan;
pub use shelf_observation::ShelfObservation;
pub use stock_count::StockCount;
pub use stock_movement::{MovementCause, StockMovement};
pub use validate::{Invalid, validate_op, validate_size};
pub use visit::{AbortReason, FixGrade, Visit};

use crate::ids::KindId;
use crate::simulation::unknown_kinds;

declare::kinds! {
    OrgUnit,
    Position,
    Person,
    Outlet,
    OutletAssignment,
    Product,
    RoutePlan,
    DepartureCheck,
    Visit,
    ShelfObservation,
    StockCount,
    StockMovement,
    Issue,
    DayReport,
    Photo,
    Conflict,
}

declare::choices! {
    UnitType,
    Role,
    PersonStatus,
    Channel,
    OutletStatus,
    AbortReason,
    FixGrade,
    MovementCause,
    IssueKind,
    Severity,
    IssueState,
    ClockGrade,
    PhotoSubject,
    PhotoSource,
    MediaType,
    Decision,
}

/// The kinds that this program knows.
pub fn known() -> impl Iterator<Item = &'static KindSpec> {
    ALL.into_iter().filter(|spec| !unknown_kinds::contains(spec.kind))
}

/// The declaration of a kind, or `None` for one that this program does not know.
pub fn spec(kind: KindId) -> Option<&'static KindSpec> {
    known().find(|spec| spec.kind == kind)
}

/// The declaration of the kind with a code, such as `visit`.
pub fn spec_by_code(code: &str) -> Option<&'static KindSpec> {
    ALL.into_iter().find(|spec| spec.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_codes_are_used_once() {
        let numbers: BTreeSet<_> = ALL.iter().map(|spec| spec.kind).collect();
        let codes: BTreeSet<_> = ALL.iter().map(|spec| spec.code).collect();
        assert_eq!((numbers.len(), codes.len()), (ALL.len(), ALL.len()));
        for spec in ALL {
            let tags: BTreeSet<_> = spec.fields.iter().map(|field| field.tag).collect();
            let names: BTreeSet<_> = spec.fields.iter().map(|field| field.name).collect();
            assert_eq!((tags.len(), names.len()), (spec.fields.len(), spec.fields.len()), "{}", spec.code);
            assert!(tags.iter().all(|tag| *tag >= header::TAGS_END), "{} uses a header tag", spec.code);
        }
    }

    #[test]
    fn id_types_name_the_kinds_of_their_records() {
        use crate::ids::{OrgUnitId, OutletId, PersonId, PositionId, RoutePlanId, VisitId};
        let named = [
            (OrgUnitId::KIND, OrgUnit::SPEC.kind),
            (PositionId::KIND, Position::SPEC.kind),
            (PersonId::KIND, Person::SPEC.kind),
            (OutletId::KIND, Outlet::SPEC.kind),
            (VisitId::KIND, Visit::SPEC.kind),
            (RoutePlanId::KIND, RoutePlan::SPEC.kind),
        ];
        assert!(named.iter().all(|(id, kind)| id == kind), "{named:?}");
    }

    #[test]
    fn everything_has_a_chinese_and_an_english_label() {
        for spec in ALL {
            let labels = spec.fields.iter().map(|field| field.label).chain([spec.label]);
            for label in labels {
                assert!(!label.zh.is_ascii() || label.zh == "GTIN", "{}: {label:?}", spec.code);
                assert!(label.en.is_ascii() && !label.en.is_empty(), "{}: {label:?}", spec.code);
            }
        }
    }
}
