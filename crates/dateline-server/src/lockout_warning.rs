//! Warns while nobody can authenticate, and before the last admin token expires, with the command that helps.

use std::{sync::Arc, time::Duration};

use dateline_access::Authenticator;
use dateline_store::{Store, TokenExpiries};
use time::OffsetDateTime;

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// Number of checks after which a warning is repeated.
const CHECKS_PER_WARNING: u32 = 60;
/// Remaining lifetime of the last admin token below which a warning is logged.
const EXPIRY_WARNING_PERIOD: time::Duration = time::Duration::days(7);

/// Checks at every interval, without end.
pub async fn watch(store: Store, authenticator: Arc<Authenticator>) {
    let mut warned: Option<(&str, u32)> = None;
    loop {
        // While the database is unavailable nothing is known.
        if let Ok(ends) = store.token_expiries().await {
            let now = OffsetDateTime::now_utc();
            warned = warning(ends, authenticator.needs_tokens(), now).map(|what| {
                let checks = warned.filter(|(before, _)| *before == what);
                let checks = checks.map_or(0, |(_, checks)| checks + 1);
                if checks.is_multiple_of(CHECKS_PER_WARNING) {
                    tracing::warn!("{what}");
                }
                (what, checks)
            });
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

fn warning(ends: TokenExpiries, needs_tokens: bool, now: OffsetDateTime) -> Option<&'static str> {
    if !needs_tokens {
        return None;
    }
    match (ends.admin, ends.any) {
        (None, None) => Some(
            "nobody can enter: callers need credentials, and there are none. Start with `dateline serve \
             --bootstrap-token-file FILE`, or DATELINE_BOOTSTRAP_TOKEN_FILE=FILE: it makes a token for an admin and writes \
             it to FILE",
        ),
        (None, Some(_)) => Some(
            "nobody can make tokens: no token of an admin holds. Start with `dateline serve --bootstrap-token-file FILE`, \
             or DATELINE_BOOTSTRAP_TOKEN_FILE=FILE: it makes one and writes it to FILE",
        ),
        (Some(end), _) if end - now < EXPIRY_WARNING_PERIOD => Some(
            "the last token of an admin expires within 7 days. Make another while it holds: `dateline token create \
             --role admin --expires +1y --token-file FILE`",
        ),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_locked_out_or_soon_will_be_is_told_what_helps() {
        let now = OffsetDateTime::now_utc();
        let days = |days| Some(now + time::Duration::days(days));
        for (admin, any, words) in [
            (None, None, Some("nobody can enter")),
            (None, days(1), Some("nobody can make tokens")),
            (days(6), days(30), Some("expires within 7 days")),
            (days(8), days(8), None),
        ] {
            let told = warning(TokenExpiries { admin, any }, true, now);
            assert_eq!(told.is_some(), words.is_some());
            assert!(told.unwrap_or_default().contains(words.unwrap_or_default()));
            assert_eq!(warning(TokenExpiries { admin, any }, false, now), None);
        }
    }
}
