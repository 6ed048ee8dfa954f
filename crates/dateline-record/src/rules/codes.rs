//! Strings of external standards: languages (`language`), regions, URLs, dates. Errors give the correct form. The code
//! lists are those of the crates; nothing is requested over a network.

use rust_iso3166::{from_alpha2, from_alpha3, iso3166_2};
use url::Url;

use super::language;
use crate::{edtf, walk::StringFormat};

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// Kosovo: used by the EU, the IMF and others; ISO leaves the code free for such use.
const KOSOVO: &str = "XK";

/// Checks a string by its format. An empty string is valid.
///
/// # Errors
/// The fault and the correct form.
pub fn check(format: StringFormat, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    match format {
        StringFormat::Unspecified => Ok(()),
        StringFormat::Language => language::check(value),
        StringFormat::Region => region(value),
        StringFormat::Subdivision => subdivision(value),
        StringFormat::Url => url(value),
        StringFormat::Edtf => edtf::parse(value)
            .map(drop)
            .map_err(|error| error.to_string()),
    }
}

/// Checks an assigned code of ISO 3166-1, or Kosovo's.
fn region(value: &str) -> Result<(), String> {
    if is_region(value) {
        return Ok(());
    }
    let upper = value.to_ascii_uppercase();
    let meant = match upper.as_str() {
        "UK" => Some("GB".to_owned()),
        upper if is_region(upper) => Some(upper.to_owned()),
        upper => from_alpha3(upper).map(|region| region.alpha2.to_owned()),
    };
    let what = "is not an ISO 3166-1 code of two capital letters, like KZ";
    Err(match meant {
        Some(code) => format!("{what}; write {code}"),
        None => what.to_owned(),
    })
}

fn is_region(value: &str) -> bool {
    value == KOSOVO || from_alpha2(value).is_some()
}

/// Checks an assigned code of ISO 3166-2.
fn subdivision(value: &str) -> Result<(), String> {
    if iso3166_2::from_code(value).is_some() {
        return Ok(());
    }
    let upper = value.to_ascii_uppercase();
    let what = "is not an ISO 3166-2 code, like US-FL";
    Err(if iso3166_2::from_code(&upper).is_some() {
        format!("{what}; write {upper}")
    } else {
        what.to_owned()
    })
}

/// Checks a code of a region or subdivision in a filter.
///
/// # Errors
/// The fault and the correct form.
pub fn region_or_subdivision(value: &str) -> Result<(), String> {
    if value.contains('-') {
        subdivision(value)
    } else {
        region(value)
    }
}

/// Checks an absolute URL for people to open. It is stored unchanged and never fetched.
fn url(value: &str) -> Result<(), String> {
    if value.len() > MAX_URL_BYTES {
        return Err(format!(
            "is {} bytes long; at most {MAX_URL_BYTES} are allowed",
            value.len()
        ));
    }
    if is_web_url(value) {
        Ok(())
    } else {
        Err(
            "must be an absolute http or https URL without user name or password, \
             like https://example.org/story"
                .to_owned(),
        )
    }
}

/// The parser accepts what browsers do (spaces, backslashes, missing slashes); other readers may not.
fn is_web_url(value: &str) -> bool {
    let authority = ["http://", "https://"].iter().find_map(|scheme| {
        let head = value.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme)
            .then(|| &value[scheme.len()..])
    });
    let Some(rest) = authority else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty()
        && !authority.contains('@')
        && !value.contains(|found: char| found.is_whitespace() || found == '\\')
        && Url::parse(value).is_ok_and(|url| url.has_host() && url.username().is_empty())
}
