//! Articles: a headline, and a body of some kilobytes with a long tail in length. The body contains the sentences that
//! the other records of the story cite.

use dateline_proto::v1::{Article, Byline, SourceCredit, TextSpan, text_span::Part};

use super::{
    actor::{ActorProfile, named},
    dates,
    languages::Language,
    phrases::WRITTEN,
    rng::SeededRng,
    story::StoryContext,
    text::{TemplateArgs, Text},
    values,
};

/// Most mentions that an article lists.
const MAX_MENTIONS: usize = 60;

/// A sentence that the article has to contain for one of the other records.
pub(super) struct Fact<'a> {
    pub template: fn(&'static Language) -> &'static str,
    pub about: TemplateArgs<'a>,
}

/// An article, with the spans of its headline and of each fact.
pub(super) struct WrittenArticle {
    pub article: Article,
    pub headline: TextSpan,
    pub facts: Vec<TextSpan>,
}

/// Writes the article with this number.
pub(super) fn write(
    context: &StoryContext,
    number: u64,
    facts: &[Fact<'_>],
    rng: &mut SeededRng,
) -> WrittenArticle {
    let language = if rng.one_in(2) {
        WRITTEN[0]
    } else {
        *rng.pick(WRITTEN)
    };
    let cast = cast(context, rng);
    let year = rng.between(1991, 2026);
    let mut headline = Text::new(Part::Headline, language);
    let about = topic(&cast, "", rng);
    let template = rng.pick(language.headlines);
    let titled = headline.sentence(template, &about, rng);
    let (body, spans) = body(language, &cast, facts, rng);
    let mut mentions = headline.mentions;
    mentions.extend(body.mentions);
    mentions.truncate(MAX_MENTIONS);
    let called = about.actors[0].0;
    let title = format!("{} in the news", called.latin);
    let article = Article {
        name: named("articles", &title, number),
        headline: headline.written,
        body: body.written,
        language_code: language.tag.to_owned(),
        summary: first_words(&spans),
        publisher: linked(context, rng),
        bylines: bylines(&cast, rng),
        published: (!rng.one_in(6)).then(|| dates::day_of(year, rng)),
        source_url: format!(
            "https://news.example.org/{}/{year}/{number}",
            &language.tag[..2]
        ),
        sources: sources(&cast, rng),
        topics: values::topics(&[], rng),
        mentions,
        usage_terms: if rng.one_in(4) {
            "For editorial use only; no archiving after 30 days.".to_owned()
        } else {
            String::new()
        },
        ..Article::default()
    };
    WrittenArticle {
        article,
        headline: titled,
        facts: spans,
    }
}

/// The actors of the article, each once, and whether a record exists to link to.
fn cast(context: &StoryContext, rng: &mut SeededRng) -> Vec<(ActorProfile, bool)> {
    let mut cast: Vec<(ActorProfile, bool)> = Vec::new();
    for _ in 0..rng.between(3, 7) {
        let known =
            |profile: &ActorProfile| cast.iter().any(|(known, _)| known.name == profile.name);
        if let Some(profile) = context.earlier(rng).filter(|profile| !known(profile)) {
            cast.push((profile, true));
        }
    }
    if cast.len() < 2 {
        // At least two: if necessary the actors of this story, named before their records exist.
        cast.extend(context.introduced().map(|profile| (profile, false)));
    }
    cast
}

fn body(
    language: &'static Language,
    cast: &[(ActorProfile, bool)],
    facts: &[Fact<'_>],
    rng: &mut SeededRng,
) -> (Text, Vec<TextSpan>) {
    let mut text = Text::new(Part::Body, language);
    // The length doubles for each head in a row of coin tosses: most articles are short, few are very long.
    let mut sentences = 6 + rng.below(14);
    for _ in 0..6 {
        if !rng.one_in(2) {
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
        in_paragraph = if in_paragraph < 3 && !rng.one_in(4) {
            in_paragraph + 1
        } else {
            0
        };
        // Facts come early, as in news style, with filler between them.
        let fact = if number % 2 == 0 { left.next() } else { None };
        if let Some(fact) = fact {
            spans.push(text.sentence((fact.template)(language), &fact.about, rng));
        } else {
            let about = topic(cast, "", rng);
            let template = rng.pick(language.filler);
            text.sentence(template, &about, rng);
        }
    }
    (text, spans)
}

/// Two different actors, if there are two.
fn topic<'a>(
    cast: &'a [(ActorProfile, bool)],
    date: &'a str,
    rng: &mut SeededRng,
) -> TemplateArgs<'a> {
    let first = rng.below(cast.len());
    let second = (first + 1 + rng.below(cast.len() - 1)) % cast.len();
    let of = |index: usize| (&cast[index].0, cast[index].1);
    TemplateArgs {
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

fn linked(context: &StoryContext, rng: &mut SeededRng) -> String {
    context
        .earlier(rng)
        .map(|profile| profile.name)
        .unwrap_or_default()
}

fn bylines(cast: &[(ActorProfile, bool)], rng: &mut SeededRng) -> Vec<Byline> {
    let count = rng.below(3).min(cast.len());
    let roles = ["author", "photographer", "translator"];
    cast[..count]
        .iter()
        .zip(roles)
        .map(|((profile, is_linked), role)| Byline {
            display_name: profile.latin.clone(),
            actor: reference(profile, *is_linked),
            role: role.to_owned(),
        })
        .collect()
}

fn sources(cast: &[(ActorProfile, bool)], rng: &mut SeededRng) -> Vec<SourceCredit> {
    let count = rng.below(4).min(cast.len());
    cast[cast.len() - count..]
        .iter()
        .map(|(profile, is_linked)| SourceCredit {
            display_name: profile.native.clone(),
            actor: reference(profile, *is_linked),
            url: if rng.one_in(3) {
                "https://example.org/wire".to_owned()
            } else {
                String::new()
            },
        })
        .collect()
}

fn reference(profile: &ActorProfile, is_linked: bool) -> String {
    if is_linked {
        profile.name.clone()
    } else {
        String::new()
    }
}
