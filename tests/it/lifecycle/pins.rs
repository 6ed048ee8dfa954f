//! F10, W9: text that was deleted before an article was published reaches no reader, not even by evidence of other
//! records. Readers can read every revision that evidence of a published record pins.

mod shown_anew;

use dateline_proto::v1::{
    Evidence, Kind, ListRecordsRequest, ListRevisionsRequest, LoadRecordsRequest, Record, State,
    TextSpan, View, record::Kind as Body, text_span,
};
use prost::Message;
use tonic::Code;

use crate::support::{
    editing::*,
    server::{TestServer, start_server},
    watch::{read_changes, watch_from_beginning},
};

/// Text that an editor deletes before publication.
const SECRET: &str = "The minister was drunk.";
const REPINNED: &str = "EVIDENCE_REPINNED";

/// An article with this headline and body.
fn article_with(id: &str, headline: &str, body: &str) -> Record {
    let mut record = article(id);
    let article = as_article(&mut record);
    (article.headline, article.body) = (headline.into(), body.into());
    record
}

/// Evidence that quotes the beginning of a part of an article.
fn quotes(article: &str, revision: i64, part: text_span::Part, exact: &str) -> Evidence {
    let span = TextSpan {
        part: part.into(),
        start: 0,
        end: i32::try_from(exact.chars().count()).unwrap(),
        exact: exact.into(),
        ..TextSpan::default()
    };
    Evidence {
        article_revision: revision,
        quote: Some(span),
        ..evidence_quoting(article)
    }
}

fn secret(article: &str, revision: i64) -> Evidence {
    quotes(article, revision, text_span::Part::Body, SECRET)
}

fn pins(record: &Record) -> Vec<i64> {
    let evidence = record.kind.as_ref().unwrap().evidence().unwrap();
    evidence
        .iter()
        .map(|entry| entry.article_revision)
        .collect()
}

/// An article whose draft had the secret in revision 1 and not in revision 2.
async fn cleaned(server: &TestServer, id: &str) -> Record {
    let full = article_with(id, HEADLINE, &format!("{SECRET} He resigned."));
    let draft = create_drafts(&server.client, &[full]).await.swap_remove(0);
    let clean = article_with(id, HEADLINE, "He resigned.");
    let mut next = draft.clone();
    as_article(&mut next).body = as_article(&mut clean.clone()).body.clone();
    commit_one(&server.client, update(&next, &[])).await
}

const CITING: [Kind; 3] = [Kind::Actor, Kind::Relation, Kind::Event];

