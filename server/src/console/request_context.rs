//! One request of a logged-in user: the user, what they may see (promise 5), and what they request.

use super::error::PageError;
use super::link::Link;
use super::params::{FigureScope, Period, Query};
use super::texts::{self as t, Lang};
use crate::photos::Photos;
use crate::server::Server;
use maud::{Markup, html};
use std::sync::Arc;
use xundian_protocol::access::{Directory, Grant};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId};
use xundian_protocol::kinds::format::Text;
use xundian_protocol::kinds::{Entity as _, Gtin, Label, Product};
use xundian_protocol::record::{Home, Record, RecordKey};

/// What a user may see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Visibility {
    /// A user without a person: headquarters.
    Headquarters,
    /// What a person's position grants.
    Of(PersonId, Grant),
    /// The person holds no position.
    Nothing,
}

impl Visibility {
    /// The visibility of a user with this person.
    pub(super) fn of(person: Option<PersonId>, directory: &Directory, today: Day) -> Self {
        match person {
            None => Self::Headquarters,
            Some(person) => {
                directory.grant(person, today).map_or(Self::Nothing, |grant| Self::Of(person, grant))
            }
        }
    }

    /// Whether everything is visible.
    pub(super) const fn is_nation(&self) -> bool {
        matches!(self, Self::Headquarters | Self::Of(_, Grant::Nation))
    }
}

/// A request, with everything that a page is made from.
pub(super) struct RequestContext {
    /// The data.
    pub(super) server: Arc<Server>,
    /// The pictures of photos.
    pub(super) photos: Arc<Photos>,
    /// The organisation, one snapshot for the whole page.
    pub(super) directory: Arc<Directory>,
    /// What the user may see.
    pub(super) visibility: Visibility,
    /// The user's name.
    pub(super) user: String,
    /// The language of the page.
    pub(super) lang: Lang,
    /// Now, Unix milliseconds.
    pub(super) now_ms: i64,
    /// The path of the address.
    pub(super) path: String,
    /// The id in the path, if it has one.
    pub(super) id: Option<String>,
    /// The parameters of the address.
    pub(super) query: Query,
    /// The token of the console's forms.
    pub(super) form_token: String,
}

