//! Times on the command line: RFC 3339, or an offset from now.

use dateline_record::timestamp::timestamp;
use prost_types::Timestamp;
use time::{
    Date, Duration, OffsetDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// Reads `2026-08-01T06:00:00Z`, `+30m`, `+2h`, `-3d`.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let now = OffsetDateTime::now_utc();
    let time = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        // Rounded up to whole seconds: not shorter than the span given.
        (Some(span), _) => duration(span).and_then(|span| {
            let second = now.replace_nanosecond(0).ok()? + Duration::SECOND;
            second.checked_add(span)
        }),
        (_, Some(span)) => duration(span).and_then(|span| now.checked_sub(span)),
        (None, None) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    let time = time.ok_or_else(|| {
        "a time is written 2026-08-01T06:00:00Z, with its offset from UTC; so long from now: +30m, +2h, +3d; so long ago: -3d"
            .to_owned()
    })?;
    Ok(timestamp(time))
}

/// Like [`parse`], and also a day, which means its beginning in UTC: `2026-08-01`, `today`, `yesterday`.
pub fn parse_point(text: &str) -> Result<Timestamp, String> {
    let today = OffsetDateTime::now_utc().date();
    let day = match text {
        "today" => Some(today),
        "yesterday" => today.previous_day(),
        text => Date::parse(text, format_description!("[year]-[month]-[day]")).ok(),
    };
    match day {
        Some(day) => Ok(timestamp(day.midnight().assume_utc())),
        None => parse(text)
            .map_err(|error| format!("{error}; a day in UTC: 2026-08-01, today, yesterday")),
    }
}

/// Like [`parse_point`], but rejects times in the future.
pub fn parse_past(text: &str) -> Result<Timestamp, String> {
    let time = parse_point(text)?;
    if is_past(&time) {
        return Ok(time);
    }
    Err("this time has not come yet; so long ago is written -2h, -3d".to_owned())
}

/// True if the time has passed.
pub fn is_past(time: &Timestamp) -> bool {
    time.seconds <= OffsetDateTime::now_utc().unix_timestamp()
}

/// Formats a time to the second, in UTC.
pub fn format_time(time: &Timestamp) -> String {
    let time = Timestamp {
        seconds: time.seconds,
        nanos: 0,
    };
    time.to_string().replace('T', " ").replace('Z', " UTC")
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
    use super::{parse, parse_past};

    #[test]
    fn a_time_is_rfc_3339_or_so_long_from_now_or_ago() {
        assert_eq!(
            parse("2026-08-01T06:00:00Z").unwrap().seconds,
            1_785_564_000
        );
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let days = parse("+3d").unwrap().seconds - now;
        assert!((259_200..259_211).contains(&days), "{days}");
        let ago = now - parse_past("-3d").unwrap().seconds;
        assert!((259_190..=259_200).contains(&ago), "{ago}");
        assert!(parse_past("+1h").is_err());
        assert_eq!(parse("+2h").unwrap().nanos, 0, "people mean seconds");
        let midnight = now - now.rem_euclid(86_400);
        assert_eq!(parse_past("today").unwrap().seconds, midnight);
        assert_eq!(parse_past("yesterday").unwrap().seconds, midnight - 86_400);
        assert_eq!(parse_past("2026-08-01").unwrap().seconds, 1_785_542_400);
        for bad in ["2026-13-01", "last week", "2999-01-01"] {
            assert!(parse_past(bad).is_err(), "{bad}");
        }
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
            "-",
            "--2h",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
