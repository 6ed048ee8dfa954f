//! Durations of flags, each with its unit: `30s`, `5m`, `1h 30m`.

use std::time::Duration;

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_mins(1);
/// One hour.
pub const HOUR: Duration = Duration::from_hours(1);
/// One day.
pub const DAY: Duration = Duration::from_hours(24);

/// Parses a duration.
///
/// # Errors
/// If the unit is missing or unknown. The error says how to write it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let number = text.trim();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "the unit is missing; write `{number}s` for seconds, or another unit, such as `5m`"
        ));
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number with its unit, such as `30s` or `5m`"))
}

/// Returns a parser of durations from `min` to `max`.
pub fn between(
    min: Duration,
    max: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let duration = parse(text)?;
        if (min..=max).contains(&duration) {
            return Ok(duration);
        }
        Err(format!("must be between {} and {}", print(min), print(max)))
    }
}

fn print(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_the_error_of_a_bare_number_writes_it() {
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for bare in ["30", "0", " 30 "] {
            let error = parse(bare).unwrap_err();
            let suggestion = format!("`{}s`", bare.trim());
            assert!(error.contains(&suggestion), "{error}");
        }
        for bad in [
            "",
            "-1",
            "-1s",
            "s",
            "5 minuts",
            "1e9",
            "99999999999999999999s",
        ] {
            assert!(parse(bad).unwrap_err().contains("`5m`"), "{bad}");
        }
    }

    #[test]
    fn a_duration_out_of_range_is_refused_with_the_range() {
        let parse = between(SECOND, HOUR);
        assert_eq!(parse("1s"), Ok(SECOND));
        assert_eq!(parse("60m"), Ok(HOUR));
        for bad in ["0s", "999ms", "3601s"] {
            assert_eq!(parse(bad).unwrap_err(), "must be between 1s and 1h");
        }
    }
}
