//! Articles: a headline, and a body of some kilobytes with a long tail in length. The body contains the sentences that
//! the other records of the dispatch cite.

use dateline_proto::v1::{Article, Byline, SourceCredit, TextSpan, text_span::Part};

use super::{
    dates,
    dispatch::Desk,
    draw::Draw,
    figure::{Figure, named},
    languages::{Language, WRITTEN},
    pieces,
    text::{Text, Topic},
};

/// Most mentions that an article lists.
const MOST_MENTIONS: usize = 60;

/// A sentence that the article has to contain for one of the other records.
pub(super) struct Fact<'a> {
    pub template: fn(&'static Language) -> &'static str,
    pub about: Topic<'a>,
}

/// An article, with the spans of its headline and of each fact.
pub(super) struct Written {
    pub article: Article,
    pub headline: TextSpan,
    pub facts: Vec<TextSpan>,
}

/// Writes the article with this number.
pub(super) fn write(desk: &Desk, number: u64, facts: &[Fact<'_>], draw: &mut Draw) -> Written {
    let language = if draw.one_in(2) {
        WRITTEN[0]
    } else {
        *draw.pick(WRITTEN)
    };
    let cast = cast(desk, draw);
    let year = draw.between(1991, 2026);
    let mut headline = Text::new(Part::Headline, language);
    let about = topic(&cast, "", draw);
    let template = draw.pick(language.headlines);
    let titled = headline.sentence(template, &about, draw);
    let (body, spans) = body(language, &cast, facts, draw);
    let mut mentions = headline.mentions;
    mentions.extend(body.mentions);
    mentions.truncate(MOST_MENTIONS);
    let called = about.actors[0].0;
    let title = format!("{} in the news", called.latin);
    let article = Article {
        name: named("articles", &title, number),
        headline: headline.written,
        body: body.written,
        language_code: language.tag.to_owned(),
        summary: first_words(&spans),
        publisher: linked(desk, draw),
        bylines: bylines(&cast, draw),
        published: (!draw.one_in(6)).then(|| dates::day_of(year, draw)),
        source_url: format!(
            "https://news.example.org/{}/{year}/{number}",
            &language.tag[..2]
        ),
        sources: sources(&cast, draw),
        topics: pieces::topics(&[], draw),
        mentions,
        usage_terms: if draw.one_in(4) {
            "For editorial use only; no archiving after 30 days.".to_owned()
        } else {
            String::new()
        },
        ..Article::default()
    };
    Written {
        article,
        headline: titled,
        facts: spans,
    }
}

/// The actors of the article, each once, and whether a record exists to link to.
fn cast(desk: &Desk, draw: &mut Draw) -> Vec<(Figure, bool)> {
    let mut cast: Vec<(Figure, bool)> = Vec::new();
    for _ in 0..draw.between(3, 7) {
        let known = |figure: &Figure| cast.iter().any(|(known, _)| known.name == figure.name);
        if let Some(figure) = desk.earlier(draw).filter(|figure| !known(figure)) {
            cast.push((figure, true));
        }
    }
    if cast.len() < 2 {
        // At least two: if necessary the actors of this dispatch, named before their records exist.
        cast.extend(desk.coming().map(|figure| (figure, false)));
    }
    cast
}

fn body(
    language: &'static Language,
    cast: &[(Figure, bool)],
    facts: &[Fact<'_>],
    draw: &mut Draw,
) -> (Text, Vec<TextSpan>) {
    let mut text = Text::new(Part::Body, language);
    // The length doubles for each head in a row of coin tosses: most articles are short, few are very long.
    let mut sentences = 6 + draw.below(14);
    for _ in 0..6 {
        if !draw.one_in(2) {
            break;
        }
        sentences *= 2;
    }
    let mut left = facts.iter();
    let mut spans = Vec::new();
    let mut in_paragraph = 0;
    for number in 0..sentences.max(facts.len() * 2) {
        let between = if in_paragraph == 0 { "\n\n" } else { " " };
        text.space(between);
        in_paragraph = if in_paragraph < 3 && !draw.one_in(4) {
            in_paragraph + 1
        } else {
            0
        };
        // Facts come early, as in news style, with filler between them.
        let fact = if number % 2 == 0 { left.next() } else { None };
        if let Some(fact) = fact {
            spans.push(text.sentence((fact.template)(language), &fact.about, draw));
        } else {
            let about = topic(cast, "", draw);
            let template = draw.pick(language.filler);
            text.sentence(template, &about, draw);
        }
    }
    (text, spans)
}

/// Two different actors, if there are two.
fn topic<'a>(cast: &'a [(Figure, bool)], date: &'a str, draw: &mut Draw) -> Topic<'a> {
    let first = draw.below(cast.len());
    let second = (first + 1 + draw.below(cast.len() - 1)) % cast.len();
    let of = |index: usize| (&cast[index].0, cast[index].1);
    Topic {
        actors: [of(first), of(second)],
        date,
    }
}

fn first_words(spans: &[TextSpan]) -> String {
    spans
        .first()
        .map(|span| span.exact.clone())
        .unwrap_or_default()
}

fn linked(desk: &Desk, draw: &mut Draw) -> String {
    desk.earlier(draw)
        .map(|figure| figure.name)
        .unwrap_or_default()
}

fn bylines(cast: &[(Figure, bool)], draw: &mut Draw) -> Vec<Byline> {
    let count = draw.below(3).min(cast.len());
    let roles = ["author", "photographer", "translator"];
    cast[..count]
        .iter()
        .zip(roles)
        .map(|((figure, is_linked), role)| Byline {
            display_name: figure.latin.clone(),
            actor: reference(figure, *is_linked),
            role: role.to_owned(),
        })
        .collect()
}

fn sources(cast: &[(Figure, bool)], draw: &mut Draw) -> Vec<SourceCredit> {
    let count = draw.below(4).min(cast.len());
    cast[cast.len() - count..]
        .iter()
        .map(|(figure, is_linked)| SourceCredit {
            display_name: figure.native.clone(),
            actor: reference(figure, *is_linked),
            url: if draw.one_in(3) {
                "https://example.org/wire".to_owned()
            } else {
                String::new()
            },
        })
        .collect()
}

fn reference(figure: &Figure, is_linked: bool) -> String {
    if is_linked {
        figure.name.clone()
    } else {
        String::new()
    }
}
