//! The two commands that need the server.

use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};
use xundian_client::{Client, PhotoReport, StoreKey, SyncProgress};

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

pub(super) fn sync(client: &Client, has_photos: bool, output: Output) -> Result<(), CliError> {
    let bar = progress_bar(output);
    let told = |progress: SyncProgress| {
        show(&bar, progress);
        bar.set_message(format!("{} 条接收 pulled{}", progress.records_pulled, photos_text(progress)));
    };
    let report = block_on(async {
        if has_photos { client.sync(told).await } else { client.sync_records(told).await }
    })?;
    bar.finish_and_clear();
    let report = report?;
    let json = json!({
        "merged": report.merged,
        "rejected": report.rejected,
        "records_pulled": report.records_pulled,
        "records_repaired": report.records_repaired,
        "homes_added": report.homes_added,
        "homes_dropped": report.homes_dropped,
        "captured_through_ms": report.captured_through_ms,
        "unsent_ops": report.unsent_ops,
        "photos": photos_json(report.photos),
    });
    let mut human = format!(
        "同步完成 synced：已确认 confirmed {}，被拒绝 rejected {}，已接收 pulled {}；数据已齐至 complete up to {}",
        report.merged,
        report.rejected,
        report.records_pulled,
        time_text(report.captured_through_ms)
    );
    human.push_str(&photos_outcome(report.photos));
    if report.records_repaired > 0 {
        _ = write!(human, "；已修复本机损坏的记录 repaired {}", report.records_repaired);
    }
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

pub(super) fn send_photos(client: &Client, output: Output) -> Result<(), CliError> {
    let bar = progress_bar(output);
    let report = block_on(client.send_photos(|progress| {
        show(&bar, progress);
        bar.set_message(photos_text(progress));
    }))?;
    bar.finish_and_clear();
    let report = report?;
    let human = format!("上传完成 sent；未接收新数据 nothing was fetched{}", photos_outcome(report));
    Ok(output.answer(&photos_json(report), human)?)
}

fn photos_json(report: PhotoReport) -> Json {
    json!({
        "stored": report.stored,
        "declined": report.declined,
        "damaged": report.damaged,
        "bytes_sent": report.bytes_sent,
        "waiting": report.waiting,
    })
}

/// The outcome of the pictures, if there were any.
fn photos_outcome(report: PhotoReport) -> String {
    let PhotoReport { stored, declined, damaged, waiting, .. } = report;
    if stored + declined + damaged + waiting == 0 {
        return String::new();
    }
    let mut text = format!("；图片已上传 pictures sent {stored}，待上传 waiting {waiting}");
    if declined + damaged > 0 {
        text.push_str(&format!("，被拒绝 declined {declined}，已损坏 damaged {damaged}"));
        text.push_str("\n请查看照片 see `xundian photo list`");
    }
    text
}

/// The progress of the pictures, if there are any.
fn photos_text(progress: SyncProgress) -> String {
    let SyncProgress { photo_bytes_done, photo_bytes_total, .. } = progress;
    if photo_bytes_total == 0 {
        return String::new();
    }
    format!(" 图片 pictures {}/{} KiB", photo_bytes_done / 1024, photo_bytes_total.div_ceil(1024))
}

fn show(bar: &ProgressBar, progress: SyncProgress) {
    bar.set_length(progress.ops_total);
    bar.set_position(progress.ops_done);
}

fn progress_bar(output: Output) -> ProgressBar {
    if output.json {
        return ProgressBar::hidden();
    }
    // The bar is drawn on the standard error, and only if that is a terminal.
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
