//! Times as they are typed: RFC 3339, or so long from now.

use prost_types::Timestamp;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::model::change::timestamp;

/// Reads `2026-08-01T06:00:00Z`, `+30m`, `+2h`, `+3d`.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let time = match text.strip_prefix('+') {
        Some(span) => duration(span)
            .and_then(|span| OffsetDateTime::now_utc().checked_add(span))
            .ok_or_else(|| "so long from now is written +30m, +2h or +3d".to_owned()),
        None => OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            "a time is written 2026-08-01T06:00:00Z, with its offset from UTC; from now on: +2h, +3d"
                .to_owned()
        }),
    }?;
    Ok(timestamp(time))
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        'm' => Some(Duration::minutes(count.into())),
        'h' => Some(Duration::hours(count.into())),
        'd' => Some(Duration::days(count.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_time_is_rfc_3339_or_so_long_from_now() {
        assert_eq!(
            parse("2026-08-01T06:00:00Z").unwrap().seconds,
            1_785_564_000
        );
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let days = parse("+3d").unwrap().seconds - now;
        assert!((259_200..259_210).contains(&days), "{days}");
        for bad in [
            "",
            "+",
            "+2",
            "+2w",
            "+-2h",
            "tomorrow",
            "2026-08-01",
            "+99999999999d",
            "+é",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
