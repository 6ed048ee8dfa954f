//! Items of news agencies, as `dateline import --publish` reads them: restrictions by their senders, successive
//! versions, and texts in all formats.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{desk, file, import, rejects};
use crate::support::{
    cli::{CommandOutput, dateline},
    server::{TestServer, start_server, temp_dir},
};

/// An item with a text, and with some fields set.
pub(super) fn item(id: &str, fields: &Value) -> Value {
    let mut item = json!({
        "uri": format!("urn:example:wire:{id}"), "type": "text", "language": "en",
        "standard": {"name": "ninjs", "version": "3.1"}, "headlines": [{"value": format!("Story {id}")}],
        "bodies": [{"contentType": "text/plain", "value": "Text."}],
    });
    for (key, value) in fields.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

pub(super) fn version(id: &str, number: u32, fields: &Value) -> Value {
    let mut item = item(id, fields);
    item["version"] = json!(number.to_string());
    item
}

/// A server with a directory for files.
pub(super) struct AgencyImport {
    pub server: TestServer,
    _keep: tempfile::TempDir,
    pub directory: PathBuf,
}

impl AgencyImport {
    pub async fn start() -> Self {
        let (keep, directory) = temp_dir();
        Self {
            server: start_server().await,
            _keep: keep,
            directory,
        }
    }

    pub async fn import(&self, items: &[Value], arguments: &[&str]) -> CommandOutput {
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        let file = file(&self.directory, "items.ndjson", lines);
        import(&self.server, &file, arguments).await
    }

    /// The article of an item as the desk has it.
    pub async fn article(&self, id: &str) -> Option<Value> {
        let uri = format!("urn:example:wire:{id}");
        let retracted = [
            "list",
            "--view",
            "desk",
            "--state",
            "retracted",
            "-o",
            "ndjson",
        ];
        let retracted = dateline(&self.server.address, &retracted)
            .await
            .ok()
            .lines();
        let mut found: Vec<_> = desk(&self.server)
            .await
            .into_iter()
            .chain(retracted)
            .map(|record| record["article"].clone())
            .filter(|article| article["sourceItem"]["uri"] == uri.as_str())
            .collect();
        assert!(found.len() < 2, "one article stands for an item: {found:?}");
        found.pop()
    }

    pub async fn state(&self, id: &str) -> String {
        let article = self.article(id).await.unwrap_or_default();
        article["meta"]["state"]
            .as_str()
            .unwrap_or("none")
            .trim_start_matches("STATE_")
            .to_owned()
    }

    /// Bodies and headlines that are visible to readers.
    pub async fn live(&self) -> Vec<(String, String)> {
        let listed = dateline(&self.server.address, &["list", "-o", "ndjson"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut live: Vec<_> = (listed.await.ok().lines().iter())
            .filter(|record| record["article"]["meta"]["state"] == "STATE_PUBLISHED")
            .map(|record| {
                (
                    text(&record["article"]["headline"]),
                    text(&record["article"]["body"]),
                )
            })
            .collect();
        live.sort();
        live
    }
}

#[track_caller]
pub(super) fn assert_failed_with(done: &CommandOutput, code: i32, told: &[&str]) {
    assert_eq!(done.code, code, "{}", done.stderr);
    for told in told {
        assert!(
            done.stderr.contains(told),
            "{told:?} is not in {}",
            done.stderr
        );
    }
}

pub(super) const PUBLISH: [&str; 3] = ["--publish", "--on-error", "skip"];

#[tokio::test]
async fn nothing_that_its_sender_forbids_is_published() {
    let wire = AgencyImport::start().await;
    let rejected = wire.directory.join("rejects.ndjson");
    let items = [
        item(
            "embargo",
            &json!({"embargoedUntil": "2031-01-01T06:00:00Z", "pubStatus": "usable"}),
        ),
        item("old-embargo", &json!({"embargoed": "2020-01-01T06:00:00Z"})),
        item("withheld", &json!({"pubStatus": "withheld"})),
        item(
            "killed",
            &json!({"pubstatus": "canceled", "edNote": "KILL: wrong"}),
        ),
        item("expired", &json!({"expires": "2020-01-01T00:00:00Z"})),
        item("unknown", &json!({"pubStatus": "maybe"})),
        item("unreadable", &json!({"embargoedUntil": "tomorrow"})),
        item("partial", &json!({"representationType": "partial"})),
        item(
            "noted",
            &json!({"edNote": "Embargoed until the speech is held."}),
        ),
        item(
            "rights",
            &json!({"rightsInfo": {"linkedRights": "https://x.org/r"}, "copyrightHolder": "X"}),
        ),
    ];
    let arguments = [&PUBLISH[..], &["--rejects", rejected.to_str().unwrap()]].concat();
    let done = wire.import(&items, &arguments).await;
    assert_failed_with(
        &done,
        1,
        &[
            "6 created, 0 already there, 2 published, 1 under embargo, 1 canceled and not created, 3 rejected, 3 left to do",
            "not published: line 3: articles/example-wire-withheld-",
            "stays a draft: its sender withholds it [WITHHELD]",
            "[PARTIAL]",
            "[NOTE_OF_SENDER]",
        ],
    );
    for (id, state) in [
        ("embargo", "EMBARGOED"),
        ("old-embargo", "PUBLISHED"),
        ("withheld", "DRAFT"),
        ("killed", "none"),
        ("expired", "none"),
        ("unknown", "none"),
        ("unreadable", "none"),
        ("partial", "DRAFT"),
        ("noted", "DRAFT"),
        ("rights", "PUBLISHED"),
    ] {
        assert_eq!(wire.state(id).await, state, "{id}");
    }
    let embargoed = wire.article("embargo").await.unwrap();
    assert_eq!(embargoed["meta"]["embargoTime"], "2031-01-01T06:00:00Z");
    let rights = wire.article("rights").await.unwrap();
    assert_eq!(
        rights["usageTerms"],
        "Copyright holder: X\nRights: https://x.org/r"
    );
    assert_eq!(wire.live().await.len(), 2);
    let reasons: Vec<_> = rejects(&rejected)
        .iter()
        .map(|row| row["reason"].as_str().unwrap().to_owned())
        .collect();
    for reason in ["UNREADABLE", "WITHHELD", "PARTIAL", "NOTE_OF_SENDER"] {
        assert!(reasons.iter().any(|found| found == reason), "{reasons:?}");
    }
    // Without --publish the record still states the sender's embargo.
    let draft = item("later", &json!({"embargoedUntil": "2031-01-01T06:00:00Z"}));
    wire.import(&[draft], &[]).await.ok();
    let later = wire.article("later").await.unwrap();
    assert_eq!(later["sourceItem"]["embargoTime"], "2031-01-01T06:00:00Z");
    // Imported again, nothing more is published.
    let again = wire.import(&items, &PUBLISH).await;
    assert_failed_with(&again, 1, &["0 created, 6 already there, 0 published"]);
    assert_eq!(wire.live().await.len(), 2);
    wire.server.stop().await;
}

#[tokio::test]
async fn a_kill_retracts_a_live_story_with_the_senders_note_whatever_else_is_wrong() {
    let wire = AgencyImport::start().await;
    let story = |id: &str| version(id, 1, &json!({}));
    let kill = |id: &str| {
        json!({"uri": format!("urn:example:wire:{id}"), "standard": {"name": "ninjs", "version": "3.1"}, "version": "2",
               "pubStatus": "canceled", "edNote": "KILL: the story is wrong, do not use."})
    };
    let held = version(
        "held",
        1,
        &json!({"embargoedUntil": "2031-01-01T06:00:00Z"}),
    );
    wire.import(&[story("a"), story("b"), story("c"), held], &["--publish"])
        .await
        .ok();
    wire.import(&[story("draft")], &[]).await.ok();
    assert_eq!(wire.live().await.len(), 3);
    let dry = wire
        .import(&[kill("a")], &["--publish", "--dry-run"])
        .await
        .ok();
    assert_failed_with(&dry, 0, &["1 retracted"]);
    assert_eq!(wire.state("a").await, "PUBLISHED");
    let unasked = wire.import(&[kill("a")], &[]).await;
    assert_failed_with(
        &unasked,
        1,
        &["--publish retracts it", "[CHANGED_AT_SOURCE]"],
    );
    let killed = wire
        .import(
            &[kill("a"), kill("held"), kill("draft"), kill("never-seen")],
            &["--publish", "--on-change", "skip"],
        )
        .await;
    assert_failed_with(
        &killed,
        1,
        &[
            "1 retracted",
            "1 sent back",
            "1 canceled and not created",
            "[CANCELED]",
        ],
    );
    assert_eq!(wire.state("a").await, "RETRACTED");
    let corrections = wire.article("a").await.unwrap()["meta"]["corrections"].clone();
    assert_eq!(
        corrections[0]["note"],
        "KILL: the story is wrong, do not use."
    );
    for id in ["held", "draft"] {
        assert_eq!(wire.state(id).await, "DRAFT", "{id}");
        let article = wire.article(id).await.unwrap();
        assert_eq!(article["sourceItem"]["status"], "STATUS_CANCELED", "{id}");
    }
    // An older version does not restore a canceled item, in this run or another.
    let older = [
        story("a"),
        story("held"),
        story("draft"),
        story("never-seen"),
    ];
    let back = wire.import(&older, &PUBLISH).await;
    assert_failed_with(
        &back,
        1,
        &[
            "1 already there",
            "2 older than what is there",
            "1 rejected",
        ],
    );
    assert_eq!(wire.live().await.len(), 2);
    // The rest of the file cannot be read; the kill is applied, and the run still fails.
    let text = format!("{}\nnot json\n", kill("b"));
    let broken = import(
        &wire.server,
        &file(&wire.directory, "b.ndjson", text),
        &["--publish", "--format", "ninjs"],
    )
    .await;
    assert_failed_with(&broken, 1, &["line 2"]);
    assert_eq!(wire.state("b").await, "RETRACTED");
    let refused = json!({"uri": "urn:example:wire:x", "headlines": [{"value": "x".repeat(501)}], "bodies": [{"value": "x"}]});
    let broken = wire.import(&[refused, kill("c")], &["--publish"]).await;
    assert_failed_with(&broken, 1, &["headline"]);
    assert!(wire.live().await.is_empty());
    let again = wire
        .import(
            &[kill("a"), kill("b"), kill("c"), kill("never-seen")],
            &["--publish"],
        )
        .await
        .ok();
    assert_failed_with(
        &again,
        0,
        &["0 created, 3 already there, 0 published, 1 canceled and not created"],
    );
    wire.server.stop().await;
}
