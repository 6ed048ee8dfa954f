//! Highlights: the parts of a record that match, with positions in code points of the text that is returned.

use std::collections::BTreeSet;

use dateline_match::spellings;
use dateline_proto::v1::record::Kind as Body;

use crate::{
    fields::{Class, FieldText, texts},
    query::{Query, Stems},
    typos::distance,
    words::{Word, words},
};

/// Most fragments of a record.
const MAX_FRAGMENTS: usize = 3;
/// Most code points of a fragment.
const MAX_LETTERS: usize = 200;
/// Code points before the first match of a fragment.
const BEFORE: usize = 60;
/// Most code points of a text that are looked through, as many as are indexed.
const MAX_TEXT: usize = 50_000;
/// Most letters of an ending that follows a stem.
const MAX_ENDING: usize = 5;

/// A part of a text, with the places that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Path of the field.
    pub path: String,
    /// Part of its text.
    pub text: String,
    /// Position of the part in the field, in code points.
    pub offset: usize,
    /// Positions in the part: start, and end exclusive.
    pub spans: Vec<(usize, usize)>,
}

struct Found {
    /// Distinct words of the query.
    words: usize,
    class: Class,
    fragment: Fragment,
}

/// Returns the fragments of a record that match a query, the best first. The record is not changed.
#[must_use]
pub fn fragments(body: &mut Body, query: &Query, stems: &Stems) -> Vec<Fragment> {
    let (texts, _) = texts(body);
    let mut seen = BTreeSet::new();
    let mut found: Vec<_> = texts
        .iter()
        .filter(|text| seen.insert(text.text.as_str()))
        .filter_map(|text| find(text, query, stems))
        .collect();
    found.sort_by_key(|it| (std::cmp::Reverse(it.words), it.class));
    found
        .into_iter()
        .take(MAX_FRAGMENTS)
        .map(|it| it.fragment)
        .collect()
}

fn find(field: &FieldText, query: &Query, stems: &Stems) -> Option<Found> {
    let text: String = field.text.chars().take(MAX_TEXT).collect();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut matched = BTreeSet::new();
    for word in words(&text) {
        let mut wanted = query.wanted().enumerate();
        let hit = wanted
            .find(|(_, (asked, is_prefix))| is_match(&word, asked, *is_prefix, field.class, stems));
        let Some((at, _)) = hit else { continue };
        matched.insert(at);
        match spans.last_mut() {
            // Pairs of signs overlap, and parts of one word have its position.
            Some(last) if word.start < last.1 => last.1 = last.1.max(word.end),
            _ => spans.push((word.start, word.end)),
        }
    }
    let first = spans.first()?.0;
    Some(Found {
        words: matched.len(),
        class: field.class,
        fragment: cut(field, first, &spans),
    })
}

fn is_match(word: &Word, asked: &Word, is_prefix: bool, class: Class, stems: &Stems) -> bool {
    let equal = |one: &str, other: &str| one == other || is_prefix && one.starts_with(other);
    if equal(&word.folded, &asked.folded) {
        return true;
    }
    if word.is_sign || asked.is_sign {
        return false;
    }
    if let Some(stems) = stems.get(&asked.lower) {
        let is_form = |stem: &String| {
            let ending = word.lower.strip_prefix(stem.as_str());
            ending.is_some_and(|it| it.chars().count() <= MAX_ENDING) && stem.chars().count() > 2
        };
        if stems.iter().any(is_form) {
            return true;
        }
    }
    if class == Class::Prose {
        return false;
    }
    let (one, other) = (spellings(&word.folded), spellings(&asked.folded));
    one.iter().zip(&other).any(|(one, other)| {
        let most = usize::from(other.ascii.len() > 3) + usize::from(other.ascii.len() > 7);
        !other.ascii.is_empty()
            && (equal(&one.ascii, &other.ascii)
                || class == Class::Name && distance(&one.ascii, &other.ascii, most).is_some())
    })
}

/// The part of a text around its first match.
fn cut(field: &FieldText, first: usize, spans: &[(usize, usize)]) -> Fragment {
    let characters: Vec<char> = field.text.chars().collect();
    let (mut start, mut end) = (0, characters.len());
    if end > MAX_LETTERS {
        start = first.saturating_sub(BEFORE);
        // Begin and end with whole words, if there are spaces.
        if start > 0
            && let Some(space) = characters[start..first]
                .iter()
                .position(|it| it.is_whitespace())
        {
            start += space + 1;
        }
        end = characters.len().min(start + MAX_LETTERS);
        let last = spans.iter().rfind(|span| span.1 <= end);
        let least = last.map_or(start + 1, |span| span.1);
        if end < characters.len()
            && let Some(space) = characters[least..end]
                .iter()
                .rposition(|it| it.is_whitespace())
        {
            end = least + space;
        }
    }
    let inside = spans.iter().filter(|span| span.0 >= start && span.1 <= end);
    Fragment {
        path: field.path.clone(),
        text: characters[start..end].iter().collect(),
        offset: start,
        spans: inside
            .map(|span| (span.0 - start, span.1 - start))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use dateline_proto::v1::{Actor, Article, Name};

    use super::*;

    fn marked(body: &mut Body, query: &str, stems: &Stems) -> Vec<(String, String)> {
        let query = Query::parse(query).unwrap().unwrap();
        let found = fragments(body, &query, stems).into_iter();
        found
            .map(|it| {
                let characters: Vec<char> = it.text.chars().collect();
                let words = it
                    .spans
                    .iter()
                    .map(|span| characters[span.0..span.1].iter().collect());
                (it.path, words.collect::<Vec<String>>().join("|"))
            })
            .collect()
    }

    #[test]
    fn what_matches_is_marked_in_the_text_as_it_is() {
        let name = Name {
            text: "Нурсултан Назарбаев".into(),
            ..Name::default()
        };
        let mut actor = Body::Actor(Actor {
            display_name: "Nursultan Nazarbayev".into(),
            names: vec![name],
            ..Actor::default()
        });
        let none = Stems::new();
        let expected = [
            ("display_name", "Nazarbayev"),
            ("names[0].text", "Назарбаев"),
        ];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(marked(&mut actor, "Nazarbaev ", &none), expected);
        let long = "x ".repeat(3000);
        let mut article = Body::Article(Article {
            headline: "👍 Talks".into(),
            body: format!("{long}👩 said the negotiators. {long}東京都は"),
            language_code: "en".into(),
            ..Article::default()
        });
        let stems = Stems::from([("negotiating".into(), vec!["negoti".into()])]);
        let expected = [("body".to_owned(), "negotiators".to_owned())];
        assert_eq!(marked(&mut article, "negotiating ", &stems), expected);
        let expected = [("body".to_owned(), "東京都".to_owned())];
        assert_eq!(marked(&mut article, "東京都", &none), expected);
        let query = Query::parse("negotiating ").unwrap().unwrap();
        let found = &fragments(&mut article, &query, &stems)[0];
        assert!(found.text.chars().count() <= MAX_LETTERS, "{found:?}");
        assert!(found.offset > 5000, "{found:?}");
    }
}
