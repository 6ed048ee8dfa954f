//! Actors, relations and events of a story, without their evidence.

use dateline_proto::v1::{
    Actor, Confidence, Event, EventLink, Name, Participant, Relation, actor::Type as ActorType,
    event, event_link, name, participant::Role, relation,
};

use super::{
    actor::{ActorProfile, named},
    dates,
    rng::SeededRng,
    story::StoryContext,
    values,
};

const CONFIDENCES: [Confidence; 4] = [
    Confidence::Unspecified,
    Confidence::Low,
    Confidence::Medium,
    Confidence::High,
];
const OFFICES: [&str; 5] = [
    "chair of the board",
    "deputy minister",
    "head of delegation",
    "spokesperson",
    "командир",
];
const PREFIXES: [&str; 4] = ["Dr.", "Gen. Lt.", "Prof.", "H.E."];

/// The record of an actor.
pub(super) fn actor(profile: &ActorProfile, rng: &mut SeededRng) -> Actor {
    let is_person = profile.r#type == ActorType::Person;
    let prefix = *rng.pick(&PREFIXES);
    let sometimes =
        |rng: &mut SeededRng, text: String| if rng.one_in(3) { text } else { String::new() };
    Actor {
        name: profile.name.clone(),
        r#type: profile.r#type.into(),
        display_name: profile.latin.clone(),
        names: names(profile, rng),
        description: format!("In the news from {} ({})", profile.city.1, profile.city.0),
        purpose: if is_person {
            String::new()
        } else {
            sometimes(
                rng,
                format!("To speak for {} where it is not heard.", profile.city.1),
            )
        },
        honorific_prefix: if is_person {
            sometimes(rng, prefix.to_owned())
        } else {
            String::new()
        },
        region_code: values::region(rng),
        headquarters: (!is_person && rng.one_in(2)).then(|| values::random_place("", rng)),
        active: (!is_person && rng.one_in(2)).then(|| dates::period(random_year(rng), rng)),
        external_ids: if rng.one_in(2) {
            vec![values::external("wikidata", rng)]
        } else {
            Vec::new()
        },
        ..Actor::default()
    }
}

fn random_year(rng: &mut SeededRng) -> i32 {
    rng.between(1991, 2026)
}

fn names(profile: &ActorProfile, rng: &mut SeededRng) -> Vec<Name> {
    use name::Type;
    let language = profile.language;
    let name = |text: String, language: &str, r#type: Type| Name {
        text,
        language_code: language.to_owned(),
        r#type: r#type.into(),
    };
    let mut names = vec![name(profile.latin.clone(), language.latin_tag, Type::Full)];
    if profile.has_native() {
        names.push(name(profile.native.clone(), language.tag, Type::Full));
    }
    if rng.one_in(3) {
        names.push(name(profile.short.clone(), language.latin_tag, Type::Short));
    }
    if profile.r#type == ActorType::Person {
        if rng.one_in(8) {
            let text = profile.latin.to_uppercase();
            names.push(name(text, "und-Latn", Type::Other));
        }
        return names;
    }
    if rng.one_in(2) {
        let letters = (0..rng.between(4, 6))
            .map(|_| char::from(b'A' + u8::try_from(rng.below(26)).unwrap_or(0)));
        names.push(name(letters.collect(), "und", Type::Acronym));
    }
    if rng.one_in(6) {
        names.push(name(format!("Old {}", profile.short), "en", Type::Former));
    }
    if rng.one_in(6) {
        names.push(name(format!("of {}", profile.city.1), "en", Type::Demonym));
    }
    names
}

/// A relation of one actor to another one, without evidence.
pub(super) fn relation(
    number: u64,
    subject: &ActorProfile,
    object: &ActorProfile,
    context: &StoryContext,
    rng: &mut SeededRng,
) -> Relation {
    use relation::Type;
    let types = [
        Type::HoldsPosition,
        Type::MemberOf,
        Type::PartOf,
        Type::Represents,
        Type::AccreditedTo,
        Type::CooperatesWith,
        Type::Succeeds,
    ];
    let r#type = *rng.pick(&types);
    let is_office = r#type == Type::HoldsPosition;
    let word = r#type.as_str_name().trim_start_matches("TYPE_");
    Relation {
        name: named("relations", &format!("{} {word}", subject.latin), number),
        r#type: r#type.into(),
        subject: subject.name.clone(),
        object: object.name.clone(),
        role_title: if is_office {
            (*rng.pick(&OFFICES)).to_owned()
        } else {
            String::new()
        },
        on_behalf_of: if is_office && rng.one_in(3) {
            context.earlier_name(rng)
        } else {
            String::new()
        },
        period: (!rng.one_in(4)).then(|| dates::period(random_year(rng), rng)),
        topics: if r#type == Type::CooperatesWith {
            values::topics(&[], rng)
        } else {
            Vec::new()
        },
        confidence: (*rng.pick(&CONFIDENCES)).into(),
        ..Relation::default()
    }
}

