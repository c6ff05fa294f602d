//! OutletAssignment 门店分配: which position an outlet is assigned to, and for which days (S8.2).

use super::declare::kind;
use crate::calendar::Day;
use crate::ids::PositionId;

kind! {
    /// An assignment of an outlet to a position. A hand-over is a new assignment with a greater epoch; no record moves.
    OutletAssignment = 5, "outlet_assignment", "门店分配" / "Outlet assignment";
    home Outlet; write_policy Reference; writers [Manager];
    {
        /// The position.
        position: Option<PositionId> = 16, "岗位" / "Position", None, required;
        /// The number of the hand-over. If two assignments are in force, the greater epoch wins.
        epoch: Option<i64> = 17, "交接序号" / "Epoch", Count, required;
        /// The first day.
        from: Option<Day> = 18, "开始日期" / "From", Day, required;
        /// The last day; `None` while it is in force.
        to: Option<Day> = 19, "结束日期" / "To", Day;
        /// The reason.
        reason: Option<String> = 20, "原因" / "Reason", None;
    }
}