/// Everything that a reader can get of these records and of all streams and lists.
async fn all_a_reader_gets(server: &TestServer, names: &[&str]) -> String {
    let mut all = Vec::new();
    let (_, wire) = feed_heads(&server.url).await;
    let wire = usize::try_from(wire).unwrap();
    for change in read_changes(server, watch_from_beginning(View::Published), wire).await {
        all.extend(change.encode_to_vec());
    }
    let mut records = server.client.clone().records;
    let listed = records.list_records(ListRecordsRequest::default()).await;
    all.extend(listed.unwrap().into_inner().encode_to_vec());
    for name in names {
        for revision in 0..=12 {
            let request = dateline_proto::v1::GetRecordRequest {
                revision: (revision > 0).then_some(revision),
                ..get_request(name, View::Published)
            };
            match get_record(&server.client, request).await {
                Ok(answer) => all.extend(answer.encode_to_vec()),
                Err(refused) => all.extend(format!("{refused:?}").into_bytes()),
            }
            for other in 1..=12 {
                let request = dateline_proto::v1::DiffRevisionsRequest {
                    name: (*name).to_owned(),
                    view: View::Published.into(),
                    from_revision: revision.max(1),
                    to_revision: other,
                };
                match records.diff_revisions(request).await {
                    Ok(answer) => all.extend(answer.into_inner().encode_to_vec()),
                    Err(status) => all.extend(format!("{status:?}").into_bytes()),
                }
            }
        }
        for at in 0..=wire {
            let request = dateline_proto::v1::GetRecordRequest {
                as_of: Some(i64::try_from(at).unwrap()),
                ..get_request(name, View::Published)
            };
            if let Ok(answer) = get_record(&server.client, request).await {
                all.extend(answer.encode_to_vec());
            }
        }
        let request = ListRevisionsRequest {
            name: (*name).to_owned(),
            view: View::Published.into(),
            ..ListRevisionsRequest::default()
        };
        let revisions = records.list_revisions(request).await;
        all.extend(revisions.unwrap().into_inner().encode_to_vec());
    }
    let export = dateline_proto::v1::ExportRequest {
        tombstones: true,
        ..dateline_proto::v1::ExportRequest::default()
    };
    let mut parts = server
        .client
        .clone()
        .exports
        .export(export)
        .await
        .unwrap()
        .into_inner();
    while let Some(part) = parts.message().await.unwrap() {
        all.extend(part.encode_to_vec());
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn f10_w9_a_sentence_that_was_deleted_before_publication_is_quoted_to_nobody() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let clean = cleaned(&server, "story").await;
    let mut citing_drafts = Vec::new();
    for kind in CITING {
        citing_drafts.push(with_evidence(
            &record_of_kind(kind, "quoting"),
            vec![secret("articles/story", 1)],
        ));
    }
    let drafts = create_drafts(client, &citing_drafts).await;
    // In one batch with the article.
    let before = feed_heads(&server.url).await;
    let mut together: Vec<_> = drafts.iter().map(publish).collect();
    together.push(publish(&clean));
    let answer = commit_err(client, together).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let names = drafts.iter().map(name);
    assert_eq!(answer.fields(), names.collect::<Vec<_>>());
    let what = &answer.violations[0].1;
    let words = "evidence[0] quotes revision 1 of articles/story, which readers never saw";
    assert!(what.contains(words), "{what}");
    assert!(answer.message.contains("3 quotes"), "{}", answer.message);
    assert_eq!(feed_heads(&server.url).await, before);
    // After the article.
    commit_ok(client, vec![publish(&clean)]).await;
    for draft in &drafts {
        for write in [
            publish(draft),
            publish_at(draft, Some(timestamp_in_ms(3_600_000))),
        ] {
            let answer = commit_err(client, vec![write]).await;
            answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
        }
        // Neither a correction nor a restoration can add it.
        let id = format!("plain-{}", name(draft).replace('/', "-"));
        let kind = draft.kind.as_ref().unwrap().kind();
        let quoting_draft = with_evidence(
            &record_of_kind(kind, &id),
            vec![secret("articles/story", 1)],
        );
        let first = create_drafts(client, &[quoting_draft]).await.swap_remove(0);
        let plain = with_evidence(&first, vec![evidence_quoting(SOURCE)]);
        let second = commit_one(client, update(&plain, &[])).await;
        let public = commit_one(client, publish(&second)).await;
        let again = with_evidence(
            &public,
            vec![evidence_quoting(SOURCE), secret("articles/story", 1)],
        );
        for write in [
            correct(&again, &[], "more"),
            restore(&public, 1, "as it was"),
        ] {
            let answer = commit_err(client, vec![write]).await;
            answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
        }
    }
    let all = all_a_reader_gets(&server, &["articles/story", SOURCE]).await;
    assert!(all.contains("He resigned."));
    assert!(!all.contains("drunk"), "it reached a reader");
}

#[tokio::test]
async fn f10_what_an_editor_says_before_publication_reaches_no_reader_by_any_way() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let mut all_names = Vec::new();
    for kind in KINDS {
        let word = "quincezanzibar";
        let mut record = with_text(&record_of_kind(kind, "moved"), &format!("{word} first"));
        if kind == Kind::Actor {
            as_actor(&mut record).names[0].text = format!("Mr {word}");
        }
        let draft = create_drafts(client, &[record]).await.swap_remove(0);
        let review = commit_one(client, submit(&draft)).await;
        let back = commit_one(client, send_back(&review, &format!("{word}?"))).await;
        let hidden = commit_one(client, publish_at(&back, Some(timestamp_in_ms(3_600_000)))).await;
        let back = commit_one(client, send_back(&hidden, &format!("not {word}"))).await;
        let mut clean = with_text(&back, "clean");
        if kind == Kind::Actor {
            as_actor(&mut clean).names[0].text = "clean".into();
        }
        let clean = commit_one(client, update(&clean, &[])).await;
        let public = commit_one(client, publish(&clean)).await;
        let corrected = with_text(&public, "cleaner");
        let public = commit_one(client, correct(&corrected, &[], "better")).await;
        // A late writer is told the changed fields, but not the old content.
        let stale = commit_err(client, vec![correct(&with_text(&draft, "x"), &[], "x")]).await;
        stale.assert_is(Code::Aborted, "ETAG_MISMATCH");
        all_names.push(name(&public).to_owned());
        if kind != Kind::Article {
            let other = create_published(client, &record_of_kind(kind, "into")).await;
            let merged = commit_one(client, merge(&public, &other)).await;
            commit_one(client, unmerge(&merged)).await;
        }
    }
    let names: Vec<_> = all_names.iter().map(String::as_str).collect();
    let all = all_a_reader_gets(&server, &names).await;
    assert!(all.contains("cleaner"));
    assert!(!all.to_lowercase().contains("quincezanzibar"));
}

