//! Names and ids in the files of an export, format by format, found by the format's own keys: no code of the exporter
//! is used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::support::export_dir::read_manifest;

/// Keys under which a record names another one, as JSON keys and as columns.
const NAMING: [(&str, &str); 12] = [
    ("actor", "actor"),
    ("onBehalfOf", "on_behalf_of"),
    ("capacity", "capacity"),
    ("target", "target"),
    ("article", "article"),
    ("event", "event"),
    ("subject", "subject"),
    ("object", "object"),
    ("publisher", "publisher"),
    ("venue", "venue"),
    ("attributedTo", "attributed_to"),
    ("mergedInto", "merged_into"),
];
/// Properties of `FollowTheMoney` that hold ids.
const HOLDING_IDS: [&str; 16] = [
    "document",
    "entity",
    "resolved",
    "holder",
    "post",
    "organization",
    "member",
    "agent",
    "client",
    "successor",
    "predecessor",
    "subject",
    "object",
    "proof",
    "organizer",
    "involved",
];
pub const BASE: &str = "https://dateline.example/v1/";

/// Names, each with the field that holds it.
pub type Names = Vec<(String, String)>;

/// The lines of all files of a format and a collection (or all), in order.
pub fn read_lines(place: &Path, collection: &str, extension: &str) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(collection) && name.split_once('.').unwrap().1 == extension
        })
        .filter(|path| !path.to_str().unwrap().contains("removed-"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

pub fn read_json(place: &Path, collection: &str, extension: &str) -> Vec<Value> {
    let lines = read_lines(place, collection, extension);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The kind messages of all records.
fn bodies(place: &Path) -> Vec<Value> {
    let records = read_json(place, "", "ndjson");
    let bodies = records
        .into_iter()
        .map(|record| record.as_object().unwrap().values().next().unwrap().clone());
    bodies.collect()
}

/// Names that resolve: those of the records, and those that were merged into them.
pub fn record_names(place: &Path) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for body in bodies(place) {
        known.insert(body["name"].as_str().unwrap().to_owned());
        let merged = body["meta"]["mergedFrom"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        known.extend(merged.iter().map(|name| name.as_str().unwrap().to_owned()));
    }
    known
}

fn is_name(text: &str) -> bool {
    ["actors/", "articles/", "events/", "relations/"]
        .iter()
        .any(|of| text.starts_with(of))
}

fn named_in(value: &Value, at: &str, names: &mut Names) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let column = NAMING.iter().find(|(json, _)| json == key);
                match (column, value) {
                    (Some((_, column)), Value::String(name)) => note(at, column, name, names),
                    (Some((_, column)), Value::Array(all)) if all.iter().all(Value::is_string) => {
                        for name in all {
                            note(at, column, name.as_str().unwrap(), names);
                        }
                    }
                    _ => named_in(value, &format!("{at}.{}", snake(key)), names),
                }
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| named_in(element, at, names)),
        _ => {}
    }
}

fn note(at: &str, column: &str, name: &str, names: &mut Names) {
    if is_name(name) {
        names.push((format!("{at}.{column}"), name.to_owned()));
    }
}

fn snake(key: &str) -> String {
    let letters = key.chars().flat_map(|it| {
        let before = it.is_ascii_uppercase().then_some('_');
        before.into_iter().chain([it.to_ascii_lowercase()])
    });
    letters.collect()
}

/// The names in the records' references, read from NDJSON.
pub fn references_in_records(place: &Path) -> Names {
    let mut names = Vec::new();
    for body in bodies(place) {
        let collection = body["name"]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap()
            .0
            .to_owned();
        named_in(&body, &collection, &mut names);
    }
    names
}

/// The names in cells of CSV.
fn in_cells(place: &Path) -> Names {
    let mut names = Vec::new();
    for collection in ["actors", "articles", "events", "relations"] {
        let text = fs::read_to_string(place.join(format!("{collection}-00000.csv")));
        let Ok(text) = text else { continue };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        for row in reader.records() {
            for (column, cell) in headers.iter().zip(&row.unwrap()) {
                let last = column.split('.').next_back().unwrap();
                if !NAMING.iter().any(|(_, column)| *column == last) {
                    continue;
                }
                let of_meta = if column == "merged_into" { "meta." } else { "" };
                let parts = cell.split("; ").flat_map(|part| part.split(" | "));
                for name in parts.filter(|part| is_name(part)) {
                    names.push((format!("{collection}.{of_meta}{column}"), name.to_owned()));
                }
            }
        }
    }
    names
}

/// Number of names that do not resolve, by field.
fn dangling(names: &Names, known: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let mut dangling = BTreeMap::new();
    for (field, _) in names.iter().filter(|(_, name)| !known.contains(name)) {
        *dangling.entry(field.clone()).or_default() += 1;
    }
    dangling
}

