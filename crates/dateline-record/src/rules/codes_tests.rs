//! Codes of external lists, by the rows of the catalogue of bad input.

use dateline_proto::v1::record::Kind as Body;
use serde_json::json;

use super::fixture_tests::*;

#[test]
fn d10_language_tags_are_well_formed_and_kept_in_their_canonical_spelling() {
    let tagged = |tag: &str| article(json!({"languageCode": tag}));
    for tag in [
        "en",
        "und-Latn",
        "kk-Cyrl-KZ",
        "qqq",
        "x-klingon",
        "sl-rozaj-biske-1994",
    ] {
        accepted(&tagged(tag));
    }
    let long = format!("en{}", "-abcdefgh".repeat(22));
    for (tag, words) in [
        ("english", "BCP-47"),
        ("xx-", "BCP-47"),
        ("e", "at least 2 characters"),
        ("en_US", "write en-US"),
        ("en-a", "BCP-47"),
        ("12", "BCP-47"),
        ("", "must not be empty"),
        (&long, "at most 64"),
    ] {
        refused(&tagged(tag), &[("language_code", words)]);
    }
    for (sent, stored) in [("KK-cyrl-kz", "kk-Cyrl-KZ"), ("iw", "he")] {
        let (body, _) = checked(&tagged(sent));
        assert!(matches!(body, Body::Article(article) if article.language_code == stored));
    }
}

#[test]
fn d11_regions_are_assigned_and_subdivisions_belong_to_theirs() {
    let of = |region: &str| actor(json!({"regionCode": region}));
    for region in ["KZ", "XK", ""] {
        accepted(&of(region));
    }
    for (region, words) in [
        ("UK", "write GB"),
        ("kz", "write KZ"),
        ("KAZ", "write KZ"),
        ("ZZ", "is not an ISO 3166-1 code"),
        ("SU", "is not an ISO 3166-1 code"),
    ] {
        refused(&of(region), &[("region_code", words)]);
    }
    let at = |region: &str, subdivision: &str| {
        place(json!({"regionCode": region, "subdivisionCode": subdivision}))
    };
    accepted(&at("US", "US-FL"));
    let field = "places[0].subdivision_code";
    refused(&at("US", "US-ZZ"), &[(field, "is not an ISO 3166-2 code")]);
    refused(&at("US", "us-fl"), &[(field, "write US-FL")]);
    for region in ["KZ", ""] {
        refused(
            &at(region, "US-FL"),
            &[("places[0].region_code", "must be US")],
        );
    }
}

#[test]
fn d14_urls_are_absolute_and_of_the_web_without_credentials() {
    let at = |url: &str| article(json!({"sourceUrl": url}));
    for url in [
        "https://example.org/story?a=1#b",
        "HTTP://EXAMPLE.ORG",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "https://пример.рф/новость",
        "https://example.org/@user",
    ] {
        accepted(&at(url));
    }
    let long = format!("https://example.org/{}", "a".repeat(2029));
    let wide = format!("https://example.org/{}", "д".repeat(1100));
    for (url, words) in [
        ("javascript:alert(1)", "absolute http or https URL"),
        ("file:///etc/passwd", "absolute http or https URL"),
        ("data:text/html,x", "absolute http or https URL"),
        ("example.org/story", "absolute http or https URL"),
        ("//example.org", "absolute http or https URL"),
        ("https:example.org", "absolute http or https URL"),
        ("https:///story", "absolute http or https URL"),
        ("https://", "absolute http or https URL"),
        ("https://user:secret@example.org", "without user name"),
        ("https://user@example.org", "without user name"),
        ("https://@example.org", "without user name"),
        ("https://exa mple.org", "absolute http or https URL"),
        ("https://example.org\\@evil", "absolute http or https URL"),
        ("https://example.org:99999", "absolute http or https URL"),
        (&long, "at most 2048"),
        (&wide, "is 2220 bytes long; at most 2048"),
    ] {
        refused(&at(url), &[("source_url", words)]);
    }
}
