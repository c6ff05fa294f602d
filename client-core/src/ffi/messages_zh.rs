//! The errors' messages in Chinese: what is wrong, and what to do. The English messages are with the errors' types.

use xundian_protocol::kinds::{Choice, spec, spec_by_code};
use xundian_protocol::limits::PHOTO_BYTES_MAX;
use xundian_protocol::wire::v1::Refusal;

use super::error_code::ErrorCode;
use crate::client::SyncError;
use crate::errors::RecordError;
use crate::store::StoreError;

/// Why a save was not recorded.
pub(super) fn record(error: &RecordError) -> String {
    match error {
        RecordError::NoSuchOutlet { name } => format!("本机没有门店“{name}”：请核对编码，或先同步"),
        RecordError::OutletNotInScope { name } => {
            format!("门店 {name} 不在您的范围内：请向上级确认是否已分配给您")
        }
        RecordError::NoSuchVisit { visit } => format!("本机没有拜访 {visit}：请核对编号"),
        RecordError::VisitClosed { visit } => format!("拜访 {visit} 已结束：如需补充，请重新进店"),
        RecordError::AlreadyOpen { visit, .. } => {
            format!("拜访 {visit} 尚未结束：请先离店或中止该拜访")
        }
        RecordError::NoOpenVisit => "当前没有进行中的拜访：请先进店".into(),
        RecordError::NoSuchRecord { key } => {
            let kind = spec(key.kind).map_or("记录", |spec| spec.label.zh);
            format!("本机没有{kind} {}：请先同步，或核对编号", key.id)
        }
        RecordError::NoSuchRejected { id } => format!("没有被拒记录 {id}：请刷新列表"),
        RecordError::IssueState { state } => {
            format!("该问题的状态已是“{}”，不能再做这一步：如仍有问题，请另提一个", state.label().zh)
        }
        RecordError::UnknownZone { zone } => {
            format!("时区“{zone}”无法识别：请更正门店时区（如 Asia/Shanghai）")
        }
        RecordError::EndsBeforeItBegins { .. } => "离店时间早于进店时间：请更正时间".into(),
        RecordError::Empty { kind } => format!("{}没有内容：请至少填写一行", label(kind)),
        RecordError::Invalid { invalid } => format!("填写的内容不符合要求（{invalid}）：请更正后再保存"),
        RecordError::CorrectedOnly { kind } => format!("{}不能修改：请新建一条来更正", label(kind)),
        RecordError::HeadquartersOnly { kind } => format!("{}不能在设备上修改：请联系总部更改", label(kind)),
        RecordError::OtherKind { id, of, form } => {
            format!("被拒记录 {id} 是{}，表单却是{}：请用同类表单更正", label(of), label(form))
        }
        RecordError::ConflictSettled { decision, .. } => {
            format!("该冲突已处理（{}）：如另一个值才正确，请直接修改记录", decision.label().zh)
        }
        RecordError::NoPicture => code(ErrorCode::PhotoForm).into(),
        RecordError::PictureTooLarge { bytes } => {
            let (is, max) = (megabytes(*bytes), megabytes(PHOTO_BYTES_MAX));
            format!("图片有 {is} MB，最大 {max} MB：请压缩后再添加")
        }
        RecordError::PictureUnreadable { path, .. } => {
            format!("无法读取图片文件 {}：请检查路径和权限", path.display())
        }
        RecordError::PicturesFull { pictures, bytes } => {
            let is = megabytes(*bytes);
            format!("有 {pictures} 张图片（{is} MB）尚未上传，已达上限：请先同步图片再添加")
        }
        RecordError::PhotoTooLate { day, .. } => {
            format!("{day} 的拜访已结束，只能在当天补充照片：请添加到新的拜访或问题中")
        }
        RecordError::Photo(_) => code(ErrorCode::PhotoFolder).into(),
        RecordError::NotEnrolled => code(ErrorCode::NotEnrolled).into(),
        RecordError::Store(error) => store(ErrorCode::StoreBroken, error),
    }
}

