//! Outlet 门店: a point of sale.

use super::declare::{choice, kind};
use crate::ids::OrgUnitId;

choice! {
    /// The type of trade.
    Channel {
        /// 大卖场; eight of them are a day's work (S6.6).
        Hypermarket = 1, "hypermarket", "大卖场" / "Hypermarket";
        /// 超市
        Supermarket = 2, "supermarket", "超市" / "Supermarket";
        /// 连锁; twenty-four of them are a day's work (S6.6).
        Chain = 3, "chain", "连锁" / "Chain";
        /// 便利店
        Convenience = 4, "convenience", "便利店" / "Convenience";
        /// 传统门店
        Traditional = 5, "traditional", "传统门店" / "Traditional";
        /// 其他
        Other = 6, "other", "其他" / "Other";
    }
}

choice! {
    /// Whether an outlet is trading.
    OutletStatus {
        /// Proposed by a representative, not yet confirmed.
        Proposed = 1, "proposed", "待确认" / "Proposed";
        /// Trading.
        Active = 2, "active", "营业" / "Active";
        /// Closed for good.
        Closed = 3, "closed", "关闭" / "Closed";
    }
}

kind! {
    /// An outlet. It belongs to the company and has its own home. Its visits, counts and issues are in that home too,
    /// whoever the outlet is assigned to.
    Outlet = 4, "outlet", "门店" / "Outlet";
    home Outlet; write_policy Edited; writers [Representative, Manager];
    {
        /// The unique code by which imports name it.
        code: Option<String> = 16, "门店编码" / "Outlet code", None, required, natural_key;
        /// Its name.
        name: Option<String> = 17, "名称" / "Name", None, required, display_name;
        /// The type of trade.
        channel: Option<Channel> = 18, "渠道" / "Channel", None, required;
        /// Its address.
        address: Option<String> = 19, "地址" / "Address", None;
        /// Its GB/T 2260 division: province, city or county, two to six digits.
        division: Option<String> = 20, "行政区划代码" / "Division code", None;
        /// The city's name.
        city: Option<String> = 21, "城市" / "City", None;
        /// The unit whose territory it is in; `None` if no region contains its province (S2.2). It decides who sees the
        /// outlet and where its figures count.
        unit: Option<OrgUnitId> = 22, "所属组织" / "Unit", None, headquarters;
        /// Latitude, WGS-84.
        latitude_e7: Option<i64> = 23, "纬度" / "Latitude", DegreesE7;
        /// Longitude, WGS-84.
        longitude_e7: Option<i64> = 24, "经度" / "Longitude", DegreesE7;
        /// The distance from the outlet at which a check-in still counts as on the spot.
        geofence_m: Option<i64> = 25, "围栏半径" / "Geofence", Metres;
        /// Its IANA zone; Asia/Shanghai if it has none.
        time_zone: Option<String> = 26, "时区" / "Time zone", None;
        /// Whether it is trading.
        status: Option<OutletStatus> = 27, "状态" / "Status", None, required;
        /// Opening hours as the shop gives them.
        open_hours: Option<String> = 28, "营业时间" / "Opening hours", None;
        /// The number of visits that it should get in 28 days.
        visits_per_28_days: Option<i64> = 29, "每28天拜访次数" / "Visits per 28 days", Count;
        /// Phone number.
        phone: Option<String> = 30, "电话" / "Phone", None;
        /// Notes for the next visitor.
        note: Option<String> = 31, "备注" / "Note", None;
    }
}
