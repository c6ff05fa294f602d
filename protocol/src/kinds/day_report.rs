//! DayReport 日报: the report that closes a working day (S6.7 a).

use super::declare::kind;
use crate::calendar::Day;

kind! {
    /// The report that closes a day. The figures are derived from the day's records; the report adds remarks and
    /// documents. A second report of a day replaces the first by correcting it.
    DayReport = 14, "day_report", "日报" / "Day report";
    home Person; write_policy Event; writers [Merchandiser, Representative, Manager];
    {
        /// The day.
        day: Option<Day> = 16, "日期" / "Day", Day, required;
        /// Visits done, as the device counted them when the report was made.
        visits_done: Option<i64> = 17, "完成拜访" / "Visits done", Count;
        /// Visits planned, as the device knew them.
        visits_planned: Option<i64> = 18, "计划拜访" / "Visits planned", Count;
        /// Remarks.
        remarks: Option<String> = 19, "总结" / "Remarks", None;
        /// Documents 单据 handed in.
        documents: Option<i64> = 20, "单据数" / "Documents", Count;
    }
}
