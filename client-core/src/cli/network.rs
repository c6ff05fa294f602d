//! The two commands that need the server.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use xundian_client::{Client, StoreKey, SyncProgress};

use super::CliError;
use super::output::{Output, time_text};

const SEE_REJECTED: &str = "\n请查看被拒记录 see `xundian rejected list`";

pub(super) fn enrol(
    home: &Path,
    key: Option<&StoreKey>,
    invitation: &str,
    label: &str,
    output: Output,
) -> Result<(), CliError> {
    let client = match key {
        Some(key) => block_on(Client::enrol_with_key(home, key, invitation, label))??,
        None => block_on(Client::enrol(home, invitation, label))??,
    };
    let Some(identity) = client.identity() else { return Ok(()) };
    let json = json!({
        "device": identity.device.0,
        "person": identity.person.to_string(),
        "person_name": identity.person_name,
        "server": identity.server,
    });
    let human = format!(
        "设备 {} 已注册 enrolled for {} @ {}；请同步 now run sync",
        identity.device, identity.person_name, identity.server
    );
    Ok(output.answer(&json, human)?)
}

pub(super) fn sync(client: &Client, output: Output) -> Result<(), CliError> {
    let bar = progress_bar(output);
    let report = block_on(client.sync(|progress| {
        show(&bar, progress);
        bar.set_message(format!("{} 条接收 pulled", progress.records_pulled));
    }))?;
    bar.finish_and_clear();
    let report = report?;
    let json = json!({
        "merged": report.merged,
        "rejected": report.rejected,
        "records_pulled": report.records_pulled,
        "homes_added": report.homes_added,
        "homes_dropped": report.homes_dropped,
        "captured_through_ms": report.captured_through_ms,
        "unsent_ops": report.unsent_ops,
    });
    let mut human = format!(
        "同步完成 synced：已确认 confirmed {}，被拒绝 rejected {}，已接收 pulled {}；数据已齐至 complete up to {}",
        report.merged,
        report.rejected,
        report.records_pulled,
        time_text(report.captured_through_ms)
    );
    if report.rejected > 0 {
        human.push_str(SEE_REJECTED);
    }
    Ok(output.answer(&json, human)?)
}

pub(super) fn push(client: &Client, output: Output) -> Result<(), CliError> {
    let bar = progress_bar(output);
    let report = block_on(client.push(|progress| show(&bar, progress)))?;
    bar.finish_and_clear();
    let report = report?;
    let json = json!({
        "merged": report.merged,
        "rejected": report.rejected,
        "unsent_ops": report.unsent_ops,
    });
    let mut human = format!(
        "上传完成 sent：已确认 confirmed {}，被拒绝 rejected {}；未接收新数据 nothing was fetched",
        report.merged, report.rejected
    );
    if report.rejected > 0 {
        human.push_str(SEE_REJECTED);
    }
    Ok(output.answer(&json, human)?)
}

fn show(bar: &ProgressBar, progress: SyncProgress) {
    bar.set_length(progress.ops_total);
    bar.set_position(progress.ops_done);
}

fn progress_bar(output: Output) -> ProgressBar {
    if output.json {
        return ProgressBar::hidden();
    }
    // It draws on the standard error, and only where that is a terminal.
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("同步 sync [{bar:30}] {pos}/{len} {msg} {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    Ok(runtime.block_on(work))
}