/// A kind's label.
fn label(kind: &str) -> &str {
    spec_by_code(kind).map_or(kind, |spec| spec.label.zh)
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

/// Why the store failed.
pub(super) fn store(of: ErrorCode, error: &StoreError) -> String {
    match of {
        ErrorCode::StoreBroken | ErrorCode::StoreDisk => format!("{}（{error}）", code(of)),
        _ => code(of).into(),
    }
}

/// Why a sync failed.
pub(super) fn sync(of: ErrorCode, error: &SyncError) -> String {
    match error {
        SyncError::Address { address, .. } => {
            format!("找不到服务器地址 {address}：请检查网络后再同步")
        }
        _ => code(of).into(),
    }
}

/// The message of a code without particulars.
pub(super) const fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Argument => "参数不正确：请反馈给应用的开发者",
        ErrorCode::ClientClosed => "客户端已关闭：请重新打开",
        ErrorCode::Backgrounded => "应用进入后台，操作已中断：请再试一次，已完成的部分不会丢失",
        ErrorCode::Internal => "程序内部错误：请连同应用版本一起反馈",
        ErrorCode::NotEnrolled => "本设备尚未注册：请用上级发给您的邀请码注册",
        ErrorCode::OutletUnknown => "本机没有该门店：请核对编码，或先同步",
        ErrorCode::OutletOutOfScope => "该门店不在您的范围内：请向上级确认",
        ErrorCode::VisitUnknown => "本机没有该拜访：请核对编号",
        ErrorCode::VisitClosed => "该拜访已结束：如需补充，请重新进店",
        ErrorCode::VisitStillOpen => "还有拜访未结束：请先离店或中止",
        ErrorCode::NoOpenVisit => "当前没有进行中的拜访：请先进店",
        ErrorCode::RecordUnknown => "本机没有该记录：请先同步，或核对编号",
        ErrorCode::RejectedUnknown => "没有该被拒记录：请刷新列表",
        ErrorCode::IssueState => "该问题当前的状态不允许此操作：请刷新后再看它的状态",
        ErrorCode::ZoneUnknown => "时区无法识别：请更正门店时区",
        ErrorCode::TimesReversed => "离店时间早于进店时间：请更正时间",
        ErrorCode::FormEmpty => "没有内容：请至少填写一行",
        ErrorCode::FormInvalid => "填写的内容不符合要求：请更正后再保存",
        ErrorCode::NotEdited => "此类记录不能在设备上修改：请新建一条来更正，或联系总部",
        ErrorCode::ConflictSettled => "该冲突已处理：如另一个值才正确，请直接修改记录",
        ErrorCode::PhotoForm => "不是可识别的图片（支持 JPEG、PNG、WebP、HEIC）：请重新选择",
        ErrorCode::PhotoTooLarge => "图片过大：请压缩后再添加",
        ErrorCode::PhotoUnreadable => "无法读取图片文件：请检查路径和权限",
        ErrorCode::PhotosFull => "待上传的图片已达上限：请先同步图片再添加",
        ErrorCode::PhotoTooLate => "该拜访已结束且已过当天：请把照片添加到新的拜访或问题中",
        ErrorCode::PhotoNotHere => "本机没有这张图片（由其他设备拍摄，或已上传后移除）：请在后台查看",
        ErrorCode::PhotoDamaged => "这张图片在本机已损坏：请重新添加同一张图片",
        ErrorCode::PhotoNeeded => "这张图片仍会上传，或服务器已有：只能移除已损坏或被服务器拒收的图片",
        ErrorCode::PhotoFolder => "图片暂时无法读写：请检查存储空间和权限，稍后再试",
        ErrorCode::StoreInUse => "本地数据正被另一个程序使用：请先关闭它",
        ErrorCode::StoreKey => {
            "密钥与本地数据不符：请使用该文件夹现在的密钥（未加密的文件夹不带密钥打开），勿删除数据文件夹"
        }
        ErrorCode::StoreFull => "待发送的记录已达上限：请先同步再继续记录",
        ErrorCode::StoreDisk => "本地数据暂时无法读写：请检查存储空间和权限、解锁手机后再试",
        ErrorCode::StoreNewer => "本地数据由更新版本的应用写入：请更新应用，数据没有变动",
        ErrorCode::StoreBroken => "本地数据已损坏：请保留数据文件夹并反馈，其中的记录可以抢救",
        ErrorCode::IdentityBroken => "本设备的密钥或证书已损坏：请用新的邀请码重新注册，未发送的记录会保留",
        ErrorCode::NoStore => "该文件夹中没有设备数据：请使用应用打开的文件夹",
        ErrorCode::RescueFile => "无法建立或写入抢救文件：请检查路径、权限和存储空间，原数据没有变动",
        ErrorCode::SyncRunning => "正在同步：请等待完成",
        ErrorCode::Connection => "无法连接服务器：请检查网络，稍后再试",
        ErrorCode::ConnectionRefused => "连接被拒绝，证书不匹配：请向上级索取新的邀请码",
        ErrorCode::DeviceDate => "本机时间与服务器证书不符：请校正日期和时间；如无误，请总部重启服务器",
        ErrorCode::ServerAddress => "找不到服务器地址：请检查网络后再同步",
        ErrorCode::ServerSilent => "服务器没有应答：请一分钟后再同步",
        ErrorCode::SessionEnded => "同步未完成就中断了：请再次同步",
        ErrorCode::ServerUnreadable => "无法识别服务器的应答：请更新应用，或联系总部更新服务器",
        ErrorCode::DeviceRestored => {
            "本机数据是从备份恢复或复制的：请向上级索取新的邀请码重新注册，未发送的记录会保留"
        }
        ErrorCode::ServerRestored => {
            "服务器是从过旧的备份恢复的：请保持本设备不变并通知总部，本机数据没有丢失"
        }
        ErrorCode::InvitationMalformed => "邀请码不完整或有误：请重新完整复制",
        ErrorCode::InvitationRefused => {
            "服务器没有接受邀请码，可能无效、已使用、已过期或属于另一位员工：请向上级确认"
        }
        ErrorCode::LabelTooLong => "设备名称过长：请改用较短的名称",
        ErrorCode::OtherPerson => "此文件夹属于另一位员工的设备：请换一个文件夹，以免工作混在一起",
        ErrorCode::DeviceRevoked => "本设备已被停用：请联系上级",
        ErrorCode::DeviceUnknown => "服务器不认识本设备：请向上级索取新的邀请码，未发送的记录会保留",
        ErrorCode::VersionRefused => "版本不兼容：请更新应用，或联系总部更新服务器，本机数据不会丢失",
        ErrorCode::ServerUnavailable => "服务器暂时不可用：请稍后再试",
        ErrorCode::ServerRefused => "服务器拒绝了请求：请连同应用版本一起反馈",
    }
}

/// Why the server rejected a save.
pub(super) const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Protocol => "请求不符合协议",
        Refusal::Version => "版本不兼容",
        Refusal::Unauthenticated => "设备身份未通过验证",
        Refusal::Revoked => "设备已被停用",
        Refusal::Invitation => "邀请码无效",
        Refusal::Unavailable => "服务器暂时不可用",
        Refusal::OutOfScope => "记录不在您的范围内",
        Refusal::NotAWriter => "您的岗位不能填写此类记录",
        Refusal::Invalid => "内容不符合要求",
        Refusal::OtherHome => "记录属于另一个门店或人员",
        Refusal::NotTheAuthor => "记录由他人填写，只能另行更正",
        Refusal::UnknownKind => "服务器尚不支持此类记录，已代为保留：服务器更新后请重新发送",
        Refusal::Cloned => "本机数据是从备份恢复或复制的",
        Refusal::UnknownDevice => "服务器不认识这台设备",
        Refusal::Unnamed => "服务器没有这张照片的记录",
        Refusal::Other => "服务器给出了新的原因，请更新应用查看",
    }
}
