//! OutletAssignment 门店分配: which position looks after an outlet, from when to when (S8.2).

use super::declare::kind;
use crate::calendar::Day;
use crate::ids::PositionId;

kind! {
    /// An assignment of an outlet to a position. Handing an outlet over is a new assignment with a greater
    /// epoch; no record moves.
    OutletAssignment = 5, "outlet_assignment", "门店分配" / "Outlet assignment";
    home Outlet; write_policy Reference; writers [Manager];
    {
        /// The position.
        position: Option<PositionId> = 16, "岗位" / "Position", None, required;
        /// Counts hand-overs; of two assignments in force the greater epoch stands.
        epoch: Option<i64> = 17, "交接序号" / "Epoch", Count, required;
        /// The first day.
        from: Option<Day> = 18, "开始日期" / "From", Day, required;
        /// The last day; none while it goes on.
        to: Option<Day> = 19, "结束日期" / "To", Day;
        /// Why.
        reason: Option<String> = 20, "原因" / "Reason", None;
    }
}
