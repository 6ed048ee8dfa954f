//! Places, quantities, participants, and rules that only actors, relations or events have.

use dateline_proto::v1::{
    Actor, Event, Participant, Place, Quantity, Relation, place::Precision, quantity::Bound,
    relation::Type,
};

use super::{RuleReporter, codes};
use crate::walk::StringFormat;

pub(super) fn check_place(place: &Place, report: &mut RuleReporter<'_>) {
    match (place.latitude, place.longitude) {
        (Some(_), None) => report.refuse("longitude", "must be set, for latitude is"),
        (None, Some(_)) => report.refuse("latitude", "must be set, for longitude is"),
        _ => {}
    }
    let placed = place.latitude.is_some() || place.longitude.is_some();
    if placed
        && matches!(
            place.precision(),
            Precision::Country | Precision::Subdivision
        )
    {
        let field = if place.latitude.is_some() {
            "latitude"
        } else {
            "longitude"
        };
        let what = "is only for a CITY or SITE: a country or subdivision is no point; leave it out";
        report.refuse(field, what);
    }
    // An unassigned code was already refused as a string.
    if let Some((region, _)) = place.subdivision_code.split_once('-')
        && codes::check(StringFormat::Subdivision, &place.subdivision_code).is_ok()
        && region != place.region_code
    {
        report.refuse(
            "region_code",
            format!("must be {region}, for subdivision_code is of that region"),
        );
    }
}

pub(super) fn check_quantity(quantity: &Quantity, report: &mut RuleReporter<'_>) {
    match (quantity.bound(), quantity.value) {
        (Bound::Exact | Bound::About | Bound::AtLeast | Bound::AtMost, None) => {
            let what = "must be set; if the source gives no number, the bound is UNQUANTIFIED";
            report.refuse("value", what);
        }
        (Bound::Unquantified, Some(_)) => {
            let what = "must be left out, for the bound is UNQUANTIFIED";
            report.refuse("value", what);
        }
        // An unset bound was already refused as an enum.
        _ => {}
    }
}

pub(super) fn check_participant(participant: &Participant, report: &mut RuleReporter<'_>) {
    if participant.actor.is_empty() && participant.display_name.is_empty() {
        let what = "must be set, as printed, for no actor is named";
        report.refuse("display_name", what);
    }
}

pub(super) fn check_actor(actor: &Actor, report: &mut RuleReporter<'_>) {
    let listed = |name: &str| actor.names.iter().any(|known| known.text == name);
    if !actor.names.is_empty() && !actor.display_name.is_empty() && !listed(&actor.display_name) {
        let what = "is not among the names; add it there, so that it is found and has a language";
        report.warn("display_name", "DISPLAY_NAME_NOT_IN_NAMES", what);
    }
}

pub(super) fn check_relation(relation: &Relation, report: &mut RuleReporter<'_>) {
    if !relation.subject.is_empty() && relation.subject == relation.object {
        let what = "is the subject too; a relation ties two actors, so name another one";
        report.refuse("object", what);
    }
    if relation.r#type() != Type::HoldsPosition {
        let fields = [
            ("role_title", &relation.role_title),
            ("on_behalf_of", &relation.on_behalf_of),
        ];
        for (field, _) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            let what = "tells of an office, but the type is not HOLDS_POSITION";
            report.warn(field, "OFFICE_WITHOUT_POSITION", what);
        }
    }
}

pub(super) fn check_event(event: &Event, report: &mut RuleReporter<'_>) {
    for (index, link) in event.links.iter().enumerate() {
        if !link.event.is_empty() && link.event == event.name {
            let what = "is this event itself; link to another one, or leave the link out";
            report.refuse(&format!("links[{index}].event"), what);
        }
    }
}
