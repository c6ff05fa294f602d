//! Position 岗位: a post in the sales organisation (S2.8, S5.2).

use super::declare::{Role, kind};
use crate::ids::{OrgUnitId, PositionId};

kind! {
    /// A position. Outlets are assigned to positions, never to people, so that people who leave take no customers along
    /// (S8.2). A vacant position is a record without a holder (S5.2).
    Position = 2, "position", "岗位" / "Position";
    home Company; write_policy Reference; writers [];
    {
        /// The unique code by which imports name it.
        code: Option<String> = 16, "编码" / "Code", None, required, natural_key;
        /// Its title.
        title: Option<String> = 17, "岗位名称" / "Title", None, required, display_name;
        /// The unit it belongs to.
        unit: Option<OrgUnitId> = 18, "组织单元" / "Unit", None, required;
        /// What it may see and write.
        role: Option<Role> = 19, "角色" / "Role", None, required;
        /// The position it reports to.
        superior: Option<PositionId> = 20, "上级岗位" / "Superior", None;
    }
}
