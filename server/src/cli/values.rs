//! Values of arguments.

/// Parses a duration such as 7d, 12h or 30m into milliseconds.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || "write it as 7d, 12h or 30m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit_ms: i64 = match unit {
        "d" => 24 * 3_600_000,
        "h" => 3_600_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let ms = number.checked_mul(unit_ms).filter(|ms| *ms > 0);
    ms.ok_or_else(|| "a length of time must be above zero and not absurdly long".into())
}

/// Parses a device's number, with or without its D.
pub(super) fn device_no(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['D', 'd']).unwrap_or(text);
    digits.parse().map_err(|_| "a device's number is what `devices` lists, such as 3 or D3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration_ms("7d"), Ok(604_800_000));
        assert_eq!(duration_ms("30m"), Ok(1_800_000));
        for wrong in ["", "d", "7", "0d", "-1h", "7日", "9999999999999999d"] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn device_numbers() {
        assert_eq!((device_no("D3"), device_no("3")), (Ok(3), Ok(3)));
        assert!(device_no("three").is_err());
    }
}