impl RequestContext {
    /// A text in the page's language.
    pub(super) const fn t(&self, label: Label) -> &'static str {
        self.lang.of(label)
    }

    /// A text of both languages in the page's.
    pub(super) fn of(&self, text: &Text) -> String {
        match self.lang {
            Lang::Zh => text.zh.clone(),
            Lang::En => text.en.clone(),
        }
    }

    /// Today, in the company's time zone.
    pub(super) fn today(&self) -> Day {
        Day::in_default_zone(self.now_ms)
    }

    /// The period of the page.
    pub(super) fn period(&self) -> Result<Period, PageError> {
        Period::read(&self.query, self.today())
    }

    /// The requested scope, if the user may see it.
    pub(super) fn scope(&self) -> Result<FigureScope, PageError> {
        self.allowed(FigureScope::read(&self.query)?)
    }

    /// `scope`, if the user may see it. For users who do not see the nation, a missing scope looks like one they may
    /// not see.
    pub(super) fn allowed(&self, scope: FigureScope) -> Result<FigureScope, PageError> {
        if !self.may_see(scope) {
            return Err(PageError::Denied);
        }
        let exists = match scope {
            FigureScope::Nation | FigureScope::Unassigned => true,
            FigureScope::Unit(unit) | FigureScope::UnitOwn(unit) => self.directory.unit(unit).is_some(),
            FigureScope::Person(person) => self.directory.person(person).is_some(),
            FigureScope::Outlet(outlet) => self.directory.outlet(outlet).is_some(),
        };
        if exists { Ok(scope) } else { Err(PageError::NotFound) }
    }

    /// Whether the user may see these figures today.
    pub(super) fn may_see(&self, scope: FigureScope) -> bool {
        let (person, grant) = match &self.visibility {
            Visibility::Headquarters | Visibility::Of(_, Grant::Nation) => return true,
            Visibility::Nothing => return false,
            Visibility::Of(person, grant) => (*person, grant),
        };
        match (scope, grant) {
            (FigureScope::Unit(unit) | FigureScope::UnitOwn(unit), Grant::Unit(own)) => {
                self.directory.is_within(unit, *own)
            }
            (FigureScope::Person(whom), _) => self.directory.sees(person, Home::Person(whom), self.today()),
            (FigureScope::Outlet(outlet), _) => {
                self.directory.sees(person, Home::Outlet(outlet), self.today())
            }
            _ => false,
        }
    }

    /// Whether the user may see an outlet's events on a day: the outlet is in scope today, or was on that day, or they
    /// recorded the event.
    pub(super) fn may_see_event(&self, outlet: OutletId, day: Day, actor: Option<PersonId>) -> bool {
        let then = |person| self.directory.sees(person, Home::Outlet(outlet), day);
        match &self.visibility {
            Visibility::Of(person, _) if Some(*person) == actor || then(*person) => true,
            _ => self.may_see(FigureScope::Outlet(outlet)),
        }
    }

    /// The scope of a user's first page.
    pub(super) const fn first_scope(&self) -> Option<FigureScope> {
        match &self.visibility {
            Visibility::Nothing => None,
            Visibility::Headquarters | Visibility::Of(_, Grant::Nation) => Some(FigureScope::Nation),
            Visibility::Of(_, Grant::Unit(unit)) => Some(FigureScope::Unit(*unit)),
            Visibility::Of(person, Grant::Own) => Some(FigureScope::Person(*person)),
        }
    }

    /// A record, if it exists.
    pub(super) fn record(&self, key: RecordKey) -> Result<Option<Record>, PageError> {
        self.server.record(key).map_err(PageError::internal)
    }

    /// The name of a scope.
    pub(super) fn name(&self, scope: FigureScope) -> String {
        match scope {
            FigureScope::Nation => self.t(t::NATION).into(),
            FigureScope::Unassigned => self.t(t::UNASSIGNED).into(),
            FigureScope::Unit(unit) => self.unit_name(unit),
            FigureScope::UnitOwn(unit) => format!("{} · {}", self.unit_name(unit), self.t(t::OWN_OUTLETS)),
            FigureScope::Person(person) => self.person_name(person),
            FigureScope::Outlet(outlet) => {
                self.directory.outlet(outlet).map_or_else(|| outlet.to_string(), |entry| entry.name.clone())
            }
        }
    }

    /// A unit's name in the page's language.
    pub(super) fn unit_name(&self, unit: OrgUnitId) -> String {
        match self.directory.unit(unit) {
            Some(entry) if self.lang == Lang::En && !entry.name_en.is_empty() => entry.name_en.clone(),
            Some(entry) => entry.name_zh.clone(),
            None => unit.to_string(),
        }
    }

    /// A person's name.
    pub(super) fn person_name(&self, person: PersonId) -> String {
        self.directory.person(person).map_or_else(|| "–".into(), |entry| entry.name.clone())
    }

    /// A product's name, and its GTIN beside it.
    pub(super) fn product(&self, gtin: Gtin) -> Result<Markup, PageError> {
        let record = self.record(Product::key(Product::id_of(gtin)))?;
        let name = record.and_then(|record| Product::read(&record).name);
        Ok(html! {
            @match name {
                Some(name) => (name),
                None => span.muted { (self.t(t::PRODUCT_UNKNOWN)) },
            }
            " " span.code { (gtin) }
        })
    }

    /// A name with a link to its page, if the user may see it; otherwise the name only.
    pub(super) fn link(&self, scope: FigureScope, period: Option<Period>) -> Markup {
        let name = self.name(scope);
        let page = scope.page();
        let page = period.map_or(page.clone(), |period| page.period(period));
        if self.may_see(scope) {
            anchor(&page, &name)
        } else {
            html! { (name) }
        }
    }
}

/// A link.
pub(super) fn anchor(link: &Link, text: &str) -> Markup {
    html! { a href=(link) { (text) } }
}
