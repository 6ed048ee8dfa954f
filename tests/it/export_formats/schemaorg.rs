//! schema.org: the seed is one document with everything nested; ours are nodes of one graph, one per line.
//! Joined by `@id`, they equal the seed.

use std::{collections::BTreeMap, fs};

use dateline_export::format::Format;
use dateline_proto::v1::Kind;
use serde_json::{Map, Value};

use super::{ExportedFiles, export};
use crate::support::{gold::gold_records, tools::repo_path};

type Nodes = BTreeMap<String, Map<String, Value>>;

fn graph(files: &ExportedFiles) -> Nodes {
    let mut graph = Nodes::new();
    for kind in [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event] {
        for line in files.lines(kind) {
            let id = line["@id"].as_str().unwrap().to_owned();
            let node = graph.entry(id).or_default();
            for (key, value) in line.as_object().unwrap().clone() {
                match (node.get_mut(&key), value) {
                    (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
                    (Some(there), value) => assert_eq!(*there, value),
                    (None, value) => drop(node.insert(key, value)),
                }
            }
        }
    }
    graph
}

/// Properties that the seed omits and domain.md or the record has: ids, links to sources, disambiguation of namesakes,
/// the whole of a part, the seat.
const MORE_THAN_THE_SEED: [&str; 10] = [
    "@context",
    "identifier",
    "dateModified",
    "disambiguatingDescription",
    "description",
    "foundingDate",
    "location",
    "parentOrganization",
    "keywords",
    "subjectOf",
];

fn assert_says(node: &Map<String, Value>, expected: &Map<String, Value>) {
    for (key, value) in expected {
        assert_eq!(node.get(key), Some(value), "{key} of {}", expected["@id"]);
    }
    for key in node.keys().filter(|key| !expected.contains_key(*key)) {
        assert!(
            MORE_THAN_THE_SEED.contains(&key.as_str()),
            "{key} of {}",
            expected["@id"]
        );
    }
}

#[test]
fn the_nodes_say_what_the_seeds_document_says() {
    let text = fs::read_to_string(repo_path("seed/gold_schemaorg.jsonld")).unwrap();
    let mut expected: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut graph = graph(&export(Format::SchemaOrg, &gold_records()));
    // The seed lists all records of the bundle in the article, and three of them, chosen by hand, as its subjects. No
    // field of the record has that choice, so all named records are exported as mentions.
    let mut inside = Vec::new();
    for list in ["about", "mentions"] {
        inside.extend(expected.remove(list).unwrap().as_array().unwrap().clone());
    }
    let id = expected["@id"].as_str().unwrap();
    let mut article = graph.remove(id).unwrap();
    let Some(Value::Array(mentions)) = article.remove("mentions") else {
        panic!("the article mentions somebody")
    };
    assert_says(&article, &expected);
    let ids: Vec<_> = inside.iter().map(|node| node["@id"].clone()).collect();
    assert_eq!((mentions.len(), ids.len()), (24, 31));
    for mention in &mentions {
        assert!(ids.contains(&mention["@id"]), "{mention}");
    }
    for node in &inside {
        let found = &graph[node["@id"].as_str().unwrap()];
        assert_says(found, node.as_object().unwrap());
    }
    assert_eq!(graph.len(), inside.len());
}

#[test]
fn e6_ties_for_which_there_is_no_word_are_counted() {
    let files = export(Format::SchemaOrg, &gold_records());
    // Of fifteen relations, four offices and a force within its organisation are exported.
    assert_eq!(
        (files.lines(Kind::Relation).len(), files.lost("relations")),
        (5, 10)
    );
    // Kazakhstan in six events, the United States in three, and participants without a name.
    assert_eq!(files.lost("events.participants"), 10);
}
