//! Every text of the console that is not a kind's label, in Chinese and English: one table.

use xundian_protocol::kinds::Label;

/// The language of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Lang {
    /// Simplified Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The language of a code in a query or a cookie.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        match code {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The code in a query or a cookie.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The BCP 47 tag.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The other language.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// A text in this language.
    pub(super) const fn of(self, label: Label) -> &'static str {
        match self {
            Self::Zh => label.zh,
            Self::En => label.en,
        }
    }
}

macro_rules! texts {
    ($($name:ident = $zh:literal / $en:literal;)*) => {
        $(pub(super) const $name: Label = Label { zh: $zh, en: $en };)*

        /// The whole table, for its test.
        #[cfg(test)]
        const ALL: &[(&str, Label)] = &[$((stringify!($name), $name)),*];
    };
}

texts! {
    // The frame of a page
    PRODUCT = "巡店" / "Xundian";
    OTHER_LANGUAGE = "English" / "中文";
    LOG_OUT = "退出" / "Log out";
    NATION = "全国" / "Nation";
    UNASSIGNED = "未分配" / "Unassigned";
    OWN_OUTLETS = "直属门店" / "Own outlets";
    TOTAL = "合计" / "Total";
    OUTSIDE_SCOPE = "权限外" / "outside your scope";
    BUILT_FROM = "每个数字都可点开，查看它由哪些记录组成。" / "Every figure opens the records it is made of.";
    SKIP_TO_CONTENT = "跳到正文" / "Skip to content";
    PRODUCT_UNKNOWN = "目录外产品" / "product not in the catalogue";

    // Logging in
    LOG_IN = "登录" / "Log in";
    USER_NAME = "用户名" / "User name";
    PASSWORD = "密码" / "Password";
    LOGIN_FAILED = "用户名或密码不正确。" / "The user name or the password is not right.";
    LOGIN_TOO_MANY = "尝试次数过多，请稍后再试。" / "Too many attempts: try again later.";
    LOGIN_EXPIRED = "登录页面已过期，请重新填写。" / "The login page has expired: fill it in again.";
    LOGIN_HELP = "没有账号或忘记密码，请联系总部管理员。" / "No account, or password forgotten? Ask the administrator at headquarters.";
    WHAT_IT_IS = "线下门店巡访与终端数据" / "Store visits and shelf data from the field";

    // The period
    DAY = "日期" / "Day";
    FROM = "从" / "From";
    TO = "至" / "To";
    SHOW = "查看" / "Show";
    PREVIOUS = "前一段" / "Earlier";
    NEXT = "后一段" / "Later";
    TODAY = "今天" / "Today";
    THIS_WEEK = "本周" / "This week";
    THIS_MONTH = "本月" / "This month";
    LAST_14_DAYS = "近 14 天完成拜访" / "Visits done, last 14 days";

    // Completeness
    DEVICES = "台设备" / "devices";
    DATA_THROUGH = "数据至" / "data through";
    NEVER_SYNCED = "有设备尚未同步过" / "a device has never synced";
    NO_DEVICES = "没有启用的设备" / "no active devices";
    COMPLETE = "已收齐" / "complete";
    WAITING = "等待中" / "waiting";

    // Groups of figures
    VISITS = "拜访" / "Visits";
    SHELF = "货架" / "Shelf";
    STOCK = "库存" / "Stock";
    ISSUES = "急待解决问题" / "Urgent matters";
    REGIONS = "各大区" / "Regions";
    UNITS_BELOW = "下级组织" / "Units below";
    PEOPLE = "人员" / "People";
    PRODUCTS = "产品" / "Products";
    PEOPLE_NOTE = "按记录人统计；与上表按门店归属的口径不同。" / "By who recorded it; the table above counts by where the outlet belongs.";

    // Figures
    PLANNED = "计划" / "Planned";
    PLANNED_DONE = "计划内完成" / "Planned and done";
    COMPLIANCE = "拜访完成率" / "Call compliance";
    COMPLIANCE_SHORT = "完成率" / "Compl.";
    ALL_VISITS = "进店" / "Opened";
    DONE = "完成" / "Done";
    ABORTED = "中止" / "Aborted";
    DAY_LOAD = "日标准" / "Day load";
    DAY_LOAD_HINT = "大卖场 ÷ 8 + 连锁 ÷ 24" / "hypermarkets ÷ 8 + chain ÷ 24";
    MEAN_TIME = "平均在店" / "Mean time in store";
    MEAN_TIME_SHORT = "在店" / "In store";
    AUDITED = "检查" / "Audited";
    ABSENT = "缺货" / "Absent";
    OSA = "在架率" / "OSA";
    OOS = "缺货率" / "OOS";
    BACKROOM_ONLY = "仅仓库有货" / "Backroom only";
    SHARE_OF_SHELF = "排面占比" / "Share of shelf";
    COUNTS = "盘点行" / "Counts";
    COUNTED_UNITS = "盘点数量" / "Units counted";
    STOCK_UNITS = "库存数量" / "Units on hand";
    RAISED = "提出" / "Raised";
    CLOSED = "解决" / "Closed";
    DUE = "到期" / "Due";
    CLOSED_BY_DUE = "按期解决" / "Closed on time";
    ON_TIME = "按期率" / "On time";
    OPEN = "未解决" / "Open";
    OVERDUE = "逾期" / "Overdue";
    DATA = "数据" / "Data";
    DAYS_UNIT = "天" / "d";
    UNITS_UNIT = "件" / "units";

    // Columns of lists
    UNIT = "组织" / "Unit";
    PERSON = "人员" / "Person";
    OUTLET = "门店" / "Outlet";
    CITY = "城市" / "City";
    CHANNEL = "渠道" / "Channel";
    TIME = "时间" / "Time";
    STATE = "状态" / "State";
    DISTANCE = "距离" / "Distance";
    NOTE = "备注" / "Note";
    PRODUCT_COLUMN = "产品" / "Product";
    PRESENT = "在架" / "On shelf";
    YES = "是" / "yes";
    NO = "否" / "no";
    FACINGS = "本品 / 品类排面" / "Own / category facings";
    UNITS = "数量" / "Units";
    LAST_ENTRY = "最近记录" / "Last entry";
    LAST_SYNC = "最近同步" / "Last sync";
    CLOCK_OFFSET = "时钟偏差" / "Clock offset";
    APP = "应用" / "App";
    DEVICE = "设备" / "Device";
    ORDER = "顺序" / "Order";
    PURPOSE = "目的" / "Purpose";
    MUST = "必访" / "Must";
    MADE = "执行" / "Made";
    NOT_MADE = "未完成" / "not made";
    IN_STORE = "店内" / "in store";
    UNPLANNED = "计划外" / "unplanned";
    VISIT = "拜访" / "Visit";
    CAUSE = "原因" / "Cause";
    LOCATION_SHELF = "货架" / "Shelf";
    LOCATION_STACK = "堆箱" / "Stack";
    LOCATION_BACKROOM = "仓库" / "Backroom";
    LOTS = "批次" / "Lots";
    PRICE = "标价" / "Price";

    // Lists
    ROWS = "条" / "rows";
    EARLIER_ROWS = "上一页" / "Previous page";
    LATER_ROWS = "下一页" / "Next page";
    NOTHING = "没有记录。" / "Nothing here.";
    SHOW_ALL = "全部" / "All";
    PLANNED_CALLS = "计划拜访" / "Planned calls";
    VISIT_LIST = "拜访记录" / "Visits";
    DAY_REPORT = "日报" / "Day report";
    DEPARTURE_CHECK = "出门前检查" / "Departure check";
    PASSES = "齐备" / "all there";
    FAILS = "不齐备" / "incomplete";
    PROFILE = "资料" / "Profile";
    ASSIGNMENT = "负责岗位" / "Assignment";
    VACANT = "空缺" / "vacant";
    CURRENT = "当前" / "in force";
    LATEST_VISITS = "近 90 天拜访" / "Visits of the last 90 days";
    STOCK_MOVEMENTS = "库存变动" / "Stock movements";
    SHELF_LINES = "货架检查" / "Shelf";
    STOCK_COUNTS = "库存盘点" / "Stock count";
    TASKS = "任务" / "Tasks";
    PHOTOS = "照片" / "Photos";
    PICTURE_WAITING = "记录已到，图片还在路上" / "The picture is still on its way";
    DOUBT_CHOSEN = "选自相册，可能不是当时当地" / "from the gallery: perhaps of another time or place";
    DOUBT_MOCKED = "定位为模拟" / "position is simulated";
    DOUBT_NO_POSITION = "没有定位" / "no position";
    DOUBT_FAR = "离门店较远" / "far from the outlet";
    DOUBT_CLOCK = "手机时钟不可信" / "clock not trusted";
    POSITION = "定位" / "Position";
    CORRECTED = "已被更正" / "corrected";
    CORRECTED_BY = "更正为" / "Corrected by";
    CORRECTS = "更正自" / "Corrects";
    NOT_COUNTED = "此记录已被更正，不计入数字。" / "This record was corrected; it no longer counts.";
    OF_DAY = "截至" / "as of";
    CONFLICTS = "未处理冲突" / "Open conflicts";
    CONFLICTS_NOTE = "两人在互不知情时改了同一项，请在设备上选定其中之一。" / "Two people changed the same and neither knew of the other: settle it on a device.";
    RECORD = "记录" / "Record";
    FIELD = "字段" / "Field";
    VALUE_KEPT = "现值" / "Kept";
    VALUE_LOST = "落选值" / "Lost";
    FOUND = "发现时间" / "Found";
    HEADQUARTERS = "总部" / "Headquarters";

    // Failures
    HOME_LINK = "回到首页" / "Back to the first page";
    NOT_FOUND = "没有这个页面" / "No such page";
    NOT_FOUND_TEXT = "地址不存在，或者记录已不在。" / "There is nothing at this address.";
    DENIED = "没有权限" / "Not in your scope";
    DENIED_TEXT = "这一页不在您的权限范围内。需要时请联系上级或总部。" / "This page is outside your scope. Ask your manager or headquarters if you need it.";
    NO_POSITION_TEXT = "您的账号对应的人员目前没有岗位，所以没有可看的内容。请联系总部。" / "The person behind your account holds no position, so there is nothing to show. Ask headquarters.";
    FORGED = "表单已失效" / "The form is no longer valid";
    FORGED_TEXT = "请重新打开页面后再提交。" / "Open the page again, then send the form.";
    BAD_REQUEST = "请求有误" / "The address is not right";
    BAD_DAY = "日期应写成 2026-11-23，且不超过 366 天。" / "Write a day as 2026-11-23; a period has at most 366 days.";
    BAD_QUERY = "地址中的参数无法识别。" / "A parameter of the address is not known.";
    BAD_ID = "编号格式不正确。" / "That is not an id.";
    BAD_METHOD = "此地址不接受这种请求。" / "This address does not take that kind of request.";
    TOO_MANY = "记录太多，请缩小范围" / "Too many records: choose a smaller range";
    TOO_MANY_TEXT = "请选择下级组织或更短的日期：" / "Choose a unit below or fewer days:";
    BROKEN = "出错了" / "Something went wrong";
    BROKEN_TEXT = "服务器未能读出数据，错误已记入日志。请稍后再试。" / "The server could not read its data and has logged why. Try again later.";
    BUSY = "服务器繁忙" / "The server is busy";
    BUSY_TEXT = "请稍候几秒再试。" / "Try again in a few seconds.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_both_languages() {
        for (name, label) in ALL {
            assert!(!label.zh.is_empty() && !label.en.is_empty(), "{name}");
            let swapped = *name == "OTHER_LANGUAGE";
            assert_eq!(label.zh.is_ascii(), swapped, "{name}: {label:?}");
        }
    }
}
