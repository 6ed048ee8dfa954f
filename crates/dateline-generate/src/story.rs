//! A story: ten records that belong together. Three articles come first, then two actors, two relations and three
//! events that cite the articles; each refers only to earlier records.

use dateline_proto::v1::{
    Actor, Event, Evidence, Record, Relation, TextSpan, evidence::Modality, record::Kind as Body,
};

use super::{
    actor::ActorProfile,
    articles::{self, Fact, WrittenArticle},
    dates, drafts,
    rng::SeededRng,
    text::TemplateArgs,
};

/// Records of a story.
pub(super) const RECORDS: usize = 10;
const ARTICLES: u64 = 3;
const ACTORS: u64 = 2;
const RELATIONS: u64 = 2;
const EVENTS: u64 = 3;

/// Seed and number of a story; gives access to its actors and to those of earlier stories.
pub(super) struct StoryContext {
    seed: u64,
    story: u64,
}

impl StoryContext {
    /// An actor of an earlier story.
    pub(super) fn earlier(&self, rng: &mut SeededRng) -> Option<ActorProfile> {
        ActorProfile::earlier(self.seed, self.story * ACTORS, rng)
    }

    /// The name of an actor of an earlier story; empty if there is none yet.
    pub(super) fn earlier_name(&self, rng: &mut SeededRng) -> String {
        self.earlier(rng)
            .map(|profile| profile.name)
            .unwrap_or_default()
    }

    /// The actors of this story.
    pub(super) fn introduced(&self) -> [ActorProfile; 2] {
        let first = self.story * ACTORS;
        [first, first + 1].map(|number| ActorProfile::from_number(self.seed, number))
    }
}

/// The two actors of a record: a new one of this story, and an earlier or second new one.
struct Pair<'a> {
    introduced: &'a ActorProfile,
    other: &'a ActorProfile,
    is_other_known: bool,
}

impl<'a> Pair<'a> {
    fn topic(&self, date: &'a str) -> TemplateArgs<'a> {
        TemplateArgs {
            actors: [(self.introduced, false), (self.other, self.is_other_known)],
            date,
        }
    }
}

/// The records of a story, in order.
pub(super) fn records(seed: u64, story: u64) -> Vec<Record> {
    let context = StoryContext { seed, story };
    let mut rng = SeededRng::new(seed, 2 * story);
    let profiles = context.introduced();
    let known = [context.earlier(&mut rng), context.earlier(&mut rng)];
    let pairs = [0, 1].map(|index: usize| Pair {
        introduced: &profiles[index],
        other: known[index].as_ref().unwrap_or(&profiles[1 - index]),
        is_other_known: known[index].is_some(),
    });
    let mut actors = [0, 1].map(|index: usize| drafts::actor(&profiles[index], &mut rng));
    let mut relations = [0, 1].map(|index: usize| {
        let number = story * RELATIONS + index as u64;
        let pair = &pairs[index];
        drafts::relation(number, pair.introduced, pair.other, &context, &mut rng)
    });
    let mut events = [0, 1, 2].map(|index: usize| {
        let number = story * EVENTS + index as u64;
        let pair = &pairs[index % 2];
        let capacity = &relations[index % 2].name;
        drafts::event(
            number,
            [pair.introduced, pair.other],
            capacity,
            &context,
            &mut rng,
        )
    });
    let facts = facts(&pairs, &actors, &relations, &events);
    let written = [0, 1, 2].map(|index: usize| {
        let number = story * ARTICLES + index as u64;
        let of: Vec<_> = facts
            .iter()
            .skip(index)
            .step_by(3)
            .map(clone_fact)
            .collect();
        articles::write(&context, number, &of, &mut rng)
    });
    drop(facts);
    let mut cite = |fact: usize, supports: Vec<String>| {
        evidence(&written, fact, &supports, &context, &mut rng)
    };
    for (index, actor) in actors.iter_mut().enumerate() {
        actor.evidence = cite(
            index,
            vec!["type".to_owned(), format!("names[{}]", actor.display_name)],
        );
    }
    for (index, relation) in relations.iter_mut().enumerate() {
        let time = relation.period.is_some().then_some("period");
        let supports = ["subject", "object"].into_iter().chain(time);
        relation.evidence = cite(2 + index, supports.map(str::to_owned).collect());
    }
    for (index, event) in events.iter_mut().enumerate() {
        let time = event.time.is_some().then(|| "time".to_owned());
        let party = format!("participants[{}]", event.participants[0].actor);
        event.evidence = cite(4 + index, [party].into_iter().chain(time).collect());
    }
    in_order(written, actors, relations, events)
}

fn facts<'a>(
    pairs: &'a [Pair<'a>; 2],
    actors: &[Actor; 2],
    relations: &'a [Relation; 2],
    events: &'a [Event; 3],
) -> Vec<Fact<'a>> {
    let appearances = (0..actors.len()).map(|index| Fact {
        template: |language| language.appearance,
        about: pairs[index].topic("2021"),
    });
    let ties = relations.iter().enumerate().map(|(index, relation)| Fact {
        template: |language| language.tie,
        about: pairs[index].topic(dates::first_date_text(relation.period.as_ref())),
    });
    let happenings = events.iter().enumerate().map(|(index, event)| Fact {
        template: |language| language.happening,
        about: pairs[index % 2].topic(dates::first_date_text(event.time.as_ref())),
    });
    appearances.chain(ties).chain(happenings).collect()
}

