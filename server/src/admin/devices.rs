//! The device commands: inviting, listing, revoking.

use super::{CommandError, Output, person};
use crate::report::{self, Column, Format, Sheet, SheetValue, ShownIn};
use crate::server::Server;
use crate::store::Device;
use qrcode::QrCode;
use qrcode::render::unicode;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::DEFAULT_ZONE;
use xundian_protocol::ids::DeviceNo;
use xundian_protocol::invitation::Invitation;
use xundian_protocol::kinds::format::moment;

const HEADS: [Column; 12] = [
    Column { key: "device", zh: "设备", show: ShownIn::Always },
    Column { key: "person_code", zh: "工号", show: ShownIn::Always },
    Column { key: "person", zh: "姓名", show: ShownIn::Always },
    Column { key: "label", zh: "名称", show: ShownIn::Always },
    Column { key: "app", zh: "程序", show: ShownIn::Data },
    Column { key: "enrolled", zh: "注册时间", show: ShownIn::Data },
    Column { key: "certificate_until", zh: "证书有效至", show: ShownIn::Data },
    Column { key: "last_sync", zh: "最近同步", show: ShownIn::Always },
    Column { key: "captured_through", zh: "数据截至", show: ShownIn::Always },
    Column { key: "clock_offset_ms", zh: "时钟偏差毫秒", show: ShownIn::Data },
    Column { key: "applied_through", zh: "已处理序号", show: ShownIn::Data },
    Column { key: "revoked", zh: "已吊销", show: ShownIn::Always },
];

pub(super) fn invite(
    server: &Server,
    code: &str,
    valid_ms: i64,
    address: &str,
    by: &str,
    now_ms: i64,
) -> Result<Output, CommandError> {
    let id = person(server, code)?;
    // The address is checked before an invitation is created for it.
    Invitation::new(address.to_owned(), [0; 32], [0; 16])?;
    let made = server.invite(id, valid_ms, by, now_ms)?;
    let invitation = Invitation::new(address.to_owned(), made.authority_fingerprint, made.secret)?;
    let text = invitation.to_string();
    let until = moment(now_ms.saturating_add(valid_ms), DEFAULT_ZONE);
    let name = server.directory().person(id).map_or_else(String::new, |entry| entry.name.clone());
    let notes = format!(
        "{}invitation for {code} {name} to {address}, for one device, until {until}\n",
        qr_code(&text).unwrap_or_default()
    );
    Ok(Output { data: format!("{text}\n"), notes, ..Default::default() })
}

/// The text as a QR code of half blocks, dark on light as scanners expect. An invitation may be read in upper case,
/// which takes fewer modules.
fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::new(text.to_uppercase()).ok()?;
    // Terminals are mostly dark, so the light modules are drawn.
    let mut drawn = code.render::<unicode::Dense1x2>();
    drawn.dark_color(unicode::Dense1x2::Light).light_color(unicode::Dense1x2::Dark);
    Some(format!("{}\n", drawn.build()))
}

pub(super) fn list(server: &Server, format: Format) -> Result<Output, CommandError> {
    let directory = server.directory();
    let devices = server.devices()?;
    let sheet = Sheet {
        name: "devices",
        title: format!("设备 ({})", devices.len()),
        days: None,
        heads: HEADS.to_vec(),
        rows: devices.iter().map(|device| row(&directory, device)).collect(),
        total: None,
        completeness: None,
    };
    Ok(Output { data: report::write(&sheet, format, false), ..Default::default() })
}

fn row(directory: &Directory, device: &Device) -> Vec<SheetValue> {
    let person = directory.person(device.person);
    let at = |ms: Option<i64>| ms.map_or(SheetValue::Empty, |ms| moment(ms, DEFAULT_ZONE).into());
    vec![
        SheetValue::Int(i64::from(device.no.0)),
        person.map_or_else(|| device.person.to_string().into(), |entry| entry.code.as_str().into()),
        person.map_or(SheetValue::Empty, |entry| entry.name.as_str().into()),
        device.label.as_str().into(),
        device.app.as_str().into(),
        at(Some(device.enrolled_at_ms)),
        at(Some(device.certificate_not_after_ms)),
        at(device.last_sync_ms),
        at(device.captured_through_ms),
        device.clock_offset_ms.into(),
        SheetValue::Int(device.applied_through.0.cast_signed()),
        at(device.revoked_at_ms),
    ]
}

pub(super) fn revoke(server: &Server, device: u32, by: &str, now_ms: i64) -> Result<Output, CommandError> {
    let no = DeviceNo(device);
    server.revoke(no, by, now_ms)?;
    Ok(Output {
        notes: format!("device {device} is revoked: its sessions end and it may not come in again\n"),
        ..Default::default()
    })
}
