//! The `verify` command, with and without repair.

use super::{Command, CommandError, Output};
use crate::photos::Photos;
use crate::report::{self, Column, Sheet, SheetValue, ShownIn};
use crate::server::Server;
use crate::verify::{Mended, VerifyReport};
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::task::spawn_blocking;

const HEADS: [Column; 8] = [
    Column { key: "records", zh: "记录", show: ShownIn::Always },
    Column { key: "cells", zh: "指标单元", show: ShownIn::Always },
    Column { key: "stock_entries", zh: "库存明细", show: ShownIn::Always },
    Column { key: "traces", zh: "追溯", show: ShownIn::Always },
    Column { key: "pictures_stored", zh: "图片", show: ShownIn::Always },
    Column { key: "pictures_missing", zh: "未到图片", show: ShownIn::Always },
    Column { key: "pictures_damaged", zh: "损坏图片", show: ShownIn::Always },
    Column { key: "findings", zh: "不一致", show: ShownIn::Always },
];
const MENDED: Column = Column { key: "mended", zh: "已修复", show: ShownIn::Always };

pub(super) async fn run(
    server: Arc<Server>,
    photos: &Arc<Photos>,
    command: Command,
    by: String,
    now_ms: i64,
) -> Result<Output, CommandError> {
    let Command::Verify { format, pictures, repair_views } = command else { return Ok(Output::default()) };
    let mut notes = String::new();
    let (mut left, mended) = if repair_views {
        let report = spawn_blocking(move || server.repair_views(&by, now_ms)).await??;
        list(&mut notes, "不一致 (did not agree)", &report.found);
        (report.left, Some(report.mended))
    } else {
        (spawn_blocking(move || server.verify()).await??, None)
    };
    photos.check(pictures, &mut left).await?;
    if let Some(mended) = mended {
        _ = writeln!(notes, "已修复 (mended): {mended}");
        list(&mut notes, "仍不一致 (still does not agree)", &left);
    } else {
        notes.extend(left.findings.iter().map(|finding| format!("{finding}\n")));
    }
    let data = report::write(&sheet(&left, mended), format, false);
    Ok(Output { data, notes, failed: !left.is_clean(), bad_rows_csv: None })
}

fn list(notes: &mut String, what: &str, report: &VerifyReport) {
    for finding in &report.findings {
        _ = writeln!(notes, "{what}: {finding}");
    }
}

/// One row: what was compared, at the end.
fn sheet(left: &VerifyReport, mended: Option<Mended>) -> Sheet {
    let title =
        if left.is_clean() { "核对一致 (all agree)" } else { "核对不一致 (they do not agree)" };
    let counts = [
        left.records,
        left.cells,
        left.stock_entries,
        left.provenance,
        left.pictures_stored,
        left.pictures_missing,
        left.pictures_damaged,
        left.findings.len(),
    ];
    let count = |count: usize| SheetValue::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let mended = mended.map(|mended| mended.total());
    Sheet {
        name: "verify",
        title: title.into(),
        days: None,
        heads: HEADS.into_iter().chain(mended.map(|_| MENDED)).collect(),
        rows: vec![counts.into_iter().chain(mended).map(count).collect()],
        total: None,
        completeness: None,
    }
}
