//! Lines below a headline that name authors and agencies.

use super::{ABBREVIATIONS, MAX_NAME, MAX_NAME_WORDS};

/// Words in names that are not capitalised: "Ursula von der Leyen", "Jane Doe and John Roe".
const PARTICLES: &[&str] = &[
    "al", "and", "aus", "avec", "bin", "bint", "da", "de", "del", "della", "den", "der", "di",
    "dos", "du", "el", "et", "for", "für", "ibn", "la", "le", "of", "pour", "the", "und", "van",
    "von", "with", "y",
];

/// Words that start a byline, in English, German, French and Spanish.
const BY: &[&str] = &["by", "von", "par", "por"];

/// News agencies, in lower case, without "the".
const AGENCIES: &[&str] = &[
    "aap",
    "adnkronos",
    "afp",
    "agence france-presse",
    "agencia efe",
    "ansa",
    "anadolu",
    "anadolu agency",
    "ap",
    "apa",
    "associated press",
    "associated press writer",
    "associated press writers",
    "ats",
    "belga",
    "bloomberg",
    "bloomberg news",
    "canadian press",
    "cna",
    "cp",
    "ctk",
    "dow jones",
    "dpa",
    "dpa-afx",
    "efe",
    "epd",
    "europa press",
    "interfax",
    "itar-tass",
    "keystone-sda",
    "kna",
    "kyodo",
    "kyodo news",
    "lusa",
    "mti",
    "ntb",
    "pa",
    "pa media",
    "press association",
    "pti",
    "reuters",
    "reuters staff",
    "ritzau",
    "sda",
    "tass",
    "upi",
    "xinhua",
];

/// Authors and agencies of a byline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Credits<'a> {
    pub authors: Vec<&'a str>,
    pub agencies: Vec<&'a str>,
}

