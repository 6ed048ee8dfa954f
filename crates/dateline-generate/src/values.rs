//! Small values that several kinds share: topics, places, external ids.

use dateline_proto::v1::{ExternalId, Place, Quantity, Topic, place::Precision, quantity::Bound};

use super::rng::SeededRng;

/// Id, label and IPTC media topic.
const TOPICS: [(&str, &str, &str); 12] = [
    ("armed-conflict", "armed conflict", "medtop:20000056"),
    ("civil-unrest", "civil unrest", "medtop:20000065"),
    ("diplomacy", "diplomacy", "medtop:20000638"),
    ("elections", "elections", "medtop:20000574"),
    ("energy", "energy and resources", ""),
    ("health", "public health", "medtop:07000000"),
    ("humanitarian-aid", "humanitarian aid", ""),
    (
        "international-treaty",
        "international treaty",
        "medtop:20000641",
    ),
    ("migration", "migration", ""),
    ("peacekeeping", "peacekeeping", "medtop:20000062"),
    ("schools", "schools", "medtop:05000000"),
    ("trade", "trade", ""),
];

/// Region, subdivision, city, and its latitude and longitude in ten-thousandths of a degree.
type Spot = (&'static str, &'static str, &'static str, i32, i32);

const SPOTS: [Spot; 12] = [
    ("KZ", "KZ-75", "Almaty", 432_400, 768_900),
    ("US", "US-FL", "Tampa", 279_500, -824_600),
    ("FR", "FR-75C", "Paris", 488_600, 23_500),
    ("GR", "GR-I", "Athens", 379_800, 237_300),
    ("CN", "CN-SC", "Chengdu", 305_700, 1_040_700),
    ("JO", "JO-AM", "Amman", 319_500, 359_300),
    ("GE", "GE-AJ", "Batumi", 416_200, 416_400),
    ("IN", "IN-RJ", "Jaipur", 269_100, 757_900),
    ("KR", "KR-26", "Busan", 351_800, 1_290_800),
    ("KE", "KE-30", "Nairobi", -12_900, 368_200),
    ("GB", "GB-LDS", "Leeds", 538_000, -15_500),
    ("XK", "", "Pristina", 426_700, 211_700),
];

const UNITS: [&str; 5] = ["peacekeeper", "tonne", "volunteer", "USD", "troops"];

/// Some topics, each once; their subjects are among these names.
pub(super) fn topics(subjects: &[String], rng: &mut SeededRng) -> Vec<Topic> {
    let first = rng.below(TOPICS.len());
    (0..rng.below(4))
        .map(|step| {
            let (id, label, code) = TOPICS[(first + step * 5) % TOPICS.len()];
            Topic {
                id: id.to_owned(),
                label: label.to_owned(),
                code: code.to_owned(),
                subject: subjects.get(step).cloned().unwrap_or_default(),
            }
        })
        .collect()
}

/// The code of a region.
pub(super) fn region(rng: &mut SeededRng) -> String {
    rng.pick(&SPOTS).0.to_owned()
}

/// A place of varying precision.
pub(super) fn random_place(venue: &str, rng: &mut SeededRng) -> Place {
    let (region, subdivision, city, latitude, longitude) = *rng.pick(&SPOTS);
    let precisions = [
        Precision::Country,
        Precision::Subdivision,
        Precision::City,
        Precision::Site,
    ];
    let mut precision = *rng.pick(&precisions);
    if subdivision.is_empty() && precision == Precision::Subdivision {
        precision = Precision::Country;
    }
    let mut place = Place {
        display_name: region.to_owned(),
        precision: precision.into(),
        region_code: region.to_owned(),
        ..Place::default()
    };
    if precision != Precision::Country {
        place.subdivision_code = subdivision.to_owned();
        place.display_name = format!("{city} region");
    }
    if matches!(precision, Precision::City | Precision::Site) {
        city.clone_into(&mut place.display_name);
        if rng.one_in(2) {
            place.latitude = Some(f64::from(latitude) / 10_000.0);
            place.longitude = Some(f64::from(longitude) / 10_000.0);
        }
        if rng.one_in(3) {
            place.external_ids.push(external("geonames", rng));
        }
    }
    if precision == Precision::Site {
        place.display_name = format!("a hall in {city}");
        venue.clone_into(&mut place.venue);
    }
    place
}

/// An id in an external database.
pub(super) fn external(scheme: &str, rng: &mut SeededRng) -> ExternalId {
    let number = rng.between(1, 99_999_999);
    ExternalId {
        scheme: scheme.to_owned(),
        value: match scheme {
            "wikidata" => format!("Q{number}"),
            _ => number.to_string(),
        },
    }
}

/// A quantity of varying precision.
pub(super) fn quantity(rng: &mut SeededRng) -> Quantity {
    let bounds = [
        Bound::Exact,
        Bound::About,
        Bound::AtLeast,
        Bound::AtMost,
        Bound::Unquantified,
    ];
    let bound = *rng.pick(&bounds);
    Quantity {
        value: (bound != Bound::Unquantified).then(|| f64::from(rng.between(1, 200_000)) / 4.0),
        unit: (*rng.pick(&UNITS)).to_owned(),
        bound: bound.into(),
    }
}
