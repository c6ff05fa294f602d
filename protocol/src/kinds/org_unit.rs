//! OrgUnit 组织单元: company, department, region 大区 (S2.1, S5.1).

use super::declare::{choice, kind};
use crate::ids::OrgUnitId;
use std::collections::BTreeMap;

choice! {
    /// The type of an organisation unit.
    UnitType {
        /// The whole company.
        Company = 1, "company", "公司" / "Company";
        /// A centre such as 营销中心.
        Centre = 2, "centre", "中心" / "Centre";
        /// A department.
        Department = 3, "department", "部门" / "Department";
        /// A region 大区.
        Region = 4, "region", "大区" / "Region";
        /// A special region 特区.
        SpecialRegion = 5, "special_region", "特区" / "Special region";
        /// An operating zone 运营区.
        OperatingZone = 6, "operating_zone", "运营区" / "Operating zone";
        /// A pilot zone 试点区, which figures can exclude.
        PilotZone = 7, "pilot_zone", "试点区" / "Pilot zone";
        /// A team or area within a region.
        Area = 8, "area", "片区" / "Area";
    }
}

kind! {
    /// An organisation unit. The tree is data; no part of it is fixed in code (S7.4).
    OrgUnit = 1, "org_unit", "组织单元" / "Organisation unit";
    home Company; write_policy Reference; writers [];
    {
        /// The unique code by which imports name it.
        code: Option<String> = 16, "编码" / "Code", None, required, natural_key;
        /// Its Chinese name.
        name_zh: Option<String> = 17, "中文名称" / "Chinese name", None, required, display_name;
        /// Its English name.
        name_en: Option<String> = 18, "英文名称" / "English name", None;
        /// Its type.
        unit_type: Option<UnitType> = 19, "类型" / "Type", None, required;
        /// The unit above it; only the company has none.
        parent: Option<OrgUnitId> = 20, "上级" / "Parent", None;
        /// The GB/T 2260 division codes of its territory: an explicit table, never derived (S2.2).
        territory: BTreeMap<String, bool> = 21, "辖区" / "Territory", None;
    }
}

impl UnitType {
    /// Whether it is a 大区 or 特区, the level of the regional views.
    pub const fn is_region(self) -> bool {
        matches!(self, Self::Region | Self::SpecialRegion)
    }
}
