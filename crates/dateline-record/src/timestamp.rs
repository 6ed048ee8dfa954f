//! Conversion between protobuf's timestamps and instants of the `time` crate.

use time::OffsetDateTime;

/// Returns the instant of a protobuf timestamp; `None` if it is invalid or outside the years 0001 to 9999 of protobuf.
#[must_use]
pub fn instant(time: prost_types::Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(time.nanos).ok()?;
    let second = OffsetDateTime::from_unix_timestamp(time.seconds).ok()?;
    second
        .replace_nanosecond(nanos)
        .ok()
        .filter(|at| at.year() >= 1)
}

/// Returns the protobuf timestamp of an instant.
#[must_use]
pub fn timestamp(at: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).unwrap_or(0),
    }
}
