//! The pages: each a function from a request to a page.

mod conflicts;
mod devices;
mod issues;
mod list;
mod nation;
mod outlet;
mod person;
mod photos;
mod products;
mod shelf;
mod stock;
mod trend;
mod unit;
mod visit;
mod visits;

pub(super) use devices::devices;
pub(super) use issues::issues;
pub(super) use nation::first;
pub(super) use outlet::outlet;
pub(super) use person::person;
pub(super) use products::products;
pub(super) use shelf::shelf;
pub(super) use stock::stock;
pub(super) use unit::unit;
pub(super) use visit::visit;
pub(super) use visits::visits;
