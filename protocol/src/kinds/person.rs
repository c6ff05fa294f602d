//! Person 人员: a member of staff (S1.3).

use super::declare::{choice, kind};
use crate::calendar::Day;
use crate::ids::PositionId;

choice! {
    /// Whether a person works here.
    PersonStatus {
        /// Works here.
        Active = 1, "active", "在职" / "Active";
        /// Has left.
        Left = 2, "left", "离职" / "Left";
    }
}

kind! {
    /// A member of staff and the position that they hold.
    Person = 3, "person", "人员" / "Person";
    home Person; lineage Reference; writers [];
    {
        /// The staff number that imports name the person by, unique.
        code: Option<String> = 16, "工号" / "Staff number", None, required;
        /// The name.
        name: Option<String> = 17, "姓名" / "Name", None, required;
        /// Whether the person works here.
        status: Option<PersonStatus> = 18, "状态" / "Status", None, required;
        /// The position held; none while between positions.
        position: Option<PositionId> = 19, "岗位" / "Position", None;
        /// First day of work.
        joined_on: Option<Day> = 20, "入职日期" / "Joined on", Day;
        /// Last day of work.
        left_on: Option<Day> = 21, "离职日期" / "Left on", Day;
    }
}
