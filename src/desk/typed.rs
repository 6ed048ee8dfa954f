//! Files that people type: several documents in one file, and the values that they leave out, because the schema has a
//! default for them or because they follow from the other documents.

use anyhow::Result;
use dateline_proto::{
    rule_text,
    v1::{Name, Record, record::Kind as Body},
};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

/// Splits a text into its YAML documents, with the number of each one's first line. Each is preceded by as many empty
/// lines as it has lines before it, so that positions stay those of the file. A line that begins with `---` or `...`
/// can be nothing but a marker (YAML 1.2.2, 9.1.2). Documents without content are left out, but one is returned at
/// least.
pub(super) fn documents(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = vec![(1, String::new())];
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_marker = line == "---\n"
            || line.starts_with("---") && line[3..].starts_with([' ', '\t', '\r', '\n'])
            || line.trim_end() == "---";
        if is_marker {
            // The rest of the marker's line belongs to the document.
            let rest = line.get(3..).unwrap_or_default();
            found.push((number + 1, format!("{}   {rest}", "\n".repeat(number))));
        } else if line.trim_end() == "..." {
            found.push((number + 2, "\n".repeat(number + 1)));
        } else if let Some((_, document)) = found.last_mut() {
            document.push_str(line);
        }
    }
    let has_content = |document: &str| {
        document
            .lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    let whole = found.clone();
    found.retain(|(_, document)| has_content(document));
    if found.is_empty() {
        whole.into_iter().take(1).collect()
    } else {
        found
    }
}

/// Sets what a typed record leaves out and the schema has a default for (`typed_default`). An actor without names has
/// the one that is displayed.
///
/// # Errors
/// If the schema's default does not fit its field.
pub(super) fn fill_in(record: &mut Record) -> Result<()> {
    if let Some(Body::Actor(actor)) = &mut record.kind
        && actor.names.is_empty()
        && !actor.display_name.is_empty()
    {
        actor.names.push(Name {
            text: actor.display_name.clone(),
            ..Name::default()
        });
    }
    let mut message = record.transcode_to_dynamic();
    fill_in_message(&mut message);
    *record = message.transcode_to()?;
    Ok(())
}

fn fill_in_message(message: &mut DynamicMessage) {
    for field in message.descriptor().fields() {
        if !message.has_field(&field) {
            if let Some(value) = default_of(&field) {
                message.set_field(&field, value);
            }
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(inner) => fill_in_message(inner),
            Value::List(elements) => elements
                .iter_mut()
                .filter_map(Value::as_message_mut)
                .for_each(fill_in_message),
            _ => {}
        }
    }
}

fn default_of(field: &FieldDescriptor) -> Option<Value> {
    let text = rule_text(field, "typed_default")?;
    match field.kind() {
        Kind::Enum(words) => Some(Value::EnumNumber(words.get_value_by_name(&text)?.number())),
        Kind::String => Some(Value::String(text)),
        _ => None,
    }
}

/// Sets the article of evidence that names none: the given one or, without it, that of the records if exactly one of
/// them is an article.
pub(super) fn cite(records: &mut [Record], article: Option<&str>) {
    let mut articles = records.iter().filter_map(|record| match &record.kind {
        Some(Body::Article(article)) => Some(article.name.clone()),
        _ => None,
    });
    let article = match (article, articles.next(), articles.next()) {
        (Some(article), ..) => article.to_owned(),
        (None, Some(only), None) => only,
        (None, ..) => return,
    };
    for record in records {
        let evidence = record.kind.as_mut().and_then(Body::evidence_mut);
        for entry in evidence.into_iter().flatten() {
            if entry.article.is_empty() {
                entry.article.clone_from(&article);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dateline_proto::v1::{Actor, Article, Evidence, evidence::Modality, name::Type};

    use super::*;

    #[test]
    fn documents_are_split_at_markers_and_keep_their_lines() {
        let text = "# story\n---\narticle:\n  body: |\n    a\n    ---\n--- # next\nactor: {}\n...\n\n---\n# nothing\n";
        let found = documents(text);
        let shown: Vec<_> = found
            .iter()
            .map(|(line, document)| (*line, document.trim_start_matches(['\n', ' ']).to_owned()))
            .collect();
        assert_eq!(
            shown,
            [
                (2, "article:\n  body: |\n    a\n    ---\n".to_owned()),
                (7, "# next\nactor: {}\n".to_owned()),
            ]
        );
        assert_eq!(found[1].1.lines().nth(7), Some("actor: {}"));
        assert_eq!(documents("").len(), 1);
        assert_eq!(
            documents("{\"actor\": {}}"),
            [(1, "{\"actor\": {}}".to_owned())]
        );
        assert_eq!(documents("---").len(), 1);
    }

    #[test]
    fn what_the_schema_has_a_default_for_is_filled_in_and_the_rest_is_left() {
        let actor = Actor {
            names: vec![Name {
                text: "NATO".into(),
                ..Name::default()
            }],
            evidence: vec![
                Evidence::default(),
                Evidence {
                    article: "articles/other".into(),
                    modality: Modality::Claimed.into(),
                    ..Evidence::default()
                },
            ],
            ..Actor::default()
        };
        let article = Article {
            name: "articles/one".into(),
            ..Article::default()
        };
        let mut records = vec![
            Record::from(Body::Actor(actor)),
            Body::Article(article).into(),
        ];
        for record in &mut records {
            fill_in(record).unwrap();
        }
        cite(&mut records, None);
        let Some(Body::Actor(actor)) = &records[0].kind else {
            panic!("{records:?}");
        };
        assert_eq!(actor.names[0].r#type(), Type::Full);
        assert_eq!(actor.names[0].language_code, "und");
        let told: Vec<_> = actor
            .evidence
            .iter()
            .map(|entry| (entry.article.as_str(), entry.modality()))
            .collect();
        let expected = [
            ("articles/one", Modality::Asserted),
            ("articles/other", Modality::Claimed),
        ];
        assert_eq!(told, expected);
        // Of two articles, neither is meant.
        records.push(Body::Article(Article::default()).into());
        if let Some(Body::Actor(actor)) = &mut records[0].kind {
            actor.evidence[0].article.clear();
        }
        cite(&mut records, None);
        let evidence = records[0].kind.as_ref().and_then(Body::evidence).unwrap();
        assert_eq!(evidence[0].article, "");
    }
}
