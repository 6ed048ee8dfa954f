//! Values that the `followthemoney` library accepts. It silently drops or refuses others when it reads a file.

use std::net::IpAddr;

use time::{Date, Month};
use url::Url;

/// Languages that the library accepts, by ISO 639-3; the list is its own.
const LANGUAGES: &str = "afr amh ara aze bel ben bos bul cat ces cnr dan deu ell eng est fas fil fin fra gle heb hin hrv \
    hun hye ind isl ita jpn kan kat kaz khm kir kor lao lav lit ltz mkd mlt mon msa mul mya nep nld nor pol por pus ron \
    rus sin slk slv spa sqi srp swa swe tam tel tgk tgl tha tuk tur ukr urd uzb vie zho";

/// Longest text of a property, in code points.
pub(super) fn longest(property: &str) -> usize {
    match property {
        "name" | "alias" | "weakAlias" | "abbreviation" | "previousName" => 384,
        "summary" | "notes" | "bodyText" => 65_000,
        "address" | "location" => 250,
        "country" => 16,
        _ => 1024,
    }
}

/// Cuts a text to `most` code points; returns true if anything was cut off.
pub(super) fn shorten(text: &mut String, most: usize) -> bool {
    let Some((end, _)) = text.char_indices().nth(most) else {
        return false;
    };
    text.truncate(end);
    text.truncate(text.trim_end().len());
    true
}

/// Returns true if the library accepts a language, by ISO 639-3.
pub(super) fn is_language(code: &str) -> bool {
    LANGUAGES.split(' ').any(|known| known == code)
}

/// Returns true if the library accepts a year, month or day: years from 1000 to 2999.
pub(super) fn is_date(date: &str) -> bool {
    let mut parts = date.split('-').map(str::parse::<u16>);
    let Some(Ok(year)) = parts.next() else {
        return false;
    };
    let month = parts
        .next()
        .map(|month| month.ok().and_then(|it| u8::try_from(it).ok()));
    let day = parts
        .next()
        .map(|day| day.ok().and_then(|it| u8::try_from(it).ok()));
    let month = month
        .unwrap_or(Some(1))
        .and_then(|it| Month::try_from(it).ok());
    let fits = month
        .zip(day.unwrap_or(Some(1)))
        .is_some_and(|(month, day)| Date::from_calendar_date(i32::from(year), month, day).is_ok());
    (1000..3000).contains(&year) && parts.next().is_none() && fits
}

/// Returns true if an identifier is one of Wikidata's.
pub(super) fn is_wikidata_id(id: &str) -> bool {
    let digits = id.strip_prefix('Q').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
}

/// Returns true if the library accepts the host of an http or https URL: an address, or labels of letters, digits,
/// hyphens and underscores, of which the last is longer than one letter and not a number.
pub(super) fn is_url(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else {
        return false;
    };
    // The host as written: the parsed form is ASCII.
    let authority = url.split(['/', '?', '#']).nth(2).unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let is_label = |label: &&str| {
        let is_part = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
        (1..=63).contains(&label.chars().count())
            && label.chars().all(is_part)
            && label.chars().any(char::is_alphanumeric)
    };
    let last = labels.last().copied().unwrap_or_default();
    let ends_well =
        last.chars().count() > 1 && !last.chars().all(char::is_numeric) || labels.len() == 1;
    matches!(parsed.scheme(), "http" | "https") && labels.iter().all(is_label) && ends_well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_real_days_of_years_that_it_knows() {
        for good in ["1000", "2999", "2021-02", "2024-02-29"] {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "0987",
            "3000",
            "2021-13",
            "2021-02-29",
            "2021-02-01-01",
            "20x1",
            "",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn urls_are_those_of_hosts_that_it_takes_for_one() {
        for good in [
            "https://news.example/x",
            "http://localhost",
            "http://1.2.3.4/x",
            "http://[::1]/",
            "https://münchen.de/ä",
            "https://a_b.com:8443?q",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "https://a.b/x",
            "https://a..com/",
            "http://3.4x.5/",
            "https://-.com/",
            "ftp://a.com",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_letter() {
        let mut text = "été long".to_owned();
        assert!(!shorten(&mut text, 8));
        assert!(shorten(&mut text, 4));
        assert_eq!(text, "été");
        assert!(is_language("kaz") && !is_language("sah"));
        assert!(is_wikidata_id("Q42") && !is_wikidata_id("P31") && !is_wikidata_id("Q"));
    }
}
