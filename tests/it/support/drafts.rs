//! Small drafts as NDJSON, enough for an import of several commits.

use std::fmt::Write;

use dateline::json;
use dateline_proto::v1::Record;

/// Records of one import: enough for several commits.
pub const RECORDS: usize = 4000;

/// Small drafts as NDJSON: a file that is imported in many commits.
pub fn drafts(prefix: &str) -> String {
    (0..RECORDS).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", draft_json(&format!("{prefix}-{number}"))).unwrap();
        text
    })
}

pub fn draft(id: &str) -> Record {
    json::read(&draft_json(id)).unwrap()
}

fn draft_json(id: &str) -> String {
    let names = format!(r#"[{{"text":"{id}","languageCode":"en","type":"TYPE_FULL"}}]"#);
    format!(
        r#"{{"actor":{{"name":"actors/{id}","type":"TYPE_GROUP","displayName":"{id}","names":{names}}}}}"#
    )
}