fn clone_fact<'a>(fact: &Fact<'a>) -> Fact<'a> {
    Fact {
        template: fact.template,
        about: TemplateArgs {
            actors: fact.about.actors,
            date: fact.about.date,
        },
    }
}

/// Evidence for a fact: the sentence that was written for it, and sometimes more.
fn evidence(
    written: &[WrittenArticle; 3],
    fact: usize,
    supports: &[String],
    context: &StoryContext,
    rng: &mut SeededRng,
) -> Vec<Evidence> {
    let article = &written[fact % 3];
    let quote = article.facts[fact / 3].clone();
    let modalities = [
        Modality::Asserted,
        Modality::Asserted,
        Modality::Claimed,
        Modality::Implied,
    ];
    let modality = *rng.pick(&modalities);
    let mut all = vec![entry(
        article,
        Some(quote),
        modality,
        supports.to_vec(),
        context,
        rng,
    )];
    if rng.one_in(3) {
        let other = &written[(fact + 1) % 3];
        let modality = if rng.one_in(2) {
            Modality::Contradicts
        } else {
            Modality::Asserted
        };
        all.push(entry(
            other,
            Some(other.headline.clone()),
            modality,
            Vec::new(),
            context,
            rng,
        ));
    }
    if rng.one_in(6) {
        all.push(entry(
            &written[(fact + 2) % 3],
            None,
            Modality::Asserted,
            Vec::new(),
            context,
            rng,
        ));
    }
    all
}

fn entry(
    from: &WrittenArticle,
    quote: Option<TextSpan>,
    modality: Modality,
    supports: Vec<String>,
    context: &StoryContext,
    rng: &mut SeededRng,
) -> Evidence {
    let said_by = match modality {
        Modality::Claimed => context.earlier(rng),
        _ => None,
    };
    // In the first story there is no actor yet who could have made the claim.
    let is_unsaid = modality == Modality::Claimed && said_by.is_none();
    let modality = if is_unsaid {
        Modality::Asserted
    } else {
        modality
    };
    Evidence {
        article: from.article.name.clone(),
        article_revision: 1,
        quote,
        supports,
        modality: modality.into(),
        attributed_to: said_by.map(|profile| profile.name).into_iter().collect(),
        note: match modality {
            Modality::Implied => "Read out of the order in which both are named.".to_owned(),
            Modality::Contradicts => "The headline says otherwise.".to_owned(),
            _ => String::new(),
        },
    }
}

fn in_order(
    written: [WrittenArticle; 3],
    actors: [Actor; 2],
    relations: [Relation; 2],
    events: [Event; 3],
) -> Vec<Record> {
    let [first, second, third] = written.map(|written| Body::Article(written.article));
    let [one, other] = actors.map(Body::Actor);
    let [tie, bond] = relations.map(Body::Relation);
    let [morning, noon, night] = events.map(Body::Event);
    let all = [
        first, second, third, one, other, tie, bond, morning, noon, night,
    ];
    all.into_iter().map(Record::from).collect()
}
