//! Roles of positions: what they see, and which kinds they write (S5.2).

use super::choice::choice;

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
