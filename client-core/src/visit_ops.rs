//! The merchandiser's day (DOMAIN S6.5–S6.7) as pure functions: from what was done and what is known to ops.
//!
//! Knows no store and no clock: [`crate::Client`] reads both and commits the result.

use std::collections::BTreeMap;

use rand::RngCore;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OutletId, PersonId, RecordId, RoutePlanId, VisitId};
use xundian_protocol::kinds::{
    AbortReason, Attachment, Channel, Entity, FixGrade, Issue, IssueKind, IssueState, MediaType, Outlet,
    Photo, PhotoSource, PhotoSubject, Severity, ShelfObservation, StockCount, Visit,
};
use xundian_protocol::record::{Home, Record};

use crate::errors::RecordError;
use crate::recorder::{Captured, Recorder, Target};

/// The mean radius of the Earth (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A GPS fix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GpsFix {
    /// Latitude, WGS-84, degrees × 10⁷.
    pub latitude_e7: i64,
    /// Longitude, WGS-84, degrees × 10⁷.
    pub longitude_e7: i64,
    /// The accuracy, in metres.
    pub accuracy_m: Option<i64>,
    /// Whether the system reports a mock location.
    pub mocked: bool,
}

/// By when an issue must be solved (S6.7 b).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Due {
    /// The day on which it was raised 当天.
    SameDay,
    /// The day after 第二天.
    #[default]
    NextDay,
}

/// An urgent matter for the superior.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewIssue {
    /// What it is about.
    pub issue_kind: IssueKind,
    /// How severe it is.
    pub severity: Severity,
    /// What happened.
    pub text: String,
    /// By when it must be solved.
    pub due: Due,
    /// Who has to solve it; `None` leaves it to the superior.
    pub assignee: Option<PersonId>,
}

/// The visit or issue that a photo belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PhotoOf {
    /// A visit.
    Visit(VisitId),
    /// An issue.
    Issue(RecordId),
}

/// The particulars of a new photo.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPhoto {
    /// What it shows.
    pub subject: PhotoSubject,
    /// Whether the app's camera took it just now, or it was chosen from the gallery.
    pub source: PhotoSource,
    /// When it was taken, Unix milliseconds: by the device's clock, or by a chosen picture's own metadata.
    pub taken_at_ms: Option<i64>,
    /// Where it was taken, if by the app's camera.
    pub fix: Option<GpsFix>,
    /// A remark.
    pub note: Option<String>,
}

impl NewPhoto {
    /// A photo without particulars.
    pub const fn new(subject: PhotoSubject, source: PhotoSource) -> Self {
        Self { subject, source, taken_at_ms: None, fix: None, note: None }
    }
}

/// A whole visit, recorded in one durable save.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VisitBundle {
    /// The visit's id, if the caller chose one. Recording the same id again saves nothing, so that an interrupted file
    /// can be recorded again. `None` creates a new id.
    pub id: Option<VisitId>,
    /// The outlet.
    pub outlet: OutletId,
    /// Check-in, Unix milliseconds.
    pub opened_at_ms: i64,
    /// Check-out, or the time of the abort, Unix milliseconds.
    pub ended_at_ms: i64,
    /// The reason, if it was aborted.
    pub abort_reason: Option<AbortReason>,
    /// The time in store by a monotonic clock, if one was read.
    pub time_in_store_ms: Option<i64>,
    /// The GPS fix at check-in.
    pub fix: Option<GpsFix>,
    /// Answers to the visit's tasks.
    pub task_answers: BTreeMap<String, bool>,
    /// The store's important matters.
    pub note: Option<String>,
    /// The shelf; its `visit` is filled in.
    pub shelf: ShelfObservation,
    /// The stock counted; its `visit` is filled in.
    pub count: StockCount,
    /// Urgent matters.
    pub issues: Vec<NewIssue>,
}

impl VisitBundle {
    /// A visit without observations.
    pub fn new(outlet: OutletId, opened_at_ms: i64, ended_at_ms: i64) -> Self {
        Self {
            id: None,
            outlet,
            opened_at_ms,
            ended_at_ms,
            abort_reason: None,
            time_in_store_ms: None,
            fix: None,
            task_answers: BTreeMap::new(),
            note: None,
            shelf: ShelfObservation::default(),
            count: StockCount::default(),
            issues: Vec::new(),
        }
    }
}

/// The facts of an outlet that a visit needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OutletFacts {
    pub(crate) id: OutletId,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) channel: Option<Channel>,
    /// Latitude and longitude, degrees × 10⁷.
    pub(crate) fix_e7: Option<(i64, i64)>,
}

impl OutletFacts {
    pub(crate) fn of(record: &Record) -> Self {
        let outlet = Outlet::read(record);
        Self {
            id: OutletId(record.key.id),
            code: outlet.code.unwrap_or_default(),
            name: outlet.name.unwrap_or_default(),
            zone: outlet.time_zone.unwrap_or_else(|| DEFAULT_ZONE.to_owned()),
            channel: outlet.channel,
            fix_e7: outlet.latitude_e7.zip(outlet.longitude_e7),
        }
    }