/// The names of a byline in a field of its own, with or without "By". An agency counts as a name there.
#[must_use]
pub fn byline_names(by: &str) -> Vec<String> {
    let by = by.trim();
    if by.is_empty() {
        return Vec::new();
    }
    let names = by
        .split_once(' ')
        .filter(|(word, _)| BY.contains(&word.to_lowercase().as_str()))
        .map_or(by, |(_, names)| names.trim());
    let credits = without_agencies(names);
    let mut names = credits.authors;
    for agency in credits.agencies {
        if !names.contains(&agency) {
            names.push(agency);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The credits of a line such as "By Jane Doe and John Roe, AP". `None` if it reads like a sentence: "By Monday the
/// troops had left." A single author with an employer that is no agency, "Jane Doe, Kazinform", stays as printed.
pub(super) fn byline(line: &str) -> Option<Credits<'_>> {
    let line = line.trim();
    let (by, names) = line.split_once(' ').unwrap_or((line, ""));
    let has_by = BY.contains(&by.to_lowercase().as_str());
    let names = if has_by { names.trim() } else { line };
    let credits = without_agencies(names);
    // Without "By", only an agency marks names as a byline.
    let is_byline = has_by || !credits.agencies.is_empty() && credits.authors.len() <= 3;
    (is_byline && reads_like_names(names, &credits)).then_some(credits)
}

/// The agency of a line that names nothing else: "The Associated Press".
pub(super) fn agency(line: &str) -> Option<&str> {
    let name = line.trim().trim_matches(['(', ')']).trim();
    is_agency(name).then(|| without_the(name))
}

fn reads_like_names(names: &str, credits: &Credits<'_>) -> bool {
    let is_name_word = |word: &str| {
        PARTICLES.contains(&word)
            || word
                .chars()
                .find(|found| found.is_alphabetic())
                .is_none_or(char::is_uppercase)
    };
    names.starts_with(char::is_alphabetic)
        && is_short(names)
        && !names.ends_with(['.', '!', '?', ':', ','])
        && credits
            .authors
            .iter()
            .filter(|name| !credits.agencies.contains(name))
            .flat_map(|name| name.split_whitespace())
            .all(is_name_word)
}

fn without_agencies(names: &str) -> Credits<'_> {
    let mut credits = Credits::default();
    let mut rest = names.trim();
    // An agency at the end: "Jane Doe, AP", "Jane Doe (AP)", "Jane Doe | AP", "Jane Doe/AP", "Jane Doe of The AP".
    while let Some((before, agency)) = agency_at_end(rest) {
        credits.agencies.insert(0, agency);
        rest = before;
    }
    // And at the start: "Reuters/Jane Doe".
    if let Some((agency, after)) = rest
        .split_once('/')
        .filter(|(agency, _)| is_agency(agency.trim()))
    {
        credits.agencies.insert(0, without_the(agency.trim()));
        rest = after.trim();
    }
    if rest.is_empty() {
        // An agency without an author is the author.
        credits.authors.clone_from(&credits.agencies);
        return credits;
    }
    let parts = split_list(rest);
    let all_are_full = parts
        .iter()
        .all(|part| part.split_whitespace().count() >= 2);
    credits.authors = if all_are_full { parts } else { vec![rest] };
    credits
}

/// Separators between names and the agency after them.
const SEPARATORS: &[&str] = &[
    ",", "/", "|", " - ", " – ", " — ", " of ", " for ", " für ", " pour ", " avec ", " with ",
    " and ", " und ",
];

fn agency_at_end(names: &str) -> Option<(&str, &str)> {
    if is_agency(names) {
        return Some(("", without_the(names)));
    }
    if let Some((before, agency)) = names
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
    {
        return is_agency(agency.trim()).then(|| (before.trim(), without_the(agency.trim())));
    }
    SEPARATORS.iter().find_map(|separator| {
        let (before, agency) = names.rsplit_once(separator)?;
        is_agency(agency.trim()).then(|| (before.trim(), without_the(agency.trim())))
    })
}

pub(super) fn is_agency(name: &str) -> bool {
    let name = without_the(name).to_lowercase();
    AGENCIES.contains(&name.as_str())
}

pub(super) fn without_the(name: &str) -> &str {
    let the = name.get(..4).filter(|the| the.eq_ignore_ascii_case("the "));
    the.map_or(name, |_| &name[4..])
}

pub(super) fn is_short(name: &str) -> bool {
    name.split_whitespace().count() <= MAX_NAME_WORDS && name.chars().count() <= MAX_NAME
}

/// The parts of "A, B; C and D". An "and" separates only the last two: "Ministry of Trade and Industry, NATO" has two
/// parts.
pub(super) fn split_list(list: &str) -> Vec<&str> {
    let mut parts: Vec<_> = list.split([',', ';']).map(str::trim).collect();
    if let Some(last) = parts.pop() {
        let ands = ["and ", "und ", "et "];
        let bare = ands.iter().find_map(|and| last.strip_prefix(and));
        let split = [" and ", " und ", " et "]
            .iter()
            .find_map(|and| last.split_once(and));
        match (bare, split) {
            (Some(last), _) => parts.push(last.trim()),
            (None, Some((one, other))) => parts.extend([one.trim(), other.trim()]),
            (None, None) => parts.push(last),
        }
    }
    parts.retain(|part| part.chars().any(char::is_alphanumeric));
    parts
}

/// The name without a sentence's full stop: "Regnum.", but "U.S." and "Acme Inc." stay.
pub(super) fn without_full_stop(name: &str) -> &str {
    let Some(bare) = name.strip_suffix('.') else {
        return name;
    };
    let last = bare.split_whitespace().next_back().unwrap_or_default();
    let is_abbreviation =
        last.contains('.') || ABBREVIATIONS.contains(&last.to_lowercase().as_str());
    if is_abbreviation {
        name
    } else {
        bare.trim_end()
    }
}

#[cfg(test)]
mod tests {
    use super::{agency, byline, byline_names};

    #[test]
    fn bylines_are_names_with_or_without_an_agency() {
        for (line, authors, agencies) in [
            ("By Jane Doe, AP", "Jane Doe", "AP"),
            (
                "By Jane Doe, Associated Press",
                "Jane Doe",
                "Associated Press",
            ),
            (
                "By Jane Doe and John Roe, The Associated Press",
                "Jane Doe|John Roe",
                "Associated Press",
            ),
            ("BY JANE DOE (AP)", "JANE DOE", "AP"),
            ("By Jane Doe | Reuters", "Jane Doe", "Reuters"),
            (
                "By Jane Doe of The Associated Press",
                "Jane Doe",
                "Associated Press",
            ),
            ("Reuters/Jane Doe", "Jane Doe", "Reuters"),
            ("Jane Doe/Reuters", "Jane Doe", "Reuters"),
            ("By Reuters Staff", "Reuters Staff", "Reuters Staff"),
            ("Von Christian Hollmann, dpa", "Christian Hollmann", "dpa"),
            (
                "Von Jana Müller und Max Meier (dpa)",
                "Jana Müller|Max Meier",
                "dpa",
            ),
            ("Von Ursula von der Leyen", "Ursula von der Leyen", ""),
            ("Par Jean Dupont avec AFP", "Jean Dupont", "AFP"),
            (
                "Par Jean Dupont et Marie Curie",
                "Jean Dupont|Marie Curie",
                "",
            ),
            ("By Jane Doe, Kazinform", "Jane Doe, Kazinform", ""),
        ] {
            let credits = byline(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(
                (
                    credits.authors.join("|").as_str(),
                    credits.agencies.join("|").as_str()
                ),
                (authors, agencies),
                "{line}"
            );
        }
        for sentence in [
            "By Monday the troops had left.",
            "By noon it rained",
            "Von Berlin nach Paris",
            "Par exemple, il pleut",
            "Von allen Seiten",
            "Ministers meet in Vilnius",
            "By",
            "The ministers spoke to AP",
            "Jane Doe",
        ] {
            assert_eq!(byline(sentence), None, "{sentence}");
        }
        assert_eq!(agency("The Associated Press"), Some("Associated Press"));
        assert_eq!(agency("The ministers"), None);
        assert_eq!(
            byline_names("Von Christian Hollmann, dpa"),
            ["Christian Hollmann", "dpa"]
        );
        assert_eq!(
            byline_names("Paulo Santalucia and Frances d'Emilio"),
            ["Paulo Santalucia", "Frances d'Emilio"]
        );
        assert_eq!(byline_names("NTB"), ["NTB"]);
        assert_eq!(byline_names("Айгерім Омарұлы"), ["Айгерім Омарұлы"]);
    }
}
