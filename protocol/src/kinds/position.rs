//! Position 岗位: the ladder of the sales organisation (S2.8, S5.2).

use super::declare::{choice, kind};
use crate::ids::{OrgUnitId, PositionId};

choice! {
    /// What a position may see and write.
    Role {
        /// Visits outlets and records (理货员).
        Merchandiser = 1, "merchandiser", "理货员" / "Merchandiser";
        /// Sells and keeps relations (区域销售).
        Representative = 2, "representative", "区域销售" / "Representative";
        /// Leads a unit: sees and guides all of it (区域经理, 大区经理, 部门经理).
        Manager = 3, "manager", "经理" / "Manager";
        /// Sees the nation and writes reference data (总部).
        Headquarters = 4, "headquarters", "总部" / "Headquarters";
    }
}

kind! {
    /// A position. Outlets are assigned to positions, never to people, so that nobody takes customers
    /// along on leaving (S8.2). A vacant one exists as a record without a holder (S5.2).
    Position = 2, "position", "岗位" / "Position";
    home Company; write_policy Reference; writers [];
    {
        /// A short code that imports name it by, unique.
        code: Option<String> = 16, "编码" / "Code", None, required;
        /// Its title.
        title: Option<String> = 17, "岗位名称" / "Title", None, required;
        /// The unit it belongs to.
        unit: Option<OrgUnitId> = 18, "组织单元" / "Unit", None, required;
        /// What it may see and write.
        role: Option<Role> = 19, "角色" / "Role", None, required;
        /// The position it reports to.
        superior: Option<PositionId> = 20, "上级岗位" / "Superior", None;
    }
}