fn losses(place: &Path, format: &str) -> BTreeMap<String, u64> {
    let losses = read_manifest(place)["losses"][format].clone();
    serde_json::from_value(losses).unwrap_or_default()
}

/// Asserts that every id and name in the files of an export resolves to a record of `whole` or is counted as a loss.
/// `whole` is the same export, or the full one at the delta's sequence.
pub fn check_references(place: &Path, whole: &Path) {
    let known = record_names(whole);
    let lost = dangling(&references_in_records(place), &known);
    for format in ["ndjson", "protobuf", "parquet"] {
        assert_eq!(
            losses(place, format),
            lost,
            "{format} of {}",
            place.display()
        );
    }
    let of_csv = losses(place, "csv");
    for (field, count) in &dangling(&in_cells(place), &known) {
        assert_eq!(of_csv.get(field), Some(count), "csv: {field}");
    }
    assert!(
        lost.iter()
            .all(|(field, count)| of_csv.get(field) >= Some(count)),
        "{of_csv:?}"
    );
    for format in ["ninjs", "followthemoney", "schemaorg"] {
        let counted = losses(place, format);
        for field in lost.keys() {
            let of_ninjs = field.starts_with("actors") || field.starts_with("relations");
            let is_counted = counted
                .keys()
                .any(|path| field == path || field.starts_with(&format!("{path}.")));
            assert!(
                is_counted || of_ninjs && format == "ninjs",
                "{format}: {field}, {counted:?}"
            );
        }
    }
    check_followthemoney(place, whole);
    check_schemaorg(place, whole);
    check_ninjs(place, whole, &known);
}

fn check_followthemoney(place: &Path, whole: &Path) {
    let id = |entity: &Value| entity["id"].as_str().unwrap().to_owned();
    let ids: BTreeSet<_> = read_json(whole, "", "ftm.ndjson").iter().map(id).collect();
    for entity in read_json(place, "", "ftm.ndjson") {
        for (property, values) in entity["properties"].as_object().unwrap() {
            for value in values.as_array().unwrap() {
                let value = value.as_str().unwrap();
                let is_id = HOLDING_IDS.contains(&property.as_str());
                assert!(!is_id || ids.contains(value), "{property} of {entity}");
                assert!(is_id || !value.starts_with("dl-"), "{property} of {entity}");
            }
        }
    }
}

fn check_schemaorg(place: &Path, whole: &Path) {
    let id = |node: &Value| node["@id"].as_str().unwrap().to_owned();
    let of = |collection| read_json(whole, collection, "jsonld.ndjson");
    let nodes = ["actors", "articles", "events"].into_iter().flat_map(of);
    let ids: BTreeSet<_> = nodes.map(|node| id(&node)).collect();
    for node in read_json(place, "", "jsonld.ndjson") {
        let mut open = vec![&node];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(id) = fields.get("@id") {
                        assert!(ids.contains(id.as_str().unwrap()), "{id} in {node}");
                    }
                    open.extend(fields.values());
                }
                Value::Array(elements) => open.extend(elements),
                _ => {}
            }
        }
    }
}

fn check_ninjs(place: &Path, whole: &Path, known: &BTreeSet<String>) {
    let uri = |item: &Value| item["uri"].as_str().unwrap().to_owned();
    let items: BTreeSet<_> = read_json(whole, "", "ninjs.ndjson")
        .iter()
        .map(uri)
        .collect();
    let live: BTreeSet<_> = bodies(whole)
        .iter()
        .filter(|body| body["displayName"].is_string())
        .map(|body| format!("{BASE}{}", body["name"].as_str().unwrap()))
        .collect();
    for item in read_json(place, "", "ninjs.ndjson") {
        let list = |key: &str| item[key].as_array().cloned().unwrap_or_default();
        let sources = list("infoSources");
        let (cited, others): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|it| it["role"] == "evidence");
        for entry in cited.iter().chain(&list("events")) {
            assert!(items.contains(&uri(entry)), "{entry} in {item}");
        }
        let organiser = item["eventDetails"]["organiser"].clone();
        let places = list("places");
        let named = [
            list("people"),
            list("organisations"),
            places,
            others,
            vec![organiser],
        ]
        .concat();
        for entry in named.iter().filter(|entry| entry["uri"].is_string()) {
            assert!(live.contains(&uri(entry)), "{entry} in {item}");
            assert!(entry["name"].is_string(), "{entry}");
            let name = uri(entry).trim_start_matches(BASE).to_owned();
            assert!(known.contains(&name));
        }
    }
}
