//! Visit 拜访: one stay in one outlet, from check-in to close or abort (S6.5–S6.6).

use super::declare::header::{self, Header};
use super::declare::{choice, kind};
use super::outlet::Channel;
use crate::figures::{Contribution, Dimension, MeasureFamily, VisitFigures};
use crate::ids::RoutePlanId;
use crate::record::{Home, Record};
use std::collections::BTreeMap;

choice! {
    /// Why a visit was aborted.
    AbortReason {
        /// The shop was closed.
        Closed = 1, "closed", "门店关闭" / "Outlet closed";
        /// The shop refused.
        Refused = 2, "refused", "店方拒绝" / "Refused";
        /// The person in charge was not there.
        NobodyThere = 3, "nobody_there", "负责人不在" / "Person in charge absent";
        /// There was no time left.
        NoTime = 4, "no_time", "时间不足" / "No time";
        /// Another reason, given in the note.
        Other = 5, "other", "其他" / "Other";
    }
}

choice! {
    /// How reliable the fix of a check-in is.
    FixGrade {
        /// From the device's satellite receiver or network.
        Measured = 1, "measured", "已定位" / "measured";
        /// The system reports a simulated fix.
        Mocked = 2, "mocked", "模拟定位" / "mocked";
        /// There was no fix.
        Missing = 3, "missing", "无定位" / "missing";
    }
}

kind! {
    /// A visit. One save opens it, a second one closes or aborts it. What is seen in between is saved in records of
    /// their own that share its id.
    Visit = 9, "visit", "拜访" / "Visit";
    home Outlet; write_policy Event; writers [Merchandiser, Representative, Manager];
    contribute contribute;
    {
        /// Check-in, by the device's clock.
        opened_at_ms: Option<i64> = 16, "进店时间" / "Opened at", UnixMs, required;
        /// Check-out, by the device's clock.
        closed_at_ms: Option<i64> = 17, "离店时间" / "Closed at", UnixMs;
        /// When it was aborted.
        aborted_at_ms: Option<i64> = 18, "中止时间" / "Aborted at", UnixMs;
        /// Why it was aborted.
        abort_reason: Option<AbortReason> = 19, "中止原因" / "Abort reason", None;
        /// Time in store by the device's monotonic clock, which changes of the wall clock do not affect.
        time_in_store_ms: Option<i64> = 20, "在店时长" / "Time in store", Ms;
        /// The route plan that planned this call.
        plan: Option<RoutePlanId> = 21, "路线计划" / "Route plan", None;
        /// The outlet's channel, as the device knew it at check-in.
        channel: Option<Channel> = 22, "渠道" / "Channel", None;
        /// Where the device was, WGS-84.
        latitude_e7: Option<i64> = 23, "纬度" / "Latitude", DegreesE7;
        /// Where the device was, WGS-84.
        longitude_e7: Option<i64> = 24, "经度" / "Longitude", DegreesE7;
        /// The accuracy of that fix.
        accuracy_m: Option<i64> = 25, "定位精度" / "Accuracy", Metres;
        /// How reliable the fix is.
        position_grade: Option<FixGrade> = 26, "定位可信度" / "Position grade", None;
        /// Distance from the outlet's own position.
        distance_m: Option<i64> = 27, "距门店距离" / "Distance from outlet", Metres;
        /// Answers to the visit's yes/no tasks, by the task's code.
        task_answers: BTreeMap<String, bool> = 28, "任务回答" / "Task answers", None;
        /// The store's important matters 本店重要事务 (S6.5 c).
        note: Option<String> = 29, "本店重要事务" / "Store note", None;
    }
}

fn contribute(record: &Record) -> Vec<Contribution> {
    let (Home::Outlet(outlet), Some(header), false) =
        (record.home, Header::read(record), header::is_corrected(record))
    else {
        return Vec::new();
    };
    let visit = <Visit as super::Entity>::read(record);
    vec![Contribution {
        family: MeasureFamily::Visits,
        outlet: Some(outlet),
        person: Some(header.actor),
        day: header.business_day,
        unit_on: header.business_day,
        dimension: Dimension::default(),
        measures: visit.figures().measures(),
    }]
}

impl Visit {
    /// The figures of this visit. An aborted visit is not done, even if a later save closed it.
    pub fn figures(&self) -> VisitFigures {
        let aborted = self.aborted_at_ms.is_some();
        let done = self.closed_at_ms.is_some() && !aborted;
        let in_channel = |channel| i64::from(done && self.channel == Some(channel));
        let time_in_store_ms = self.time_in_store_ms.filter(|_| done);
        VisitFigures {
            planned: 0,
            planned_done: i64::from(done && self.plan.is_some()),
            visits: 1,
            done: i64::from(done),
            aborted: i64::from(aborted),
            time_in_store_ms: time_in_store_ms.unwrap_or(0),
            timed: i64::from(time_in_store_ms.is_some()),
            done_hypermarket: in_channel(Channel::Hypermarket),
            done_chain: in_channel(Channel::Chain),
        }
    }
}
