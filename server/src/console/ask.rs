//! One request of somebody who is logged in: who asks, what they may see (promise 5), and for what.

use super::failure::Failure;
use super::select::{Link, Period, Query, Whose};
use super::texts::{self as t, Lang};
use crate::photos::Photos;
use crate::server::Server;
use maud::{Markup, html};
use std::sync::Arc;
use xundian_protocol::access::{Directory, Grant};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId};
use xundian_protocol::kinds::text::Text;
use xundian_protocol::kinds::{Gtin, Label, Product, Typed as _};
use xundian_protocol::record::{Home, Record, RecordKey};

/// What a user sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sight {
    /// A user without a person: headquarters.
    Headquarters,
    /// What the position of a person grants.
    Of(PersonId, Grant),
    /// The person holds no position.
    Nothing,
}

impl Sight {
    /// What the user behind a person sees.
    pub(super) fn of(person: Option<PersonId>, directory: &Directory, today: Day) -> Self {
        match person {
            None => Self::Headquarters,
            Some(person) => {
                directory.grant(person, today).map_or(Self::Nothing, |grant| Self::Of(person, grant))
            }
        }
    }

    /// Whether everything is seen.
    pub(super) const fn is_nation(&self) -> bool {
        matches!(self, Self::Headquarters | Self::Of(_, Grant::Nation))
    }
}

/// A request, with everything that a page is made from.
pub(super) struct Ask {
    /// The data.
    pub(super) server: Arc<Server>,
    /// The pictures of photos.
    pub(super) photos: Arc<Photos>,
    /// The organisation, one state of it for the whole page.
    pub(super) directory: Arc<Directory>,
    /// What the user sees.
    pub(super) sight: Sight,
    /// The user's name.
    pub(super) user: String,
    /// The language of the page.
    pub(super) lang: Lang,
    /// Now, Unix milliseconds.
    pub(super) now_ms: i64,
    /// The path of the address.
    pub(super) path: String,
    /// The id in the path, where it has one.
    pub(super) id: Option<String>,
    /// The parameters of the address.
    pub(super) query: Query,
    /// The token of our forms.
    pub(super) form_token: String,
}

impl Ask {
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

    /// Today, where the company is.
    pub(super) fn today(&self) -> Day {
        Day::in_default_zone(self.now_ms)
    }

    /// The days that the page is about.
    pub(super) fn period(&self) -> Result<Period, Failure> {
        Period::read(&self.query, self.today())
    }

    /// Whose figures the query asks for, if the user may see them.
    pub(super) fn whose(&self) -> Result<Whose, Failure> {
        self.allowed(Whose::read(&self.query)?)
    }

    /// `whose`, if the user may see it. What is outside the scope and what does not exist look the same
    /// to all who do not see the nation.
    pub(super) fn allowed(&self, whose: Whose) -> Result<Whose, Failure> {
        if !self.may_see(whose) {
            return Err(Failure::Denied);
        }
        let exists = match whose {
            Whose::Nation | Whose::Unassigned => true,
            Whose::Unit(unit) | Whose::UnitOwn(unit) => self.directory.unit(unit).is_some(),
            Whose::Person(person) => self.directory.person(person).is_some(),
            Whose::Outlet(outlet) => self.directory.outlet(outlet).is_some(),
        };
        if exists { Ok(whose) } else { Err(Failure::NotFound) }
    }

    /// Whether the user may see these figures today.
    pub(super) fn may_see(&self, whose: Whose) -> bool {
        let (person, grant) = match &self.sight {
            Sight::Headquarters | Sight::Of(_, Grant::Nation) => return true,
            Sight::Nothing => return false,
            Sight::Of(person, grant) => (*person, grant),
        };
        match (whose, grant) {
            (Whose::Unit(unit) | Whose::UnitOwn(unit), Grant::Unit(own)) => {
                self.directory.is_within(unit, *own)
            }
            (Whose::Person(whom), _) => self.directory.sees(person, Home::Person(whom), self.today()),
            (Whose::Outlet(outlet), _) => self.directory.sees(person, Home::Outlet(outlet), self.today()),
            _ => false,
        }
    }

    /// Whether the user may see what happened in an outlet on a day: the outlet is in scope today, or it
    /// was on that day, or they recorded it themselves.
    pub(super) fn may_see_event(&self, outlet: OutletId, day: Day, actor: Option<PersonId>) -> bool {
        let then = |person| self.directory.sees(person, Home::Outlet(outlet), day);
        match &self.sight {
            Sight::Of(person, _) if Some(*person) == actor || then(*person) => true,
            _ => self.may_see(Whose::Outlet(outlet)),
        }
    }

    /// The figures that a user's first page shows.
    pub(super) const fn first_whose(&self) -> Option<Whose> {
        match &self.sight {
            Sight::Nothing => None,
            Sight::Headquarters | Sight::Of(_, Grant::Nation) => Some(Whose::Nation),
            Sight::Of(_, Grant::Unit(unit)) => Some(Whose::Unit(*unit)),
            Sight::Of(person, Grant::Own) => Some(Whose::Person(*person)),
        }
    }

    /// A record, if there is one.
    pub(super) fn record(&self, key: RecordKey) -> Result<Option<Record>, Failure> {
        self.server.record(key).map_err(Failure::broken)
    }

    /// The name of whose figures they are.
    pub(super) fn name(&self, whose: Whose) -> String {
        match whose {
            Whose::Nation => self.t(t::NATION).into(),
            Whose::Unassigned => self.t(t::UNASSIGNED).into(),
            Whose::Unit(unit) => self.unit_name(unit),
            Whose::UnitOwn(unit) => format!("{} · {}", self.unit_name(unit), self.t(t::OWN_OUTLETS)),
            Whose::Person(person) => self.person_name(person),
            Whose::Outlet(outlet) => {
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
    pub(super) fn product(&self, gtin: Gtin) -> Result<Markup, Failure> {
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

    /// A name that leads to the page, if the user may see it; else the name alone.
    pub(super) fn link(&self, whose: Whose, period: Option<Period>) -> Markup {
        let name = self.name(whose);
        let page = whose.page();
        let page = period.map_or(page.clone(), |period| page.period(period));
        if self.may_see(whose) {
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
