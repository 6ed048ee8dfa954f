//! Facts beside the names: type, region, lifetime, identifiers. Only those that both sides have count.

use crate::{
    outcome::{CONTRADICTED, NAMES_ALONE, Unmatched},
    profile::{Profile, is_person},
    score::{Feature, Score},
};
use dateline_proto::v1::actor;
use dateline_record::edtf::Bounds;

/// Names below this are not helped by features.
const FEATURES_FROM: f64 = 0.5;
/// Years between two births of the same person in different sources.
const BIRTH_SLACK_YEARS: i32 = 2;
/// Years between the lives of two bodies of one name.
const LIFETIME_SLACK_YEARS: i32 = 30;

/// Schemes in which one value stands for one thing and one thing has one value.
const UNIQUE_SCHEMES: [&str; 12] = [
    "wikidata",
    "imo",
    "lei",
    "isni",
    "viaf",
    "ror",
    "orcid",
    "gnd",
    "issn",
    "iso3166-1",
    "geonames",
    "opencorporates",
];

/// Raises or lowers the score of names by the facts of both sides.
pub fn apply_features(left: &Profile, right: &Profile, is_contradicted: bool, score: &mut Score) {
    let mut is_certain = compare_types(left, right, score);
    // A region or a year in common does not explain a word that only one of two bodies has: sisters share both.
    let is_explained =
        |it: &Unmatched| matches!(it.class, "place" | "legal form") || it.weight < 0.1;
    let is_whole = is_person(left, right) || score.unmatched.iter().all(is_explained);
    let is_consistent = score.vetoes.is_empty() && !is_contradicted;
    let can_rise = is_whole && is_consistent && score.value >= FEATURES_FROM;
    let mut gain = 0.0;
    if !left.region.is_empty() && !right.region.is_empty() {
        let agrees = left.region == right.region;
        if agrees {
            gain += 0.05;
        } else {
            score.value *= 0.7;
            is_certain = false;
        }
        add(score, "region", agrees, &left.region, &right.region);
    }
    match compare_lifetimes(left, right, score) {
        Some(value) if value >= 0.0 => gain += value,
        Some(_) => {
            score.value *= 0.7;
            is_certain = false;
        }
        None => {}
    }
    // An acronym of three letters may be chance; the same special type makes it worth a look.
    if is_certain
        && left.actor_type != actor::Type::Organization
        && score.parts.iter().any(|it| it.class == "acronym")
    {
        gain += 0.04;
    }
    if can_rise {
        score.value += gain;
    }
    // The top band needs a fact beside the names.
    let limit = if is_certain && gain > 0.0 {
        1.0
    } else {
        NAMES_ALONE
    };
    score.value = score.value.clamp(0.0, limit);
    compare_ids(left, right, score);
}

/// True if both types are known and equal.
fn compare_types(left: &Profile, right: &Profile, score: &mut Score) -> bool {
    use actor::Type::{Person, Unspecified};
    let (one, two) = (left.actor_type, right.actor_type);
    if one == Unspecified || two == Unspecified {
        return false;
    }
    let agrees = one == two;
    if !agrees {
        if one == Person || two == Person {
            score.value = (score.value * 0.5).min(CONTRADICTED);
            score.vetoes.push("type: person and other".to_owned());
        } else {
            score.value *= 0.9;
        }
    }
    add(score, "type", agrees, one.as_str_name(), two.as_str_name());
    agrees
}

/// The gain by lifetimes; negative if they contradict.
fn compare_lifetimes(left: &Profile, right: &Profile, score: &mut Score) -> Option<f64> {
    let is_person = is_person(left, right);
    let years = |bounds: Bounds| Some((bounds.earliest?.year(), bounds.latest?.year()));
    let spell = |bounds: Option<Bounds>| {
        bounds
            .and_then(|it| it.earliest)
            .map_or_else(|| "?".to_owned(), |it| it.to_string())
    };
    let note = |score: &mut Score, agrees| {
        add(
            score,
            "lifetime",
            agrees,
            &spell(left.start),
            &spell(right.start),
        );
    };
    let gap = |end: Option<Bounds>, start: Option<Bounds>| {
        let (end, start) = (end?.latest?, start?.earliest?);
        Some(start.year() - end.year())
    };
    let between = gap(left.end, right.start).max(gap(right.end, left.start));
    if between.is_some_and(|it| it > LIFETIME_SLACK_YEARS || is_person && it > 0) {
        note(score, false);
        return Some(-1.0);
    }
    let (one, two) = (left.start?, right.start?);
    let (a, b) = (years(one)?, years(two)?);
    let is_day = |it: Bounds| it.earliest == it.latest;
    if is_day(one) && is_day(two) && one == two {
        note(score, true);
        return Some(if is_person { 0.2 } else { 0.1 });
    }
    let distance = (a.0 - b.1).max(b.0 - a.1);
    if distance <= 0 {
        note(score, true);
        let is_year = |it: (i32, i32)| it.1 - it.0 == 0;
        return Some(if is_year(a) && is_year(b) { 0.08 } else { 0.02 });
    }
    if is_person && distance > BIRTH_SLACK_YEARS {
        note(score, false);
        return Some(-1.0);
    }
    None
}

fn compare_ids(left: &Profile, right: &Profile, score: &mut Score) {
    let (mut same, mut other, mut url) = (Vec::new(), Vec::new(), Vec::new());
    for one in &left.ids {
        let values = right.ids.iter().filter(|it| it.scheme == one.scheme);
        let values: Vec<&str> = values.map(|it| it.value.as_str()).collect();
        if values.is_empty() {
            continue;
        }
        let is_unique = UNIQUE_SCHEMES.contains(&one.scheme.as_str());
        let agrees = values.iter().any(|it| address(it) == address(&one.value));
        match (is_unique, agrees) {
            (true, true) => same.push(one.scheme.clone()),
            (true, false) => {
                // One side may hold two values, of which one agrees.
                let any = left
                    .ids
                    .iter()
                    .any(|it| it.scheme == one.scheme && values.contains(&it.value.as_str()));
                if !any {
                    other.push(one.scheme.clone());
                }
            }
            (false, true) => url.push(one.scheme.clone()),
            (false, false) => {}
        }
    }
    let lists = [(&mut same, true), (&mut url, true), (&mut other, false)];
    for (schemes, agrees) in lists {
        schemes.sort();
        schemes.dedup();
        for scheme in schemes.iter() {
            score.features.push(Feature {
                name: "identifier",
                detail: scheme.clone(),
                agrees,
            });
        }
    }
    match (same.is_empty(), other.is_empty()) {
        (false, true) => score.value = 1.0,
        // One of two is wrong: a person must look.
        (false, false) => score.value = 0.8,
        (true, false) => score.value = score.value.min(0.3),
        (true, true) if !url.is_empty() && score.vetoes.is_empty() => {
            score.value = score.value.max(0.85);
        }
        (true, true) => {}
    }
}

/// An address without what does not tell sites apart; other values as they are.
pub fn address(value: &str) -> String {
    let lower = value.to_lowercase();
    let rest = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"));
    let rest = rest.unwrap_or(&lower);
    rest.strip_prefix("www.")
        .unwrap_or(rest)
        .trim_end_matches('/')
        .to_owned()
}

fn add(score: &mut Score, name: &'static str, agrees: bool, left: &str, right: &str) {
    let mut sides = [left, right];
    sides.sort_unstable();
    let detail = if agrees && left == right {
        left.to_owned()
    } else {
        format!("{} and {}", sides[0], sides[1])
    };
    score.features.push(Feature {
        name,
        detail,
        agrees,
    });
}
