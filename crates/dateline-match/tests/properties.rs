//! Properties of scores, keys and mentions on made-up and on real names.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use dateline_match::{
    KeyClass, MAX_KEYS, MAX_NAMES, Mentions, ParsedName, Profile, compare, keys, normalize,
    profile_keys, resolve,
};
use dateline_proto::v1::{Name, actor, name};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// Words of names in several scripts, so that made-up names have something in common.
const WORDS: [&str; 40] = [
    "Ivan",
    "Иван",
    "John",
    "J.",
    "Sergeyevich",
    "Petrov",
    "Петров",
    "Mohammed",
    "محمد",
    "bin",
    "סלומון",
    "Gen.",
    "Jr.",
    "II",
    "III",
    "3rd",
    "12",
    "Ministry",
    "министерство",
    "Defence",
    "обороны",
    "of",
    "Kazakhstan",
    "Қазақстан",
    "LLC",
    "«Альфа»",
    "Bank",
    "中国",
    "银行",
    "김정은",
    "習近平",
    "トヨタ",
    "Τράπεζα",
    "ბანკი",
    "गांधी",
    "ชินวัตร",
    "U.S.",
    "O'Brien",
    "al-Assad",
    "İstanbul",
];

fn any_name() -> impl Strategy<Value = String> {
    let made_up =
        prop::collection::vec(prop::sample::select(&WORDS[..]), 1..6).prop_map(|it| it.join(" "));
    let of_letters = "[a-zA-Zа-яА-ЯёΑ-Ωα-ωا-يא-ת一-丟가-갷ぁ-ンა-ჰ0-9 .,'’()-]{1,24}";
    prop_oneof![3 => made_up, 1 => of_letters, 1 => any::<String>()]
}

fn any_type() -> impl Strategy<Value = actor::Type> {
    use actor::Type::{Military, Organization, Person, Unspecified};
    prop::sample::select(vec![Person, Organization, Military, Unspecified])
}

fn profile(names: &[String], actor_type: actor::Type) -> Profile {
    let names: Vec<Name> = names
        .iter()
        .map(|text| Name {
            text: text.clone(),
            language_code: "und".to_owned(),
            r#type: name::Type::Full.into(),
        })
        .collect();
    Profile::new(&names, actor_type)
}

fn parsed(text: &str) -> ParsedName {
    ParsedName::new(text, "und", name::Type::Full)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_key_of_a_key_is_the_key(text in any_name()) {
        let once = normalize(&text);
        prop_assert_eq!(normalize(&once), once);
    }

    #[test]
    fn scores_are_symmetric(
        left in prop::collection::vec(any_name(), 1..4),
        right in prop::collection::vec(any_name(), 1..4),
        types in (any_type(), any_type()),
    ) {
        let (left, right) = (profile(&left, types.0), profile(&right, types.1));
        let (one, two) = (compare(&left, &right).value, compare(&right, &left).value);
        prop_assert!((one - two).abs() < 1e-9, "{one} {two}\n{}{}", compare(&left, &right), compare(&right, &left));
        prop_assert!((0.0..=1.0).contains(&one));
    }

    #[test]
    fn a_name_equals_itself(text in any_name(), actor_type in any_type()) {
        prop_assume!(!normalize(&text).is_empty());
        let one = profile(&[text], actor_type);
        prop_assert!((compare(&one, &one).value - 0.9).abs() < 1e-9, "{}", compare(&one, &one));
    }

    #[test]
    fn the_order_of_names_changes_nothing(
        left in prop::collection::vec(any_name(), 1..5),
        right in prop::collection::vec(any_name(), 1..5),
        actor_type in any_type(),
    ) {
        let forwards = compare(&profile(&left, actor_type), &profile(&right, actor_type));
        let (left, right): (Vec<_>, Vec<_>) = (left.into_iter().rev().collect(), right.into_iter().rev().collect());
        let backwards = compare(&profile(&left, actor_type), &profile(&right, actor_type));
        prop_assert!((forwards.value - backwards.value).abs() < 1e-9);
    }

    #[test]
    fn a_veto_never_raises(left in any_name(), right in any_name(), actor_type in any_type()) {
        let score = compare(&profile(&[left], actor_type), &profile(&[right], actor_type));
        prop_assert!(score.vetoes.is_empty() || score.value <= 0.6, "{score}");
    }

    #[test]
    fn an_equal_name_never_lowers(
        left in prop::collection::vec(any_name(), 1..4),
        mut right in prop::collection::vec(any_name(), 1..4),
        actor_type in any_type(),
    ) {
        let before = compare(&profile(&left, actor_type), &profile(&right, actor_type)).value;
        right.push(left[0].clone());
        let after = compare(&profile(&left, actor_type), &profile(&right, actor_type)).value;
        prop_assert!(after >= before - 1e-9, "{before} {after}");
    }

    #[test]
    fn keys_are_few_and_those_of_the_folded_name(text in any_name(), is_person in any::<bool>()) {
        let of_text = keys(&parsed(&text), is_person);
        prop_assert!(of_text.len() <= MAX_KEYS);
        prop_assert_eq!(keys(&parsed(&text), is_person), of_text);
    }

    #[test]
    fn spans_of_mentions_lie_in_the_text(
        names in prop::collection::vec(any_name(), 1..20),
        text in prop::collection::vec(any_name(), 1..20),
    ) {
        let mut mentions = Mentions::new();
        for (owner, name) in (0..).zip(&names) {
            mentions.add(name, owner);
        }
        let text = text.join(", ");
        let length = text.chars().count();
        let mut last = 0;
        for found in mentions.find(&text) {
            prop_assert!(last <= found.start && found.start < found.end && found.end <= length);
            prop_assert!(!found.candidates.is_empty());
            last = found.end;
        }
    }
}

