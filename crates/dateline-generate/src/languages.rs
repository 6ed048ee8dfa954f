//! A language: its parts of names and sentences, each in its own script, and in Latin letters without accents for ids.

/// A word in its own script, and in Latin letters.
pub(super) type LocalizedWord = (&'static str, &'static str);

/// A language with its words and templates. In templates `{a}` is an actor, `{b}` another one, `{c}` a city, `{d}` a
/// date and `{n}` a number.
pub(super) struct Language {
    /// BCP-47 tag of text in its own script.
    pub tag: &'static str,
    /// BCP-47 tag of text in Latin letters.
    pub latin_tag: &'static str,
    pub given: &'static [LocalizedWord],
    pub family: &'static [LocalizedWord],
    pub cities: &'static [LocalizedWord],
    /// Words for bodies, in the order of actor types from STATE to GROUP.
    pub bodies: [LocalizedWord; 8],
    /// Template for the name of a body: `{c}` is the city and `{w}` the word for its type.
    pub body: LocalizedWord,
    /// True if names are written without spaces, family name first.
    pub is_family_first: bool,
    pub headlines: &'static [&'static str],
    /// Introduces `{a}`.
    pub appearance: &'static str,
    /// Relates `{a}` to `{b}`.
    pub tie: &'static str,
    /// Reports an event with `{a}` and `{b}` in `{c}`.
    pub happening: &'static str,
    pub filler: &'static [&'static str],
}
