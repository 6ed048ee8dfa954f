//! Labelled pairs of names, read from `tests/data`. Each test uses some of it.

#![allow(dead_code, missing_docs, clippy::panic)]

use dateline_match::{Identifier, Profile};
use dateline_proto::v1::{Name, actor, name};

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub kind: String,
    pub is_same: bool,
    pub left: String,
    pub right: String,
    left_features: String,
    right_features: String,
}

/// The rows of a file.
pub fn rows(text: &str) -> Vec<Row> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [kind, label, left, right, left_features, right_features] = fields[..] else {
                panic!("six fields: {line}");
            };
            let is_same = match label {
                "=" => true,
                "!" => false,
                _ => panic!("a label: {line}"),
            };
            Row {
                kind: kind.to_owned(),
                is_same,
                left: left.to_owned(),
                right: right.to_owned(),
                left_features: left_features.to_owned(),
                right_features: right_features.to_owned(),
            }
        })
        .collect()
}

impl Row {
    /// Both sides, with or without what is known beside the names.
    pub fn profiles(&self, with_features: bool) -> [Profile; 2] {
        [
            profile(&self.kind, &self.left, &self.left_features, with_features),
            profile(&self.kind, &self.right, &self.right_features, with_features),
        ]
    }

    /// Country and date of both sides, as far as they are said.
    pub fn facts(&self) -> [[String; 2]; 2] {
        [&self.left_features, &self.right_features].map(|features| {
            ["r", "b"].map(|key| {
                let all = features
                    .split_whitespace()
                    .filter_map(|it| it.split_once('='));
                let value = all
                    .filter(|(name, _)| *name == key)
                    .map(|(_, value)| value)
                    .next();
                value.unwrap_or_default().trim_end_matches('~').to_owned()
            })
        })
    }

    /// The scripts of both names beside Latin, or "Latin".
    pub fn script(&self) -> &'static str {
        let text = format!("{}{}", self.left, self.right);
        let of = |found: char| match u32::from(found) {
            0x370..=0x3FF | 0x1F00..=0x1FFF => Some("Greek"),
            0x400..=0x52F => Some("Cyrillic"),
            0x530..=0x58F => Some("Armenian"),
            0x590..=0x5FF => Some("Hebrew"),
            0x600..=0x6FF => Some("Arabic"),
            0x900..=0x97F => Some("Devanagari"),
            0xE00..=0xE7F => Some("Thai"),
            0x10A0..=0x10FF => Some("Georgian"),
            0x3041..=0x30FF => Some("Kana"),
            0xAC00..=0xD7A3 => Some("Hangul"),
            0x4E00..=0x9FFF => Some("Han"),
            _ => None,
        };
        text.chars().find_map(of).unwrap_or("Latin")
    }
}

fn profile(kind: &str, names: &str, features: &str, with_features: bool) -> Profile {
    let names: Vec<Name> = names.split(" ; ").map(name).collect();
    let mut profile = Profile::new(&names, actor_type(kind, features, with_features));
    if !with_features {
        return profile;
    }
    let bounds = |edtf: &str| dateline_record::edtf::parse(edtf).ok();
    for (key, value) in features
        .split_whitespace()
        .filter_map(|it| it.split_once('='))
    {
        match key {
            "t" => {}
            "r" => value.clone_into(&mut profile.region),
            "b" => profile.start = bounds(value),
            "a" => {
                let (start, end) = value.split_once('/').unwrap_or((value, ""));
                profile.start = bounds(start);
                profile.end = bounds(end);
            }
            _ => profile.ids.push(Identifier {
                scheme: key.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
    profile
}

fn name(text: &str) -> Name {
    Name {
        text: text.trim().to_owned(),
        language_code: "und".to_owned(),
        r#type: name::Type::Full.into(),
    }
}

fn actor_type(kind: &str, features: &str, with_features: bool) -> actor::Type {
    let said = features
        .split_whitespace()
        .find_map(|it| it.strip_prefix("t="));
    match (kind, said.filter(|_| with_features)) {
        ("person", _) => actor::Type::Person,
        ("media", _) => actor::Type::Media,
        ("unit" | "vessel", _) => actor::Type::Military,
        (_, Some("gov")) => actor::Type::GovernmentBody,
        (_, Some("igo")) => actor::Type::Intergovernmental,
        (_, Some("state")) => actor::Type::State,
        _ => actor::Type::Organization,
    }
}
