//! The columns that each import reads: the one table behind errors and docs/IMPORT.md.

use super::ImportKind;
use super::text::trim;

/// A column of an import.
#[derive(Debug)]
pub struct Column {
    /// Its name in files and messages.
    pub name: &'static str,
    /// Other accepted names.
    pub synonyms: &'static [&'static str],
    /// Whether a file without it is refused.
    pub required: bool,
    /// What the column holds.
    pub meaning: &'static str,
    /// An example value.
    pub example: &'static str,
}

impl Column {
    /// Whether a header names this column. Case, blanks and a trailing `*` are ignored.
    pub fn is_named(&self, header: &str) -> bool {
        let name =
            trim(header).trim_end_matches(['*', '＊']).to_lowercase().replace([' ', '-', '\u{3000}'], "_");
        name == self.name || self.synonyms.contains(&name.as_str())
    }

    /// Its name with all other accepted names.
    pub fn spellings(&self) -> String {
        if self.synonyms.is_empty() {
            return self.name.to_owned();
        }
        format!("{} (or {})", self.name, self.synonyms.join(", "))
    }
}

const fn required(
    name: &'static str,
    synonyms: &'static [&'static str],
    example: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, synonyms, required: true, meaning, example }
}

const fn optional(
    name: &'static str,
    synonyms: &'static [&'static str],
    example: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, synonyms, required: false, meaning, example }
}

static ORG: &[Column] = &[
    optional(
        "row",
        &["行类型"],
        "unit",
        "`unit` (组织) or `position` (岗位): what the row is; `unit` where empty",
    ),
    required("code", &["编码", "代码"], "GAN_WAN", "unique code of the unit or of the position"),
    optional(
        "name_zh",
        &["name", "中文名称", "名称"],
        "赣皖大区",
        "units: Chinese name, required; 赣晥 is read as 赣皖",
    ),
    optional("name_en", &["英文名称"], "Gan-Wan", "units: English name"),
    optional(
        "unit_type",
        &["type", "类型", "组织类型"],
        "region",
        "units, required: company 公司, centre 中心, department 部门, region 大区, special_region 特区, operating_zone 运营区, pilot_zone 试点区, area 片区",
    ),
    optional("parent", &["上级", "上级组织"], "HQ", "units: code of the unit above; only a company has none"),
    optional(
        "territory",
        &["辖区"],
        "36|34",
        "units: GB/T 2260 codes of its territory, separated by `|` or `;`; 360000 means 36",
    ),
    optional("title", &["岗位名称", "职务"], "赣皖大区经理", "positions: title, required"),
    optional("unit", &["组织", "所属组织"], "GAN_WAN", "positions: code of the unit it belongs to, required"),
    optional(
        "role",
        &["角色"],
        "manager",
        "positions, required: merchandiser 理货员, representative 区域销售, manager 经理, headquarters 总部",
    ),
    optional("superior", &["上级岗位"], "HQ-DIR", "positions: code of the position it reports to"),
];

static PEOPLE: &[Column] = &[
    required("code", &["工号", "编码", "staff_number"], "M001", "unique staff number"),
    required("name", &["姓名"], "王芳", "name"),
    optional("status", &["状态"], "active", "active 在职 or left 离职; a new person is active where empty"),
    optional("position", &["岗位", "岗位编码"], "HB-M1", "code of the position held; empty: none"),
    optional(
        "position_from",
        &["岗位起始日期", "任职日期"],
        "2026-03-01",
        "first day in this position; where empty tomorrow for who held another one, else always",
    ),
    optional("joined_on", &["入职日期"], "2024-03-01", "first day of work"),
    optional(
        "left_on",
        &["离职日期"],
        "",
        "last day of work; where empty today for who is said to have left",
    ),
];

static OUTLETS: &[Column] = &[
    required("code", &["store_id", "outlet_code", "门店编码", "编码"], "1490-131667", "unique outlet code"),
    required("name", &["门店名称", "名称", "门店"], "北京银泰店", "name"),
    optional(
        "channel",
        &["渠道"],
        "chain",
        "hypermarket 大卖场, supermarket 超市, chain 连锁, convenience 便利店, traditional 传统门店, other 其他; where empty what `--channel` says, else a new outlet is `other`",
    ),
    optional("address", &["地址"], "朝阳区建国门外大街2号", "address"),
    optional("city", &["城市"], "北京市", "name of the city"),
    optional(
        "division",
        &["行政区划代码", "gbt2260"],
        "1101",
        "GB/T 2260 code, two, four or six digits; else the next three columns, the finest that is filled",
    ),
    optional("county_code", &["区县代码"], "110105", "six digits"),
    optional("city_code", &["城市代码"], "1101", "four digits"),
    optional("province_code", &["省份代码"], "11", "two digits"),
    optional(
        "unit",
        &["region", "大区", "所属大区", "所属组织"],
        "华北大区",
        "code or name of its unit; `unassigned`, 未分配 or empty: the unit whose territory holds its division, else none",
    ),
    optional(
        "longitude",
        &["lon", "lng", "经度"],
        "116.459086",
        "degrees, WGS-84, plain decimals; kept to 7 digits after the point",
    ),
    optional("latitude", &["lat", "纬度"], "39.907636", "degrees, WGS-84; both or neither"),
    optional(
        "crs",
        &["坐标系"],
        "WGS-84",
        "must be WGS-84 where filled: GCJ-02 and BD-09 are off by 100-700 m, convert them first",
    ),
    optional("geofence_m", &["围栏半径"], "200", "how far off a check-in still counts, 1 to 100000 metres"),
    optional("time_zone", &["时区"], "Asia/Shanghai", "IANA zone; Asia/Shanghai where empty"),
    optional(
        "status",
        &["状态"],
        "active",
        "proposed 待确认, active 营业, closed 关闭; a new outlet is active where empty",
    ),
    optional(
        "open_hours",
        &["营业时间"],
        "07:30-21:00",
        "opening hours as text; else from the next two columns",
    ),
    optional("open_time", &["开门时间"], "07:30:00", "opens at"),
    optional("close_time", &["关门时间"], "21:00:00", "closes at"),
    optional(
        "visits_per_28_days",
        &["每28天拜访次数"],
        "4",
        "visits that it should get in 28 days, 0 to 280",
    ),
    optional("phone", &["电话"], "010-65010000", "phone number"),
    optional("note", &["备注"], "", "notes for whoever comes next"),
];

