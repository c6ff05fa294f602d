//! Person 人员: a member of staff (S1.3).

use super::declare::{choice, kind};
use crate::calendar::Day;
use crate::ids::PositionId;
use std::collections::BTreeMap;

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
    /// A member of staff and the positions that they hold, one at a time. Work belongs to the position held on its day,
    /// so a move does not affect earlier work.
    Person = 3, "person", "人员" / "Person";
    home Person; write_policy Reference; writers [];
    {
        /// The unique staff number by which imports name the person.
        code: Option<String> = 16, "工号" / "Staff number", None, required, natural_key;
        /// The name.
        name: Option<String> = 17, "姓名" / "Name", None, required, display_name;
        /// Whether the person works here.
        status: Option<PersonStatus> = 18, "状态" / "Status", None, required;
        /// The position held before the first day of `position_from`, or at all times if that is empty.
        position: Option<PositionId> = 19, "岗位" / "Position", None;
        /// First day of work.
        joined_on: Option<Day> = 20, "入职日期" / "Joined on", Day;
        /// Last day of work.
        left_on: Option<Day> = 21, "离职日期" / "Left on", Day;
        /// The positions held later, by the first day of each. The id of all zeros means no position from that day on.
        position_from: BTreeMap<Day, PositionId> = 22, "岗位变更" / "Position from", None;
    }
}
