//! Issue 急待解决问题: an urgent matter for the superior, due on the same or the next day (S6.7 b).

use super::declare::header::{self, Header};
use super::declare::{choice, kind};
use crate::calendar::Day;
use crate::figures::{Contribution, Dimension, MeasureFamily, Measures};
use crate::ids::{PersonId, VisitId};
use crate::record::{Home, Record};

choice! {
    /// What an urgent matter is about.
    IssueKind {
        /// 缺货
        OutOfStock = 1, "out_of_stock", "缺货" / "Out of stock";
        /// 价格
        Price = 2, "price", "价格" / "Price";
        /// 陈列
        Display = 3, "display", "陈列" / "Display";
        /// 质量
        Quality = 4, "quality", "质量" / "Quality";
        /// 客情
        Relations = 5, "relations", "客情" / "Relations";
        /// 竞品
        Competitor = 6, "competitor", "竞品" / "Competitor";
        /// 其他
        Other = 7, "other", "其他" / "Other";
    }
}

choice! {
    /// How severe it is.
    Severity {
        /// 一般
        Normal = 1, "normal", "一般" / "Normal";
        /// 严重
        Severe = 2, "severe", "严重" / "Severe";
        /// 紧急
        Urgent = 3, "urgent", "紧急" / "Urgent";
    }
}

choice! {
    /// Its state.
    IssueState {
        /// Raised, not yet acknowledged.
        Open = 1, "open", "待处理" / "Open";
        /// Acknowledged by the superior 协调解决.
        Acknowledged = 2, "acknowledged", "处理中" / "Acknowledged";
        /// Solved.
        Closed = 3, "closed", "已解决" / "Closed";
    }
}

kind! {
    /// An urgent matter. The merchandiser raises it, the superior acknowledges and closes it.
    Issue = 13, "issue", "急待解决问题" / "Issue";
    home Outlet; write_policy Edited; writers [Merchandiser, Representative, Manager];
    contribute contribute;
    {
        /// The visit in which it was found.
        visit: Option<VisitId> = 16, "拜访" / "Visit", None;
        /// What it is about.
        issue_kind: Option<IssueKind> = 17, "类型" / "Kind", None, required;
        /// How severe it is.
        severity: Option<Severity> = 18, "严重程度" / "Severity", None, required;
        /// The description.
        text: Option<String> = 19, "描述" / "Description", None, required;
        /// The day on which it was raised.
        raised_on: Option<Day> = 20, "提出日期" / "Raised on", Day, required;
        /// Who raised it.
        raised_by: Option<PersonId> = 21, "提出人" / "Raised by", None, required;
        /// The day by which it must be solved: the day it was raised or the next one.
        due_on: Option<Day> = 22, "期限" / "Due on", Day, required;
        /// Who has to solve it.
        assignee: Option<PersonId> = 23, "负责人" / "Assignee", None;
        /// Its state.
        state: Option<IssueState> = 24, "状态" / "State", None, required;
        /// The day on which it was solved.
        closed_on: Option<Day> = 25, "解决日期" / "Closed on", Day;
        /// How it was solved.
        resolution: Option<String> = 26, "解决办法" / "Resolution", None;
    }
}

fn contribute(record: &Record) -> Vec<Contribution> {
    let issue = <Issue as super::Entity>::read(record);
    let (Home::Outlet(outlet), Some(_), Some(raised_on), Some(due_on), false) =
        (record.home, Header::read(record), issue.raised_on, issue.due_on, header::is_corrected(record))
    else {
        return Vec::new();
    };
    let on = |day, family, measures: &[i64]| Contribution {
        family,
        outlet: Some(outlet),
        person: issue.raised_by,
        day,
        unit_on: raised_on,
        dimension: Dimension::default(),
        measures: Measures::of(measures),
    };
    let closed_on = issue.closed_on.filter(|_| issue.state == Some(IssueState::Closed));
    let by_due = i64::from(closed_on.is_some_and(|day| day <= due_on));
    let mut contributions = vec![
        on(raised_on, MeasureFamily::Issues, &[1]),
        on(due_on, MeasureFamily::Issues, &[0, 0, by_due, 1]),
        on(raised_on, MeasureFamily::OpenIssues, &[1]),
    ];
    if by_due == 0 {
        contributions.push(on(due_on.next(), MeasureFamily::OpenIssues, &[0, 1]));
    }
    if let Some(day) = closed_on {
        contributions.push(on(day, MeasureFamily::Issues, &[0, 1]));
        contributions.push(on(day, MeasureFamily::OpenIssues, &[-1, by_due - 1]));
    }
    contributions
}
