//! Records that the real program creates and publishes, and the desk's view of them.

use serde_json::{Value, json};

use crate::support::{
    cli::{CommandOutput, actor, dateline, dateline_reading},
    server::TestServer,
};

pub const STORY: &str = "articles/kazakhstan-confirms-partnership-with-nato-us";

/// Creates a draft of an actor by the program.
pub async fn draft(server: &TestServer, id: &str) -> String {
    dateline_reading(&server.address, &["create", "-"], &actor(id))
        .await
        .ok();
    format!("actors/{id}")
}

/// Publishes an article and an actor that cites it together.
pub async fn published(server: &TestServer, id: &str) -> String {
    let story = json!({ "article": {
        "name": format!("articles/{id}-story"), "headline": format!("{id} was seen"), "languageCode": "en",
    }});
    dateline_reading(&server.address, &["create", "-"], &story.to_string())
        .await
        .ok();
    let mut cited: Value = serde_json::from_str(&actor(id)).unwrap();
    cited["actor"]["evidence"] = json!([{
        "article": format!("articles/{id}-story"), "articleRevision": "1", "modality": "MODALITY_ASSERTED",
        "quote": { "part": "PART_HEADLINE", "end": id.len(), "exact": id },
    }]);
    dateline_reading(&server.address, &["create", "-"], &cited.to_string())
        .await
        .ok();
    let name = format!("actors/{id}");
    run(server, &["publish", "--with-references", &name])
        .await
        .ok();
    name
}

pub async fn run(server: &TestServer, arguments: &[&str]) -> CommandOutput {
    dateline(&server.address, arguments).await
}

pub async fn desk_view(server: &TestServer, name: &str) -> Value {
    let read = run(server, &["get", "--view", "desk", "-o", "json", name]).await;
    read.ok().json()
}