#[test]
fn two_records_with_all_the_names_there_may_be_are_compared_in_bounded_time() {
    let many = |seed: &str| -> Vec<String> {
        (0..MAX_NAMES)
            .map(|number| {
                format!(
                    "{seed} {number} {} Petrov of Kazakhstan Bank",
                    "x".repeat(200)
                )
            })
            .collect()
    };
    let started = Instant::now();
    let (left, right) = (many("Ivan"), many("Иван"));
    let score = compare(
        &profile(&left, actor::Type::Organization),
        &profile(&right, actor::Type::Organization),
    );
    assert!(score.value <= 1.0);
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

fn find(names: &[(&str, u32)], text: &str) -> Vec<(String, Vec<u32>, bool)> {
    let mut mentions = Mentions::new();
    for (name, owner) in names {
        mentions.add(name, *owner);
    }
    let letters: Vec<char> = text.chars().collect();
    let found = mentions.find(text).into_iter();
    found
        .map(|it| {
            (
                letters[it.start..it.end].iter().collect(),
                it.candidates,
                it.is_exact,
            )
        })
        .collect()
}

#[test]
fn mentions_are_found_with_their_spans_and_candidates() {
    let names = [
        ("NATO", 1),
        ("Kassym-Jomart Tokayev", 2),
        ("Токаев", 2),
        ("Tokayev", 2),
        ("Tokayev", 3),
        ("中国国防部", 4),
        ("WHO", 5),
        ("U.S.", 6),
        ("Ministry of Defence", 7),
        ("Ministry of Defence of Kazakhstan", 8),
    ];
    let found = find(
        &names,
        "NATO’s chief met Kassym-Jomart Tokayev. Who? Tokayev, of the U.S., said WHO.",
    );
    let said: Vec<&str> = found.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(
        said,
        ["NATO", "Kassym-Jomart Tokayev", "Tokayev", "U.S", "WHO"]
    );
    assert_eq!(found[2].1, [2, 3], "an ambiguous name has all its owners");
    let found = find(&names, "Встреча Токаева с журналистами");
    assert_eq!(found, [("Токаева".to_owned(), vec![2], false)]);
    let found = find(&names, "据中国国防部消息");
    assert_eq!(found, [("中国国防部".to_owned(), vec![4], true)]);
    let found = find(
        &names,
        "the Ministry of Defence of Kazakhstan and the ministry of defence",
    );
    assert_eq!(
        found.iter().map(|it| it.1[0]).collect::<Vec<_>>(),
        [8, 7],
        "the longest name is taken"
    );
}

fn actor(name: &str, region: &str, wikidata: &str) -> Profile {
    let mut made = profile(&[name.to_owned()], actor::Type::GovernmentBody);
    region.clone_into(&mut made.region);
    if !wikidata.is_empty() {
        made.ids.push(dateline_match::Identifier {
            scheme: "wikidata".to_owned(),
            value: wikidata.to_owned(),
        });
    }
    made
}

#[test]
fn an_import_takes_a_candidate_only_if_it_is_sure_and_alone() {
    let asked = actor("Ministry of Defence", "KZ", "Q1");
    let score =
        |name: &str, region: &str, wikidata: &str| compare(&asked, &actor(name, region, wikidata));
    let same = score("Ministry of Defence", "KZ", "");
    let other = score("Ministry of Finance", "KZ", "");
    let abroad = score("Ministry of Defence", "KG", "");
    assert_eq!(
        resolve(&[other.clone(), same.clone(), abroad.clone()]),
        Some(1)
    );
    assert_eq!(
        resolve(&[same.clone(), same]),
        None,
        "two of them mean none"
    );
    assert_eq!(resolve(&[abroad]), None);
    assert_eq!(resolve(&[]), None);
    assert_eq!(
        resolve(&[score("Verteidigungsamt", "KZ", "Q1")]),
        Some(0),
        "an identifier decides"
    );
    let wrong = score("Ministry of Defence", "KZ", "Q2");
    assert!(
        wrong.value <= 0.3,
        "another identifier of a unique scheme: {wrong}"
    );
    assert!(
        other
            .to_string()
            .contains("veto field: defence and finance"),
        "{other}"
    );
}

#[test]
fn owners_that_are_left_out_hide_no_other_name() {
    let mut mentions = Mentions::new();
    for (name, owner) in [
        ("Port Authority of Aktau", 1),
        ("Port Authority", 2),
        ("Port Authority", 3),
    ] {
        mentions.add(name, owner);
    }
    let text = "the Port Authority of Aktau";
    let find = |without: &[u32]| {
        let found = mentions.find_of(text, |owner| !without.contains(&owner));
        let found = found.into_iter().map(|it| (it.end, it.candidates));
        found.collect::<Vec<_>>()
    };
    assert_eq!(find(&[]), [(27, vec![1])]);
    assert_eq!(find(&[1]), [(18, vec![2, 3])]);
    assert_eq!(find(&[1, 3]), [(18, vec![2])]);
    assert_eq!(find(&[1, 2, 3]), []);
}

#[test]
fn equal_identifiers_share_a_key_whatever_the_names_are() {
    let one = actor("Maritime Bureau", "", "Q42");
    let two = actor("Серик Сапиев", "", "Q42");
    let other = actor("Серик Сапиев", "", "Q43");
    let (one, two, other) = (profile_keys(&one), profile_keys(&two), profile_keys(&other));
    let shared: Vec<_> = one.intersection(&two).map(|it| it.class).collect();
    assert_eq!(shared, [KeyClass::Identifier]);
    assert!(one.is_disjoint(&other));
}