    pub(crate) const fn home(&self) -> Home {
        Home::Outlet(self.id)
    }
}

/// A new id for something captured at a moment.
pub(crate) fn new_id(at_ms: i64, random: &mut dyn RngCore) -> RecordId {
    let mut bytes = [0; 10];
    random.fill_bytes(&mut bytes);
    RecordId::v7(u64::try_from(at_ms).unwrap_or(0), bytes)
}

/// The entity of a visit that begins.
pub(crate) fn opening(
    outlet: &OutletFacts,
    opened_at_ms: i64,
    fix: Option<GpsFix>,
    plan: Option<RoutePlanId>,
) -> Visit {
    Visit {
        opened_at_ms: Some(opened_at_ms),
        plan,
        channel: outlet.channel,
        latitude_e7: fix.map(|at| at.latitude_e7),
        longitude_e7: fix.map(|at| at.longitude_e7),
        accuracy_m: fix.and_then(|at| at.accuracy_m),
        position_grade: Some(grade(fix)),
        distance_m: distance_from(outlet, fix),
        ..Visit::default()
    }
}

/// The grade of a GPS fix.
const fn grade(fix: Option<GpsFix>) -> FixGrade {
    match fix {
        None => FixGrade::Missing,
        Some(GpsFix { mocked: true, .. }) => FixGrade::Mocked,
        Some(_) => FixGrade::Measured,
    }
}

/// The distance between a fix and an outlet, if both are known.
fn distance_from(outlet: &OutletFacts, fix: Option<GpsFix>) -> Option<i64> {
    let (at, outlet_e7) = fix.zip(outlet.fix_e7)?;
    Some(distance_m((at.latitude_e7, at.longitude_e7), outlet_e7))
}

/// The entity of a photo taken at an outlet, if the outlet is known.
pub(crate) fn photo(
    of: PhotoOf,
    photo: &NewPhoto,
    outlet: Option<&OutletFacts>,
    picture: Attachment,
    media_type: MediaType,
) -> Photo {
    let (visit, issue) = match of {
        PhotoOf::Visit(visit) => (Some(visit), None),
        PhotoOf::Issue(issue) => (None, Some(issue)),
    };
    Photo {
        visit,
        issue,
        subject: Some(photo.subject),
        content_hash: Some(picture.hash),
        size_bytes: i64::try_from(picture.bytes).ok(),
        media_type: Some(media_type),
        source: Some(photo.source),
        taken_at_ms: photo.taken_at_ms,
        latitude_e7: photo.fix.map(|at| at.latitude_e7),
        longitude_e7: photo.fix.map(|at| at.longitude_e7),
        accuracy_m: photo.fix.and_then(|at| at.accuracy_m),
        position_grade: Some(grade(photo.fix)),
        distance_m: outlet.and_then(|outlet| distance_from(outlet, photo.fix)),
        note: photo.note.clone(),
    }
}

/// Refuses a photo of a visit that ended on an earlier day. On the same day it is accepted after the end: the camera's
/// last pictures come late, and a shop's front is photographed from outside. Days later a picture proves nothing about
/// the visit.
pub(crate) fn check_takes_photo(
    visit: VisitId,
    form: &Visit,
    visited_on: Option<Day>,
    today: Day,
) -> Result<(), RecordError> {
    match visited_on.filter(|day| *day != today) {
        Some(day) if check_open(visit, form).is_err() => Err(RecordError::PhotoTooLate { visit, day }),
        _ => Ok(()),
    }
}

/// Refuses to write into a visit that has ended.
pub(crate) fn check_open(visit: VisitId, form: &Visit) -> Result<(), RecordError> {
    if form.closed_at_ms.is_some() || form.aborted_at_ms.is_some() {
        return Err(RecordError::VisitClosed { visit });
    }
    Ok(())
}

/// Adds the ops of a whole visit. Returns its id.
pub(crate) fn record_visit(
    recorder: &mut Recorder<'_>,
    random: &mut dyn RngCore,
    bundle: &VisitBundle,
    outlet: &OutletFacts,
    plan: Option<RoutePlanId>,
) -> Result<VisitId, RecordError> {
    let (opened_at_ms, ended_at_ms) = (bundle.opened_at_ms, bundle.ended_at_ms);
    if ended_at_ms < opened_at_ms {
        return Err(RecordError::EndsBeforeItBegins { opened_at_ms, closed_at_ms: ended_at_ms });
    }
    let captured = Captured::at(opened_at_ms, &outlet.zone)?;
    let id = bundle.id.map_or_else(|| new_id(opened_at_ms, random), |id| id.0);
    let target = Target::new(id, outlet.home());
    let aborted = bundle.abort_reason.is_some();
    let visit = Visit {
        closed_at_ms: (!aborted).then_some(ended_at_ms),
        aborted_at_ms: aborted.then_some(ended_at_ms),
        abort_reason: bundle.abort_reason,
        time_in_store_ms: bundle.time_in_store_ms,
        task_answers: bundle.task_answers.clone(),
        note: bundle.note.clone(),
        ..opening(outlet, opened_at_ms, bundle.fix, plan)
    };
    recorder.write(&target, captured, &visit)?;
    if bundle.shelf != ShelfObservation::default() {
        let visit = ShelfObservation { visit: Some(VisitId(id)), ..ShelfObservation::default() };
        recorder.write_over(&target, captured, &bundle.shelf, &visit)?;
    }
    if bundle.count != StockCount::default() {
        let visit = StockCount { visit: Some(VisitId(id)), ..StockCount::default() };
        recorder.write_over(&target, captured, &bundle.count, &visit)?;
    }
    for issue in &bundle.issues {
        raise_issue(recorder, random, issue, outlet, Some(VisitId(id)), captured)?;
    }
    Ok(VisitId(id))
}

