//! The text search configuration of Postgres for the language of a text.

/// Configurations by the primary subtag of a language tag. Only those with rules of the language itself: those of a
/// neighbour cut words at the wrong places.
const CONFIGURATIONS: [(&str, &str); 30] = [
    ("ar", "arabic"),
    ("hy", "armenian"),
    ("eu", "basque"),
    ("ca", "catalan"),
    ("da", "danish"),
    ("nl", "dutch"),
    ("en", "english"),
    ("et", "estonian"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("de", "german"),
    ("el", "greek"),
    ("hi", "hindi"),
    ("hu", "hungarian"),
    ("id", "indonesian"),
    ("ga", "irish"),
    ("it", "italian"),
    ("lt", "lithuanian"),
    ("ne", "nepali"),
    ("no", "norwegian"),
    ("nb", "norwegian"),
    ("nn", "norwegian"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sr", "serbian"),
    ("es", "spanish"),
    ("sv", "swedish"),
    ("ta", "tamil"),
    ("tr", "turkish"),
];

/// Returns the configuration for a language tag, which a database may not have; `None` for languages without one, and
/// for transliterations, to which no rules apply.
#[must_use]
pub fn configuration(tag: &str) -> Option<&'static str> {
    let mut subtags = tag.split('-');
    let primary = subtags.next()?.to_ascii_lowercase();
    if primary != "sr" && subtags.any(|subtag| subtag.eq_ignore_ascii_case("latn")) {
        return None;
    }
    CONFIGURATIONS
        .iter()
        .find(|(language, _)| *language == primary)
        .map(|(_, configuration)| *configuration)
}

#[cfg(test)]
mod tests {
    use super::configuration;

    #[test]
    fn a_language_has_its_own_rules_or_none() {
        for (tag, expected) in [
            ("en", Some("english")),
            ("EN-us", Some("english")),
            ("ru", Some("russian")),
            ("ru-Latn", None),
            ("sr-Latn", Some("serbian")),
            ("kk", None),
            ("uk", None),
            ("und", None),
            ("", None),
        ] {
            assert_eq!(configuration(tag), expected, "{tag}");
        }
    }
}
