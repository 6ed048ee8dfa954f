//! A dispatch: ten records that belong together. Three articles come first, then two actors, two relations and three
//! events that cite the articles; each refers only to earlier records.

use dateline_proto::v1::{
    Actor, Event, Evidence, Record, Relation, TextSpan, evidence::Modality, record::Kind as Body,
};

use super::{
    articles::{self, Fact, Written},
    dates, drafts,
    draw::Draw,
    figure::Figure,
    text::Topic,
};

/// Records of a dispatch.
pub(super) const RECORDS: usize = 10;
const ARTICLES: u64 = 3;
const ACTORS: u64 = 2;
const RELATIONS: u64 = 2;
const EVENTS: u64 = 3;

/// Seed and number of a dispatch; gives access to its actors and to those of earlier dispatches.
pub(super) struct Desk {
    seed: u64,
    dispatch: u64,
}

impl Desk {
    /// An actor of an earlier dispatch.
    pub(super) fn earlier(&self, draw: &mut Draw) -> Option<Figure> {
        Figure::earlier(self.seed, self.dispatch * ACTORS, draw)
    }

    /// The name of an actor of an earlier dispatch; empty if there is none yet.
    pub(super) fn earlier_name(&self, draw: &mut Draw) -> String {
        self.earlier(draw)
            .map(|figure| figure.name)
            .unwrap_or_default()
    }

    /// The actors of this dispatch.
    pub(super) fn coming(&self) -> [Figure; 2] {
        let first = self.dispatch * ACTORS;
        [first, first + 1].map(|number| Figure::of(self.seed, number))
    }
}

/// The two actors of a record: a new one of this dispatch, and an earlier or second new one.
struct Pair<'a> {
    coming: &'a Figure,
    other: &'a Figure,
    is_other_known: bool,
}

impl<'a> Pair<'a> {
    fn topic(&self, date: &'a str) -> Topic<'a> {
        Topic {
            actors: [(self.coming, false), (self.other, self.is_other_known)],
            date,
        }
    }
}

/// The records of a dispatch, in order.
pub(super) fn records(seed: u64, dispatch: u64) -> Vec<Record> {
    let desk = Desk { seed, dispatch };
    let mut draw = Draw::new(seed, 2 * dispatch);
    let figures = desk.coming();
    let known = [desk.earlier(&mut draw), desk.earlier(&mut draw)];
    let pairs = [0, 1].map(|index: usize| Pair {
        coming: &figures[index],
        other: known[index].as_ref().unwrap_or(&figures[1 - index]),
        is_other_known: known[index].is_some(),
    });
    let mut actors = [0, 1].map(|index: usize| drafts::actor(&figures[index], &mut draw));
    let mut relations = [0, 1].map(|index: usize| {
        let number = dispatch * RELATIONS + index as u64;
        let pair = &pairs[index];
        drafts::relation(number, pair.coming, pair.other, &desk, &mut draw)
    });
    let mut events = [0, 1, 2].map(|index: usize| {
        let number = dispatch * EVENTS + index as u64;
        let pair = &pairs[index % 2];
        let capacity = &relations[index % 2].name;
        drafts::event(
            number,
            [pair.coming, pair.other],
            capacity,
            &desk,
            &mut draw,
        )
    });
    let facts = facts(&pairs, &actors, &relations, &events);
    let written = [0, 1, 2].map(|index: usize| {
        let number = dispatch * ARTICLES + index as u64;
        let of: Vec<_> = facts.iter().skip(index).step_by(3).map(copy).collect();
        articles::write(&desk, number, &of, &mut draw)
    });
    drop(facts);
    let mut cite =
        |fact: usize, supports: Vec<String>| evidence(&written, fact, &supports, &desk, &mut draw);
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
        about: pairs[index].topic(dates::words(relation.period.as_ref())),
    });
    let happenings = events.iter().enumerate().map(|(index, event)| Fact {
        template: |language| language.happening,
        about: pairs[index % 2].topic(dates::words(event.time.as_ref())),
    });
    appearances.chain(ties).chain(happenings).collect()
}

fn copy<'a>(fact: &Fact<'a>) -> Fact<'a> {
    Fact {
        template: fact.template,
        about: Topic {
            actors: fact.about.actors,
            date: fact.about.date,
        },
    }
}

/// Evidence for a fact: the sentence that was written for it, and sometimes more.
fn evidence(
    written: &[Written; 3],
    fact: usize,
    supports: &[String],
    desk: &Desk,
    draw: &mut Draw,
) -> Vec<Evidence> {
    let article = &written[fact % 3];
    let quote = article.facts[fact / 3].clone();
    let modalities = [
        Modality::Asserted,
        Modality::Asserted,
        Modality::Claimed,
        Modality::Implied,
    ];
    let modality = *draw.pick(&modalities);
    let mut all = vec![entry(
        article,
        Some(quote),
        modality,
        supports.to_vec(),
        desk,
        draw,
    )];
    if draw.one_in(3) {
        let other = &written[(fact + 1) % 3];
        let modality = if draw.one_in(2) {
            Modality::Contradicts
        } else {
            Modality::Asserted
        };
        all.push(entry(
            other,
            Some(other.headline.clone()),
            modality,
            Vec::new(),
            desk,
            draw,
        ));
    }
    if draw.one_in(6) {
        all.push(entry(
            &written[(fact + 2) % 3],
            None,
            Modality::Asserted,
            Vec::new(),
            desk,
            draw,
        ));
    }
    all
}

fn entry(
    from: &Written,
    quote: Option<TextSpan>,
    modality: Modality,
    supports: Vec<String>,
    desk: &Desk,
    draw: &mut Draw,
) -> Evidence {
    let said_by = match modality {
        Modality::Claimed => desk.earlier(draw),
        _ => None,
    };
    // In the first dispatch there is no actor yet who could have made the claim.
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
        attributed_to: said_by.map(|figure| figure.name).into_iter().collect(),
        note: match modality {
            Modality::Implied => "Read out of the order in which both are named.".to_owned(),
            Modality::Contradicts => "The headline says otherwise.".to_owned(),
            _ => String::new(),
        },
    }
}

fn in_order(
    written: [Written; 3],
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
