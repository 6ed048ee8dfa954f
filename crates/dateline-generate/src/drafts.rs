//! Actors, relations and events of a dispatch, without their evidence.

use dateline_proto::v1::{
    Actor, Confidence, Event, EventLink, Name, Participant, Relation, actor::Type as ActorType,
    event, event_link, name, participant::Role, relation,
};

use super::{
    dates,
    dispatch::Desk,
    draw::Draw,
    figure::{Figure, named},
    pieces,
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
pub(super) fn actor(figure: &Figure, draw: &mut Draw) -> Actor {
    let is_person = figure.r#type == ActorType::Person;
    let prefix = *draw.pick(&PREFIXES);
    let sometimes =
        |draw: &mut Draw, text: String| if draw.one_in(3) { text } else { String::new() };
    Actor {
        name: figure.name.clone(),
        r#type: figure.r#type.into(),
        display_name: figure.latin.clone(),
        names: names(figure, draw),
        description: format!("In the news from {} ({})", figure.city.1, figure.city.0),
        purpose: if is_person {
            String::new()
        } else {
            sometimes(
                draw,
                format!("To speak for {} where it is not heard.", figure.city.1),
            )
        },
        honorific_prefix: if is_person {
            sometimes(draw, prefix.to_owned())
        } else {
            String::new()
        },
        region_code: pieces::region(draw),
        headquarters: (!is_person && draw.one_in(2)).then(|| pieces::place("", draw)),
        active: (!is_person && draw.one_in(2)).then(|| dates::period(draw_year(draw), draw)),
        external_ids: if draw.one_in(2) {
            vec![pieces::external("wikidata", draw)]
        } else {
            Vec::new()
        },
        ..Actor::default()
    }
}

fn draw_year(draw: &mut Draw) -> i32 {
    draw.between(1991, 2026)
}

fn names(figure: &Figure, draw: &mut Draw) -> Vec<Name> {
    use name::Type;
    let language = figure.language;
    let name = |text: String, language: &str, r#type: Type| Name {
        text,
        language_code: language.to_owned(),
        r#type: r#type.into(),
    };
    let mut names = vec![name(figure.latin.clone(), language.latin_tag, Type::Full)];
    if figure.has_native() {
        names.push(name(figure.native.clone(), language.tag, Type::Full));
    }
    if draw.one_in(3) {
        names.push(name(figure.short.clone(), language.latin_tag, Type::Short));
    }
    if figure.r#type == ActorType::Person {
        if draw.one_in(8) {
            let text = figure.latin.to_uppercase();
            names.push(name(text, "und-Latn", Type::Other));
        }
        return names;
    }
    if draw.one_in(2) {
        let letters = (0..draw.between(4, 6))
            .map(|_| char::from(b'A' + u8::try_from(draw.below(26)).unwrap_or(0)));
        names.push(name(letters.collect(), "und", Type::Acronym));
    }
    if draw.one_in(6) {
        names.push(name(format!("Old {}", figure.short), "en", Type::Former));
    }
    if draw.one_in(6) {
        names.push(name(format!("of {}", figure.city.1), "en", Type::Demonym));
    }
    names
}

/// A relation of one actor to another one, without evidence.
pub(super) fn relation(
    number: u64,
    subject: &Figure,
    object: &Figure,
    desk: &Desk,
    draw: &mut Draw,
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
    let r#type = *draw.pick(&types);
    let is_office = r#type == Type::HoldsPosition;
    let word = r#type.as_str_name().trim_start_matches("TYPE_");
    Relation {
        name: named("relations", &format!("{} {word}", subject.latin), number),
        r#type: r#type.into(),
        subject: subject.name.clone(),
        object: object.name.clone(),
        role_title: if is_office {
            (*draw.pick(&OFFICES)).to_owned()
        } else {
            String::new()
        },
        on_behalf_of: if is_office && draw.one_in(3) {
            desk.earlier_name(draw)
        } else {
            String::new()
        },
        period: (!draw.one_in(4)).then(|| dates::period(draw_year(draw), draw)),
        topics: if r#type == Type::CooperatesWith {
            pieces::topics(&[], draw)
        } else {
            Vec::new()
        },
        confidence: (*draw.pick(&CONFIDENCES)).into(),
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
    parties: [&Figure; 2],
    capacity: &str,
    desk: &Desk,
    draw: &mut Draw,
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
        desk.earlier_name(draw),
        earlier_event(number, draw),
        capacity.to_owned(),
    ];
    Event {
        name: event_name(number),
        r#type: r#type.into(),
        form: if draw.one_in(6) {
            Form::Series
        } else {
            Form::Single
        }
        .into(),
        status: (*draw.pick(&statuses)).into(),
        display_name: format!(
            "{} and {} in {} ({word} {number})",
            parties[0].latin, parties[1].latin, city.1
        ),
        summary: format!(
            "What {} and {} did in {}, as far as it was told.",
            parties[0].latin, parties[1].native, city.0
        ),
        purpose: if draw.one_in(4) {
            "To keep what was agreed from being forgotten.".to_owned()
        } else {
            String::new()
        },
        time: (!draw.one_in(6)).then(|| dates::period(draw_year(draw), draw)),
        places: if draw.one_in(4) {
            Vec::new()
        } else {
            vec![pieces::place(&subjects[0], draw)]
        },
        participants: participants(parties, capacity, desk, draw),
        topics: pieces::topics(&subjects, draw),
        links: links(number, draw),
        codes: if draw.one_in(2) {
            vec!["plover:CONSULT".to_owned()]
        } else {
            Vec::new()
        },
        confidence: (*draw.pick(&CONFIDENCES)).into(),
        ..Event::default()
    }
}

fn participants(
    parties: [&Figure; 2],
    capacity: &str,
    desk: &Desk,
    draw: &mut Draw,
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
        .map(|figure| Participant {
            actor: figure.name.clone(),
            display_name: figure.native.clone(),
            role: (*draw.pick(&roles)).into(),
            quantity: draw.one_in(3).then(|| pieces::quantity(draw)),
            ..Participant::default()
        })
        .collect();
    capacity.clone_into(&mut all[0].capacity);
    if draw.one_in(3) {
        all[1].on_behalf_of = desk.earlier_name(draw);
    }
    if draw.one_in(3) {
        all.push(Participant {
            display_name: "its partners".to_owned(),
            role: Role::Addressee.into(),
            ..Participant::default()
        });
    }
    all
}

fn links(number: u64, draw: &mut Draw) -> Vec<EventLink> {
    use event_link::Type;
    let types = [
        Type::PartOf,
        Type::Before,
        Type::CoincidesWith,
        Type::RespondsTo,
        Type::RefersTo,
    ];
    let event = earlier_event(number, draw);
    if event.is_empty() || draw.one_in(2) {
        return Vec::new();
    }
    vec![EventLink {
        r#type: (*draw.pick(&types)).into(),
        event,
    }]
}

/// One of the last few hundred events before this one; none before the first.
fn earlier_event(number: u64, draw: &mut Draw) -> String {
    let reach = usize::try_from(number.min(300)).unwrap_or_default();
    match reach {
        0 => String::new(),
        reach => event_name(number - 1 - draw.below(reach) as u64),
    }
}