static PRODUCTS: &[Column] = &[
    required(
        "gtin",
        &["code", "barcode", "条码", "商品条码", "69码"],
        "6901234567892",
        "GTIN-13 of the retail item, check digit verified; the same in 14 digits with a leading 0 is taken too",
    ),
    required("name", &["名称", "商品名称", "品名"], "华信木铲", "name"),
    optional("brand", &["品牌"], "华信", "brand"),
    optional("category", &["品类"], "百货", "category"),
    optional("pack", &["spec", "规格"], "500ml", "what is in a pack, as printed"),
    optional(
        "retail_price",
        &["retail_price_cny", "零售价", "价格"],
        "12.50",
        "in units of the currency (yuan), no finer than a fen",
    ),
    optional("currency", &["币种"], "CNY", "ISO 4217: CNY (where empty), HKD, MOP, TWD, USD, EUR or GBP"),
    optional(
        "shelf_life_days",
        &["保质期", "保质期天数"],
        "365",
        "days from production to expiry, 1 to 36500",
    ),
    optional("competitor", &["竞品"], "no", "whether it is a competitor's: yes 是 or no 否"),
    optional("units_per_inner", &["中包数量"], "6", "base units in an inner pack"),
    optional("units_per_case", &["箱规", "件装数"], "24", "base units in a case"),
    optional("unit", &["单位", "销售单位"], "个", "what one is sold by, as the shop names it"),
    optional("sold_by", &["销售方式"], "each", "each or weighed; stands in for `unit` where that is empty"),
];

static ASSIGNMENTS: &[Column] = &[
    required("outlet", &["outlet_code", "门店编码", "门店"], "1490-131667", "code of the outlet"),
    required(
        "position",
        &["position_code", "岗位编码", "岗位"],
        "HB-M1",
        "code of the position that looks after it",
    ),
    required("from", &["开始日期"], "2026-11-01", "first day"),
    optional("to", &["结束日期"], "", "last day; empty: it goes on"),
    optional(
        "epoch",
        &["交接序号"],
        "",
        "counts hand-overs, from 1; where empty one more than the greatest of the outlet",
    ),
    optional("reason", &["原因"], "新开门店", "why"),
];

static ROUTES: &[Column] = &[
    required("person", &["person_code", "工号", "人员"], "M001", "staff number"),
    required(
        "day",
        &["日期"],
        "2026-11-23",
        "day of the plan; all rows of a person and day together are the plan",
    ),
    required("outlet", &["outlet_code", "门店编码", "门店"], "1490-131667", "code of the outlet to call on"),
    optional(
        "order",
        &["顺序", "拜访顺序"],
        "1",
        "place in the order of calls, 1 to 1000; where empty after the row before",
    ),
    optional("purpose", &["目的", "拜访目的"], "盘点", "what the call is for"),
    optional("must", &["必访"], "yes", "whether the call must be made: yes 是 or no 否"),
];

impl ImportKind {
    /// The columns of this import's files.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Org => ORG,
            Self::People => PEOPLE,
            Self::Outlets => OUTLETS,
            Self::Products => PRODUCTS,
            Self::Assignments => ASSIGNMENTS,
            Self::Routes => ROUTES,
        }
    }

    /// The columns as the table of docs/IMPORT.md.
    pub fn columns_markdown(self) -> String {
        let mut table = String::from("| column | also | needed | holds | example |\n|---|---|---|---|---|\n");
        for column in self.columns() {
            let also = column.synonyms.join(", ");
            let needed = if column.required { "yes" } else { "" };
            let example = column.example.replace('|', "\\|");
            let meaning = column.meaning.replace("`|`", "`\\|`");
            table.push_str(&format!("| `{}` | {also} | {needed} | {meaning} | {example} |\n", column.name));
        }
        table
    }
}