/// Adds the op of a new issue. Returns its id.
pub(crate) fn raise_issue(
    recorder: &mut Recorder<'_>,
    random: &mut dyn RngCore,
    issue: &NewIssue,
    outlet: &OutletFacts,
    visit: Option<VisitId>,
    captured: Captured,
) -> Result<RecordId, RecordError> {
    let id = new_id(recorder.now_ms(), random);
    let raised_on = captured.day;
    let form = Issue {
        visit,
        issue_kind: Some(issue.issue_kind),
        severity: Some(issue.severity),
        text: Some(issue.text.clone()),
        raised_on: Some(raised_on),
        raised_by: Some(recorder.person()),
        due_on: Some(if issue.due == Due::SameDay { raised_on } else { raised_on.next() }),
        assignee: issue.assignee,
        state: Some(IssueState::Open),
        ..Issue::default()
    };
    recorder.write(&Target::new(id, outlet.home()), captured, &form)?;
    Ok(id)
}

/// The entity that takes an issue one step further, if its state allows that.
pub(crate) fn issue_step(
    issue: &Issue,
    to: IssueState,
    captured: Captured,
    resolution: Option<String>,
) -> Result<Issue, RecordError> {
    let state = issue.state.unwrap_or(IssueState::Open);
    // Steps only lead forward, and an issue may be closed without acknowledgement.
    if to <= state {
        return Err(RecordError::IssueState { state });
    }
    let closed_on = (to == IssueState::Closed).then_some(captured.day);
    Ok(Issue { state: Some(to), closed_on, resolution, ..Issue::default() })
}

/// The great-circle distance between two points in degrees × 10⁷ (haversine), in whole metres.
pub(crate) fn distance_m(from: (i64, i64), to: (i64, i64)) -> i64 {
    let radians = |e7: i64| (e7 as f64 / 1e7).to_radians();
    let (lat_from, lat_to) = (radians(from.0), radians(to.0));
    let half_lat = (lat_to - lat_from) / 2.0;
    let half_lon = (radians(to.1) - radians(from.1)) / 2.0;
    let chord = half_lat.sin().powi(2) + lat_from.cos() * lat_to.cos() * half_lon.sin().powi(2);
    (2.0 * EARTH_RADIUS_M * chord.clamp(0.0, 1.0).sqrt().asin()).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_map() {
        // The Bund to the Oriental Pearl Tower in Shanghai, across the river.
        let metres = distance_m((312_400_000, 1_214_900_000), (312_397_000, 1_214_998_000));
        assert!((900..970).contains(&metres), "{metres}");
        assert_eq!(distance_m((312_400_000, 1_214_900_000), (312_400_000, 1_214_900_000)), 0);
        // Half around the equator; rounding must not leave the domain of the arcsine.
        assert!((20_015_000..20_016_000).contains(&distance_m((0, 0), (0, 1_800_000_000))));
    }

    #[test]
    fn an_issue_only_moves_forward() {
        let captured = Captured::at(1_800_000_000_000, DEFAULT_ZONE).expect("a day");
        let closed = Issue { state: Some(IssueState::Closed), ..Issue::default() };
        let step = issue_step(&closed, IssueState::Acknowledged, captured, None);
        assert!(matches!(step, Err(RecordError::IssueState { state: IssueState::Closed })));
        let solved = issue_step(&Issue::default(), IssueState::Closed, captured, Some("补货".into()));
        assert_eq!(solved.expect("a step").closed_on, Some(captured.day));
    }

    #[test]
    fn a_position_says_how_sure_it_is() {
        let outlet = OutletFacts {
            id: OutletId(RecordId::NIL),
            code: "S1".into(),
            name: String::new(),
            zone: DEFAULT_ZONE.into(),
            channel: Some(Channel::Chain),
            fix_e7: Some((0, 0)),
        };
        let at = GpsFix { latitude_e7: 0, longitude_e7: 1_000, accuracy_m: Some(8), mocked: true };
        let visit = opening(&outlet, 5, Some(at), None);
        assert_eq!((visit.position_grade, visit.distance_m), (Some(FixGrade::Mocked), Some(11)));
        let visit = opening(&outlet, 5, None, None);
        assert_eq!((visit.position_grade, visit.distance_m), (Some(FixGrade::Missing), None));
        assert_eq!(visit.channel, Some(Channel::Chain));
    }
}
