//! The arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use xundian_client::{
    AbortReason, ContentHash, Decision, Due, Gtin, IssueKind, MovementCause, PhotoSource, PhotoSubject,
    RecordId, RejectedId, Severity, VisitId,
};
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Choice;

/// 巡店 Xundian：现场工作命令行 the field command line. 除 enrol 和 sync 外均可离线使用 everything but enrol and
/// sync works offline.
#[derive(Debug, Parser)]
#[command(name = "xundian", version)]
pub(crate) struct Cli {
    /// 设备文件夹 the device's folder
    #[arg(long, global = true, default_value = "xundian-device")]
    pub(crate) home: PathBuf,
    /// 密钥文件 seal the device, or open a sealed one, with the key in this file: 32 bytes, or 64 hexadecimal digits
    #[arg(long, global = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// 输出 JSON: one JSON value, or one a line for `record`
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// 注册设备 enrol this folder as a device, with an invitation
    Enrol {
        /// 邀请码 the invitation, xd1-…
        invitation: String,
        /// 设备名称 the device's name, as people see it
        #[arg(long, default_value = "xundian")]
        label: String,
    },
    /// 同步 send unsent saves and fetch changes
    Sync {
        /// 仅上传记录 only send unsent records, fetch nothing
        #[arg(long)]
        push_only: bool,
        /// 仅上传图片 only send unsent pictures, and the records before them; fetch nothing
        #[arg(long, conflicts_with = "push_only")]
        photos_only: bool,
        /// 不上传图片 send no pictures, for a metered network
        #[arg(long, conflicts_with_all = ["push_only", "photos_only"])]
        no_photos: bool,
    },
    /// 更换密钥 seal the device with another key; only that key opens it from then on
    ChangeKey {
        /// 新密钥文件 the file of the new key, as for --key-file
        new_key_file: PathBuf,
    },
    /// 设备状态 the device's state: unsent saves, pictures, last sync
    Status,
    /// 拜访 open, close or abort a visit, answer its tasks, write its note
    #[command(subcommand)]
    Visit(VisitCommand),
    /// 货架检查 record the shelf, in the open visit
    Shelf(ShelfArgs),
    /// 库存盘点 record the units counted, in the open visit
    Count(CountArgs),
    /// 库存变动 record units that arrived or left
    Move(MoveArgs),
    /// 急待解决问题 raise, acknowledge and close issues
    #[command(subcommand)]
    Issue(IssueCommand),
    /// 照片 attach photos to a visit or an issue, and list their states
    #[command(subcommand)]
    Photo(PhotoCommand),
    /// 一天 check the bag, show and report the day
    #[command(subcommand)]
    Day(DayCommand),
    /// 批量记录 record whole visits from a file, one JSON object a line (- reads the standard input)
    ///
    /// Each line is one visit and one durable save:
    /// {"outlet":"S1-01","opened_at":"2026-11-23T09:00:00+08:00","closed_at":"2026-11-23T09:20:00+08:00",
    /// "tasks":{"clean":true},"note":"…","lines":[{"gtin":"6901234567892","present":true,"facings":3,
    /// "shelf":5,"stack":0,"backroom":12,"price_minor":1290}],
    /// "issues":[{"kind":"out_of_stock","severity":"urgent","text":"…"}]}
    ///
    /// Times are RFC 3339 or Unix milliseconds. Also: id, abort_reason with aborted_at in place of closed_at,
    /// time_in_store_ms, position {latitude, longitude, accuracy_m, mocked}; in a line in_backroom, facings_category,
    /// facings_empty; in an issue due (same_day, next_day). An invalid line is reported with its number and the others
    /// are saved. Recording a line with an id again saves nothing.
    #[command(verbatim_doc_comment)]
    Record {
        /// 文件 the file
        file: PathBuf,
    },
    /// 列表 records of a kind, such as visit, outlet, issue
    List {
        /// 类型 the kind's code
        kind: String,
        /// 业务日期 only of this business day, 2026-11-23
        #[arg(long)]
        day: Option<Day>,
    },
    /// 详情 one record
    Show {
        /// 类型 the kind's code
        kind: String,
        /// 编号 its id; an outlet also by its code
        id: String,
    },
    /// 抢救 read a damaged device into a file, one JSON object a line; the device is not changed
    Rescue {
        /// 文件 the file to create
        into: PathBuf,
    },
    /// 搁置 move a damaged device aside, so that the folder can be enrolled again; nothing is deleted
    SetAside,
    /// 被拒记录 the saves that the server rejected
    #[command(subcommand)]
    Rejected(RejectedCommand),
    /// 冲突 concurrent changes by two people; open ones first
    Conflicts {
        /// 门店 only of this outlet, by its code or id
        #[arg(long)]
        outlet: Option<String>,
    },
    /// 处理冲突 choose which of the two values is right
    Settle {
        /// 编号 the conflict's id
        conflict: RecordId,
        /// 决定 kept 维持现值 or restored 恢复落选值
        #[arg(value_parser = choice::<Decision>)]
        decision: Decision,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum VisitCommand {
    /// 进店 open a visit
    Open {
        /// 门店 the outlet's code or id
        outlet: String,
        #[command(flatten)]
        fix: GpsFixArgs,
    },
    /// 离店 close the open visit
    Close(VisitArg),
    /// 中止 abort the open visit
    Abort {
        /// 原因 closed, refused, nobody_there, no_time, other
        #[arg(value_parser = choice::<AbortReason>)]
        reason: AbortReason,
        /// 备注 a note
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        visit: VisitArg,
    },
    /// 本店重要事务 write the store's important matters
    Note {
        /// 内容 the note
        text: String,
        #[command(flatten)]
        visit: VisitArg,
    },
    /// 任务 answer a task of the visit
    Task {
        /// 任务代码 the task's code
        code: String,
        /// 回答 true or false
        #[arg(action = clap::ArgAction::Set)]
        answer: bool,
        #[command(flatten)]
        visit: VisitArg,
    },
}

/// The visit that a command is about.
#[derive(Debug, Args)]
pub(crate) struct VisitArg {
    /// 拜访 the visit's id; the open visit by default
    #[arg(long)]
    pub(crate) visit: Option<VisitId>,
}

#[derive(Debug, Args)]
pub(crate) struct ShelfArgs {
    /// 商品条码 the product's GTIN
    pub(crate) gtin: Gtin,
    /// 在架 whether it is on the shelf
    #[arg(long)]
    pub(crate) present: Option<bool>,
    /// 仓库有货 whether the backroom has it
    #[arg(long)]
    pub(crate) in_backroom: Option<bool>,
    /// 本品排面 its facings
    #[arg(long)]
    pub(crate) facings: Option<i64>,
    /// 品类排面 facings of its category
    #[arg(long)]
    pub(crate) category: Option<i64>,
    /// 标价（分） the price on the label, in minor units
    #[arg(long)]
    pub(crate) price: Option<i64>,
    #[command(flatten)]
    pub(crate) visit: VisitArg,
}

#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// 商品条码 the product's GTIN
    pub(crate) gtin: Gtin,
    /// 货架数量 units on the shelf
    #[arg(long)]
    pub(crate) shelf: Option<i64>,
    /// 堆箱数量 units in stacked displays
    #[arg(long)]
    pub(crate) stack: Option<i64>,
    /// 仓库数量 units in the backroom
    #[arg(long)]
    pub(crate) backroom: Option<i64>,
    #[command(flatten)]
    pub(crate) visit: VisitArg,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// 门店 the outlet's code or id
    pub(crate) outlet: String,
    /// 原因 sell_in, exchange_out, exchange_in, damage, expiry, return, gift, adjust
    #[arg(value_parser = choice::<MovementCause>)]
    pub(crate) cause: MovementCause,
    /// 商品条码 the product's GTIN
    pub(crate) gtin: Gtin,
    /// 数量 units that came (+) or left (-)
    #[arg(allow_hyphen_values = true)]
    pub(crate) units: i64,
    /// 单据 the number of its paper document
    #[arg(long)]
    pub(crate) document: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IssueCommand {
    /// 提出 raise an issue, at the outlet of the open visit unless one is named
    Raise {
        /// 类型 out_of_stock, price, display, quality, relations, competitor, other
        #[arg(value_parser = choice::<IssueKind>)]
        kind: IssueKind,
        /// 描述 the text of the issue
        text: String,
        /// 严重程度 normal, severe, urgent
        #[arg(long, default_value = "urgent", value_parser = choice::<Severity>)]
        severity: Severity,
        /// 期限 same_day 当天 or next_day 第二天
        #[arg(long, default_value = "next_day", value_parser = due)]
        due: Due,
        /// 门店 the outlet's code or id
        #[arg(long)]
        outlet: Option<String>,
    },
    /// 处理 acknowledge an issue
    Ack {
        /// 编号 the issue's id
        issue: RecordId,
    },
    /// 解决 close an issue
    Close {
        /// 编号 the issue's id
        issue: RecordId,
        /// 解决办法 how it was solved
        resolution: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PhotoCommand {
    /// 添加 attach a photo; its picture is copied and sent by the next sync
    Attach(PhotoArgs),
    /// 列表 the photos of a visit or an issue, with their states
    List {
        #[command(flatten)]
        of: PhotoOfArg,
    },
    /// 重试 offer a declined picture again
    Retry {
        /// 图片 the picture's hash, as `photo list` shows it
        picture: ContentHash,
    },
    /// 移除 delete a picture that is damaged, or that the server declined for good
    Drop {
        /// 图片 the picture's hash, as `photo list` shows it
        picture: ContentHash,
    },
}

/// The visit or issue that a photo belongs to.
#[derive(Debug, Args)]
pub(crate) struct PhotoOfArg {
    /// 拜访 the visit's id; the open visit by default
    #[arg(long)]
    pub(crate) visit: Option<VisitId>,
    /// 问题 the issue's id
    #[arg(long, conflicts_with = "visit")]
    pub(crate) issue: Option<RecordId>,
}

#[derive(Debug, Args)]
pub(crate) struct PhotoArgs {
    /// 图片文件 the picture: JPEG, PNG, WebP or HEIC
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) of: PhotoOfArg,
    /// 拍摄内容 shelf, display, price_label, stock, storefront, problem, other
    #[arg(long, default_value = "shelf", value_parser = choice::<PhotoSubject>)]
    pub(crate) subject: PhotoSubject,
    /// 来源 in_app 现场拍摄 or chosen 相册选择
    #[arg(long, default_value = "chosen", value_parser = choice::<PhotoSource>)]
    pub(crate) source: PhotoSource,
    /// 拍摄时间 when it was taken: RFC 3339, or Unix milliseconds
    #[arg(long, value_parser = moment_ms)]
    pub(crate) taken_at: Option<i64>,
    /// 备注 a remark
    #[arg(long)]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) fix: GpsFixArgs,
}

/// The GPS fix given on the command line.
#[derive(Debug, Args)]
pub(crate) struct GpsFixArgs {
    /// 纬度 latitude in degrees, WGS-84
    #[arg(long, requires = "lon", allow_hyphen_values = true)]
    pub(crate) lat: Option<f64>,
    /// 经度 longitude in degrees, WGS-84
    #[arg(long, requires = "lat", allow_hyphen_values = true)]
    pub(crate) lon: Option<f64>,
    /// 精度 accuracy in metres
    #[arg(long, requires = "lat")]
    pub(crate) accuracy: Option<i64>,
    /// 模拟定位 the system reports a mock location
    #[arg(long, requires = "lat")]
    pub(crate) mocked: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DayCommand {
    /// 出门前检查 check the bag before leaving; an item not named is missing
    Check {
        /// 文件夹 the folder is there
        #[arg(long)]
        folder: bool,
        /// 抹布 the cloth is there
        #[arg(long)]
        cloth: bool,
        /// 美工刀 the box cutter is there
        #[arg(long)]
        knife: bool,
        /// 促销赠品 gifts taken along
        #[arg(long)]
        gifts: Option<i64>,
        /// 调换货 goods taken along for exchange
        #[arg(long)]
        exchange: Option<i64>,
        /// 备注 a note
        #[arg(long)]
        note: Option<String>,
    },
    /// 今日情况 what was done on a day
    Show {
        /// 日期 the day, 2026-11-23; today by default
        #[arg(long)]
        day: Option<Day>,
    },
    /// 日报 report today
    Report {
        /// 总结 remarks
        #[arg(long)]
        remarks: Option<String>,
        /// 单据数 papers handed in
        #[arg(long)]
        documents: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RejectedCommand {
    /// 列表 the rejected saves, with the reasons
    List,
    /// 重新提交 send a rejected save again
    Resend {
        /// 编号 such as D3-12
        id: RejectedId,
    },
    /// 丢弃 discard a rejected save
    Drop {
        /// 编号 such as D3-12
        id: RejectedId,
    },
}

/// Parses a choice by its code.
pub(crate) fn choice<T: Choice>(code: &str) -> Result<T, String> {
    T::from_code(code).ok_or_else(|| {
        let codes: Vec<_> = T::CHOICES.iter().map(|choice| choice.1).collect();
        format!("{code:?} 不在可选项中 is none of {}", codes.join(", "))
    })
}

/// Parses a moment into Unix milliseconds.
pub(crate) fn moment_ms(text: &str) -> Result<i64, String> {
    let at = text
        .parse()
        .ok()
        .or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis()));
    at.ok_or_else(|| {
        format!("{text:?} 不是时间 is no moment; write it as 2026-11-23T09:00:00+08:00, or in milliseconds")
    })
}

/// Parses the due date of an issue.
pub(crate) fn due(code: &str) -> Result<Due, String> {
    match code {
        "same_day" => Ok(Due::SameDay),
        "next_day" => Ok(Due::NextDay),
        _ => Err(format!("{code:?} 不在可选项中 is none of same_day, next_day")),
    }
}