#[tokio::test]
async fn w9_a_pin_of_a_draft_moves_to_what_readers_can_read_and_the_answer_says_so() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for kind in CITING {
        let id = format!("to-{kind:?}").to_lowercase();
        let source = article_with(&id, HEADLINE, "He resigned. He did.");
        let source = create_drafts(client, &[source]).await.swap_remove(0);
        let at = name(&source).to_owned();
        let whole = Evidence {
            quote: None,
            ..evidence_quoting(&at)
        };
        let entries = vec![
            evidence_quoting(&at),
            quotes(&at, 1, text_span::Part::Body, "He resigned."),
            whole,
        ];
        let draft = with_evidence(&record_of_kind(kind, &format!("repinned-{id}")), entries);
        let draft = create_drafts(client, &[draft]).await.swap_remove(0);
        // The end of the body changes, and no quoted text.
        let mut next = source.clone();
        as_article(&mut next).body = "He resigned.".into();
        let next = commit_one(client, update(&next, &[])).await;
        let answer = commit_ok(client, vec![publish(&draft), publish(&next)]).await;
        let public = &answer.records[0];
        assert_eq!(pins(public), [3, 3, 3]);
        let [warning] = answer.warnings.as_slice() else {
            panic!("{:?}", answer.warnings)
        };
        assert_eq!(warning.reason, REPINNED);
        assert_eq!(
            warning.field,
            "writes[0].publish.record.evidence[0].article_revision"
        );
        assert_eq!(warning.records, [at.as_str(), name(public)]);
        let seen = find_record(client, name(public), View::Published)
            .await
            .unwrap();
        assert_eq!(pins(&seen), [3, 3, 3]);
        let request = dateline_proto::v1::GetRecordRequest {
            revision: Some(3),
            ..get_request(&at, View::Published)
        };
        assert!(
            get_record(client, request).await.is_ok(),
            "readers can follow it"
        );
        // A correction that only cites the draft changes nothing; another one moves the pins, and lists only its own
        // fields.
        let mut stale = public.clone();
        for entry in stale.kind.as_mut().unwrap().evidence_mut().unwrap() {
            entry.article_revision = 1;
        }
        let same = commit_ok(client, vec![correct(&stale, &[], "x")]).await;
        assert_eq!(&same.records[0], public);
        let better = commit_one(client, correct(&with_text(&stale, "better"), &[], "x")).await;
        assert_eq!(pins(&better), [3, 3, 3]);
        let noted = meta(&better).corrections[0].changed_fields.clone();
        assert!(
            !noted.is_empty() && !noted.contains(&"evidence".to_owned()),
            "{noted:?}"
        );
        // Cited revisions that readers could read stay cited, whatever the article says later.
        let mut later = answer.records[1].clone();
        as_article(&mut later).body = "Nothing.".into();
        commit_one(client, correct(&later, &[], "wrong")).await;
        let last = commit_one(client, correct(&with_text(&better, "best"), &[], "x")).await;
        assert_eq!(pins(&last), [3, 3, 3]);
    }
}

#[tokio::test]
async fn w9_a_quote_of_a_draft_may_stand_in_the_first_or_the_newest_revision_that_was_published() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let clean = cleaned(&server, "later").await;
    let public = commit_one(client, publish(&clean)).await;
    let draft = with_evidence(&actor("waiting"), vec![secret("articles/later", 1)]);
    let draft = create_drafts(client, &[draft]).await.swap_remove(0);
    let answer = commit_err(client, vec![publish(&draft)]).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    // The pin could move, but the quote is at another position there.
    let mut elsewhere = public.clone();
    as_article(&mut elsewhere).body = format!("He resigned. {SECRET}");
    let elsewhere = commit_one(client, correct(&elsewhere, &[], "it is known now")).await;
    let answer = commit_err(client, vec![publish(&draft)]).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let what = &answer.violations[0].1;
    assert!(
        what.contains("the quote occurs once, from 13 to 36"),
        "{what}"
    );
    let mut back = elsewhere.clone();
    as_article(&mut back).body = format!("{SECRET} He resigned.");
    let back = commit_one(client, correct(&back, &[], "in its place")).await;
    let public = commit_one(client, publish(&draft)).await;
    assert_eq!(pins(&public), [meta(&back).revision]);
}

#[tokio::test]
async fn f10_a_quote_of_an_embargoed_article_waits_for_it_and_is_of_what_comes_out() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let until = Some(timestamp_in_ms(1_500));
    let clean = cleaned(&server, "hidden").await;
    let bad = with_evidence(&actor("bad"), vec![secret("articles/hidden", 1)]);
    let good = quotes(
        "articles/hidden",
        1,
        text_span::Part::Headline,
        "Quoted words",
    );
    let good = with_evidence(&actor("good"), vec![good]);
    let drafts = create_drafts(client, &[bad, good]).await;
    let writes = vec![publish_at(&clean, until), publish_at(&drafts[0], until)];
    let answer = commit_err(client, writes).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let hidden = commit_ok(
        client,
        vec![publish_at(&clean, until), publish_at(&drafts[1], until)],
    )
    .await;
    assert_eq!(
        pins(&hidden.records[1]),
        [1],
        "there is none to move to yet"
    );
    let answer = commit_err(client, vec![publish_at(&drafts[0], until)]).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    until_published(client, "actors/good").await;
    let public = find_record(client, "actors/good", View::Published)
        .await
        .unwrap();
    assert_eq!(
        pins(&public),
        [4],
        "1 was made, 2 cleaned, 3 hidden, 4 published"
    );
}

async fn until_published(client: &dateline_client::Client, name: &str) {
    wait_until("the embargo ends", async || {
        find_record(client, name, View::Published).await.is_some()
    })
    .await;
}
