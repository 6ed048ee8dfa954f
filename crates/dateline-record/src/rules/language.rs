//! Language tags (BCP 47): validity, and the one spelling for storage and search, so that equal languages are equal
//! strings. The registry is that of the `language-tags` crate, the codes of ISO 639 are those of `isolang`; nothing is
//! requested over a network.

use isolang::Language;
use language_tags::LanguageTag;

/// Checks a tag of RFC 5646; its subtags need not be registered. The grammar also allows languages of 4 to 8 letters,
/// but none was ever registered: `english` is refused.
///
/// # Errors
/// The correct form.
pub fn check(value: &str) -> Result<(), String> {
    if parse(value).is_some() {
        return Ok(());
    }
    let what = "must be a BCP-47 language tag, like en, kk-Cyrl or ru-Latn";
    Err(match meant(value) {
        Some(tag) => format!("{what}; write {tag}"),
        None => what.to_owned(),
    })
}

/// The canonical spelling of a tag by RFC 5646, section 4.5: `kk-Cyrl-KZ`, `he` for `iw`, `cmn` for `zh-cmn`. A script
/// is kept even if it is the default one. Beyond the registry: two-letter codes for languages that have them, `sr-Latn`
/// for `sh`, and the region `GB` for `UK`, as in CLDR. A text that is not a tag is returned unchanged.
#[must_use]
pub fn canonical(tag: &str) -> String {
    parse(tag).map_or_else(|| tag.to_owned(), |tag| spelled(&tag))
}

fn parse(value: &str) -> Option<LanguageTag> {
    let tag = LanguageTag::parse(value).ok()?;
    let language = tag.canonicalize().unwrap_or_else(|_| tag.clone());
    let has_no_language = tag.as_str().starts_with("x-") || tag.as_str().starts_with("i-");
    (has_no_language || (2..=3).contains(&language.primary_language().len())).then_some(tag)
}

/// The tag for the name of a locale: `en_US`, `sr_RS.UTF-8`.
fn meant(value: &str) -> Option<String> {
    let locale = value.split(['.', '@']).next()?;
    let tag = parse(&locale.replace('_', "-"))?;
    value.contains('_').then(|| spelled(&tag))
}

fn spelled(tag: &LanguageTag) -> String {
    // A tag with more than one extended language has no canonical form.
    let canonical = tag.canonicalize().unwrap_or_else(|_| tag.clone());
    let known = canonical.primary_language();
    let Some(rest) = canonical
        .as_str()
        .strip_prefix(known)
        .filter(|_| known.len() <= 3)
    else {
        return canonical.into_string();
    };
    let two_letters = Language::from_639_3(known).and_then(|language| language.to_639_1());
    let language = two_letters.unwrap_or(known);
    let (extended, rest) = match canonical.extended_language() {
        Some(extended) => rest.split_at((extended.len() + 1).min(rest.len())),
        None => ("", rest),
    };
    // The registry suppresses the default script; it is kept here.
    let written = tag.script().or((language == "sh").then_some("Latn"));
    let script = written.filter(|_| canonical.script().is_none());
    let script = script.map(|script| format!("-{script}"));
    let script = script.unwrap_or_default();
    let language = if language == "sh" { "sr" } else { language };
    let rest = match canonical.region() {
        Some("UK") => rest.replacen("-UK", "-GB", 1),
        _ => rest.to_owned(),
    };
    format!("{language}{extended}{script}{rest}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn d10_a_language_has_one_spelling() {
        for (written, stored) in [
            // Deprecated codes, and their successors.
            ("iw", "he"),
            ("in", "id"),
            ("ji", "yi"),
            ("jw", "jv"),
            ("mo", "ro"),
            ("iw-Hebr-IL", "he-Hebr-IL"),
            ("IN-id", "id-ID"),
            ("de-DD", "de-DE"),
            ("my-BU", "my-MM"),
            // Extended languages, and tags registered as a whole.
            ("zh-cmn", "cmn"),
            ("zh-cmn-Hans-CN", "cmn-Hans-CN"),
            ("zh-yue-HK", "yue-HK"),
            ("sgn-ase", "ase"),
            ("ar-arb", "arb"),
            ("i-klingon", "tlh"),
            ("art-lojban", "jbo"),
            ("zh-min-nan", "nan"),
            ("zh-guoyu", "cmn"),
            ("no-bok", "nb"),
            ("en-GB-oed", "en-GB-oxendict"),
            ("sgn-BE-FR", "sfb"),
            ("ja-Latn-hepburn-heploc", "ja-Latn-hepburn-alalc97"),
            ("en-u-ca-gregory-a-foo", "en-a-foo-u-ca-gregory"),
            // Beyond the registry.
            ("sh", "sr-Latn"),
            ("sh-Cyrl", "sr-Cyrl"),
            ("sh-BA", "sr-Latn-BA"),
            ("hbs", "sr-Latn"),
            ("eng", "en"),
            ("eng-UK", "en-GB"),
            ("deu-Latn-AT", "de-Latn-AT"),
            // Canonical already, except for case.
            ("KK-cyrl-kz", "kk-Cyrl-KZ"),
            ("en-Latn", "en-Latn"),
            ("und-Latn", "und-Latn"),
            ("zh-Hans", "zh-Hans"),
            ("cmn", "cmn"),
            ("qqq", "qqq"),
            ("x-klingon", "x-klingon"),
            ("i-default", "i-default"),
            ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
            ("en-x-uk", "en-x-uk"),
        ] {
            assert_eq!(check(written), Ok(()), "{written}");
            assert_eq!(canonical(written), stored, "{written}");
        }
    }

    #[test]
    fn d10_a_refusal_says_what_a_name_of_a_locale_means() {
        for (written, meant) in [
            ("en_US", Some("en-US")),
            ("iw_IL", Some("he-IL")),
            ("zh_cmn_Hans", Some("cmn-Hans")),
            ("sr_RS.UTF-8", Some("sr-RS")),
            ("ca_ES@valencia", Some("ca-ES")),
            ("english", None),
            ("english_us", None),
            ("_", None),
            ("C.UTF-8", None),
        ] {
            let refusal = check(written).unwrap_err();
            assert!(refusal.contains("BCP-47"), "{refusal}");
            let told = refusal.split_once("; write ").map(|(_, tag)| tag);
            assert_eq!(told, meant, "{written}");
        }
    }

    /// Tags from subtags of the registry, and noise.
    fn tag() -> impl Strategy<Value = String> {
        let tag = "(iw|in|sh|zh|en|deu|hbs|kk|sgn|mo|xx|[a-z]{2,3})(-(cmn|yue|ase|arb|[a-z]{3}))?(-(Latn|Cyrl|[A-Za-z]{4}))?\
                   (-(UK|DD|BU|YU|[A-Z]{2}|[0-9]{3}))?(-(heploc|arevela|rozaj))?(-u-ca-gregory)?(-x-[a-z]{1,8})?";
        prop_oneof![proptest::string::string_regex(tag).unwrap(), ".*"]
    }

    proptest! {
        #[test]
        fn a_spelling_is_a_tag_and_its_own_spelling(tag in tag()) {
            let once = canonical(&tag);
            prop_assert_eq!(check(&once).is_ok(), check(&tag).is_ok());
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