const EVENTS: [event::Type; 15] = [
    event::Type::Meeting,
    event::Type::Statement,
    event::Type::Agreement,
    event::Type::Appointment,
    event::Type::Election,
    event::Type::GovernmentChange,
    event::Type::Exercise,
    event::Type::Deployment,
    event::Type::Withdrawal,
    event::Type::Aid,
    event::Type::Sanction,
    event::Type::Protest,
    event::Type::Attack,
    event::Type::Disaster,
    event::Type::Other,
];

fn event_type(number: u64) -> event::Type {
    EVENTS[usize::try_from(number % 15).unwrap_or_default()]
}

/// The name depends on the number alone, so that later events can link to it.
fn event_name(number: u64) -> String {
    let word = event_type(number).as_str_name();
    named("events", word.trim_start_matches("TYPE_"), number)
}

/// An event in which one actor met another one, without evidence.
pub(super) fn event(
    number: u64,
    parties: [&ActorProfile; 2],
    capacity: &str,
    context: &StoryContext,
    rng: &mut SeededRng,
) -> Event {
    use event::{Form, Status};
    let r#type = event_type(number);
    let word = r#type
        .as_str_name()
        .trim_start_matches("TYPE_")
        .to_lowercase();
    let city = parties[0].city;
    let statuses = [
        Status::Occurred,
        Status::Occurred,
        Status::Ongoing,
        Status::Planned,
        Status::Cancelled,
    ];
    let subjects = [
        context.earlier_name(rng),
        earlier_event(number, rng),
        capacity.to_owned(),
    ];
    Event {
        name: event_name(number),
        r#type: r#type.into(),
        form: if rng.one_in(6) {
            Form::Series
        } else {
            Form::Single
        }
        .into(),
        status: (*rng.pick(&statuses)).into(),
        display_name: format!(
            "{} and {} in {} ({word} {number})",
            parties[0].latin, parties[1].latin, city.1
        ),
        summary: format!(
            "What {} and {} did in {}, as far as it was told.",
            parties[0].latin, parties[1].native, city.0
        ),
        purpose: if rng.one_in(4) {
            "To keep what was agreed from being forgotten.".to_owned()
        } else {
            String::new()
        },
        time: (!rng.one_in(6)).then(|| dates::period(random_year(rng), rng)),
        places: if rng.one_in(4) {
            Vec::new()
        } else {
            vec![values::random_place(&subjects[0], rng)]
        },
        participants: participants(parties, capacity, context, rng),
        topics: values::topics(&subjects, rng),
        links: links(number, rng),
        codes: if rng.one_in(2) {
            vec!["plover:CONSULT".to_owned()]
        } else {
            Vec::new()
        },
        confidence: (*rng.pick(&CONFIDENCES)).into(),
        ..Event::default()
    }
}

fn participants(
    parties: [&ActorProfile; 2],
    capacity: &str,
    context: &StoryContext,
    rng: &mut SeededRng,
) -> Vec<Participant> {
    let roles = [
        Role::Party,
        Role::Host,
        Role::Visitor,
        Role::Organizer,
        Role::Speaker,
        Role::Addressee,
        Role::Contributor,
        Role::Beneficiary,
        Role::Target,
    ];
    let mut all: Vec<_> = parties
        .iter()
        .map(|profile| Participant {
            actor: profile.name.clone(),
            display_name: profile.native.clone(),
            role: (*rng.pick(&roles)).into(),
            quantity: rng.one_in(3).then(|| values::quantity(rng)),
            ..Participant::default()
        })
        .collect();
    capacity.clone_into(&mut all[0].capacity);
    if rng.one_in(3) {
        all[1].on_behalf_of = context.earlier_name(rng);
    }
    if rng.one_in(3) {
        all.push(Participant {
            display_name: "its partners".to_owned(),
            role: Role::Addressee.into(),
            ..Participant::default()
        });
    }
    all
}

fn links(number: u64, rng: &mut SeededRng) -> Vec<EventLink> {
    use event_link::Type;
    let types = [
        Type::PartOf,
        Type::Before,
        Type::CoincidesWith,
        Type::RespondsTo,
        Type::RefersTo,
    ];
    let event = earlier_event(number, rng);
    if event.is_empty() || rng.one_in(2) {
        return Vec::new();
    }
    vec![EventLink {
        r#type: (*rng.pick(&types)).into(),
        event,
    }]
}

/// One of the last few hundred events before this one; none before the first.
fn earlier_event(number: u64, rng: &mut SeededRng) -> String {
    let reach = usize::try_from(number.min(300)).unwrap_or_default();
    match reach {
        0 => String::new(),
        reach => event_name(number - 1 - rng.below(reach) as u64),
    }
}
