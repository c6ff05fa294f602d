//! DepartureCheck 出门前检查: the check of the work equipment before the first call (S6.5 a and b).

use super::declare::kind;

kind! {
    /// The check of the bag 业务包 before the first call, once per person and day.
    DepartureCheck = 8, "departure_check", "出门前检查" / "Departure check";
    home Person; write_policy Event; writers [Merchandiser, Representative];
    {
        /// The folder 文件夹 is there.
        folder: Option<bool> = 16, "文件夹" / "Folder", None, required;
        /// The cleaning cloth 抹布 is there.
        cloth: Option<bool> = 17, "抹布" / "Cloth", None, required;
        /// The box cutter 美工刀 is there.
        knife: Option<bool> = 18, "美工刀" / "Knife", None, required;
        /// Promotional gifts 促销赠品 taken along.
        gifts: Option<i64> = 19, "促销赠品" / "Gifts", Count;
        /// Goods taken along for exchange 调换货.
        exchange_goods: Option<i64> = 20, "调换货" / "Exchange goods", BaseUnits;
        /// A note.
        note: Option<String> = 21, "备注" / "Note", None;
    }
}

impl DepartureCheck {
    /// Whether all equipment is there.
    pub fn passes(&self) -> bool {
        [self.folder, self.cloth, self.knife].iter().all(|item| *item == Some(true))
    }
}
