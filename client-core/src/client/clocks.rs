//! The device's clocks, read from the operating system.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::recorder::Moment;

/// Reads the clocks. On Linux the monotonic clock counts from boot, so that one process may open a visit and another
/// close it. Elsewhere it counts from the start of the process.
pub(super) fn system() -> Moment {
    let (mono_ms, boot) = since_boot().unwrap_or_else(since_process_start);
    Moment { now_ms: wall_ms(), mono_ms, boot }
}

fn wall_ms() -> i64 {
    // A clock before 1970 was never set. The clock grade says how far to trust it.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<(u64, [u8; 16])> {
    use std::os::unix::fs::FileExt;

    // The file stays open: each save reads it, and opening costs more than reading.
    static BOOT: OnceLock<Option<(std::fs::File, [u8; 16])>> = OnceLock::new();
    let open = || {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = uuid::Uuid::parse_str(text.trim()).ok()?.into_bytes();
        Some((std::fs::File::open("/proc/uptime").ok()?, boot))
    };
    let (uptime, boot) = BOOT.get_or_init(open).as_ref()?;
    let mut text = [0; 32];
    let length = uptime.read_at(&mut text, 0).ok()?;
    let (seconds, rest) = std::str::from_utf8(&text[..length]).ok()?.split_once('.')?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    Some((seconds.parse::<u64>().ok()? * 1000 + hundredths * 10, *boot))
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<(u64, [u8; 16])> {
    None
}

fn since_process_start() -> (u64, [u8; 16]) {
    static START: OnceLock<(Instant, [u8; 16])> = OnceLock::new();
    let (start, boot) = *START.get_or_init(|| (Instant::now(), rand::random()));
    (u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX), boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_goes_on_within_one_start() {
        let (before, after) = (system(), system());
        assert_eq!(before.boot, after.boot);
        assert!(before.mono_ms <= after.mono_ms);
        assert_eq!(
            since_boot().is_some(),
            cfg!(target_os = "linux"),
            "a start of the device has a name there"
        );
        assert!(before.now_ms > 1_700_000_000_000);
        assert!(since_process_start().0 <= since_process_start().0);
    }
}
