//! The two commands for a damaged device.

use std::path::Path;

use serde_json::json;
use xundian_client::StoreKey;

use super::CliError;
use super::output::Output;

pub(super) fn rescue(
    home: &Path,
    key: Option<&StoreKey>,
    into: &Path,
    output: Output,
) -> Result<(), CliError> {
    let report = xundian_client::rescue(home, key, into)?;
    let json = json!({
        "unsent": report.unsent,
        "rejected": report.rejected,
        "confirmed": report.confirmed,
        "pictures": report.pictures,
        "unreadable": report.unreadable,
        "losses": report.losses,
        "file": into.display().to_string(),
    });
    let mut human = format!(
        "已抢救至 rescued into {}：待发送 unsent {}，被拒绝 rejected {}，已确认 confirmed {}，图片 pictures {}，无法解读 unreadable {}",
        into.display(),
        report.unsent,
        report.rejected,
        report.confirmed,
        report.pictures,
        report.unreadable
    );
    for loss in &report.losses {
        human.push_str(&format!("\n缺失 missing: {loss}"));
    }
    Ok(output.answer(&json, human)?)
}

pub(super) fn set_aside(home: &Path, output: Output) -> Result<(), CliError> {
    let aside = xundian_client::set_aside(home)?;
    let human = format!("已搁置 set aside in {}；请重新注册 now enrol anew", aside.display());
    Ok(output.answer(&json!({ "aside": aside.display().to_string() }), human)?)
}
