//! What names and sentences are made of, by language: each in its own script, and in Latin letters without accents,
//! from which ids are made. All of it is in NFC. Whatever is changed here changes what every seed generates.

/// A word in its own script, and in Latin letters.
pub(super) type Word = (&'static str, &'static str);

/// A language and what is said in it. In templates stands `{a}` for one actor, `{b}` for another one, `{c}` for a
/// city, `{d}` for a date and `{n}` for a number.
pub(super) struct Language {
    /// BCP-47 tag of what is written in its own script.
    pub tag: &'static str,
    /// And in Latin letters.
    pub latin_tag: &'static str,
    pub given: &'static [Word],
    pub family: &'static [Word],
    pub cities: &'static [Word],
    /// In the order of actor types, from STATE to GROUP.
    pub bodies: [Word; 8],
    /// How a body is named: with `{c}` for the city and `{w}` for what it is.
    pub body: Word,
    /// Whether names are written without spaces, family first.
    pub is_family_first: bool,
    pub headlines: &'static [&'static str],
    /// Introduces `{a}`.
    pub appearance: &'static str,
    /// Ties `{a}` to `{b}`.
    pub tie: &'static str,
    /// Tells of something with `{a}` and `{b}` in `{c}`.
    pub happening: &'static str,
    pub filler: &'static [&'static str],
}

/// Every language, in no order that matters but that it is fixed.
pub(super) const LANGUAGES: [&Language; 10] = [
    &super::tongues::ENGLISH,
    &super::tongues::FRENCH,
    &super::tongues::RUSSIAN,
    &super::tongues::KAZAKH,
    &super::tongues::ARABIC,
    &super::tongues::CHINESE,
    &super::tongues::GREEK,
    &super::tongues::GEORGIAN,
    &super::tongues::HINDI,
    &super::tongues::KOREAN,
];

/// Those in which articles are written: the first ones, of which the very first is by far the most frequent.
pub(super) const WRITTEN: &[&Language] = LANGUAGES.split_at(6).0;
