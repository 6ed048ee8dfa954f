//! F10, W9: text that was deleted before an article was published reaches no reader, not even by evidence of other
//! records. Readers can read every revision that evidence of a published record pins.

use dateline_proto::v1::{
    Evidence, Kind, ListRecordsRequest, ListRevisionsRequest, LoadRecordsRequest, Record, State,
    TextSpan, View, record::Kind as Body, text_span,
};
use prost::Message;
use tonic::Code;

use super::hands::*;
use crate::{
    gold::{changes, from_beginning},
    rig::{Site, meta, name, site},
};

/// Text that an editor deletes before publication.
const SECRET: &str = "The minister was drunk.";
const REPINNED: &str = "EVIDENCE_REPINNED";

/// An article with this headline and body.
fn told(id: &str, headline: &str, body: &str) -> Record {
    let mut record = article(id);
    let article = as_article(&mut record);
    (article.headline, article.body) = (headline.into(), body.into());
    record
}

fn as_article(record: &mut Record) -> &mut dateline_proto::v1::Article {
    match &mut record.kind {
        Some(Body::Article(article)) => article,
        other => panic!("{other:?}"),
    }
}

/// Evidence that quotes the beginning of a part of an article.
fn quotes(article: &str, revision: i64, part: text_span::Part, exact: &str) -> Evidence {
    let span = TextSpan {
        part: part.into(),
        start: 0,
        end: i32::try_from(exact.chars().count()).unwrap(),
        exact: exact.into(),
    };
    Evidence {
        article_revision: revision,
        quote: Some(span),
        ..quoting(article)
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
async fn cleaned(site: &Site, id: &str) -> Record {
    let full = told(id, HEADLINE, &format!("{SECRET} He resigned."));
    let draft = make(&site.client, &[full]).await.swap_remove(0);
    let clean = told(id, HEADLINE, "He resigned.");
    let mut next = draft.clone();
    as_article(&mut next).body = as_article(&mut clean.clone()).body.clone();
    one(&site.client, update(&next, &[])).await
}

const CITING: [Kind; 3] = [Kind::Actor, Kind::Relation, Kind::Event];

/// Everything that a reader can get of these records and of all streams and lists.
async fn all_a_reader_gets(site: &Site, names: &[&str]) -> String {
    let mut all = Vec::new();
    let (_, wire) = heads(&site.url).await;
    let wire = usize::try_from(wire).unwrap();
    for change in changes(site, from_beginning(View::Published), wire).await {
        all.extend(change.encode_to_vec());
    }
    let mut records = site.client.clone().records;
    let listed = records.list_records(ListRecordsRequest::default()).await;
    all.extend(listed.unwrap().into_inner().encode_to_vec());
    for name in names {
        for revision in 0..=12 {
            let request = dateline_proto::v1::GetRecordRequest {
                revision: (revision > 0).then_some(revision),
                ..get_request(name, View::Published)
            };
            match get(&site.client, request).await {
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
            if let Ok(answer) = get(&site.client, request).await {
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
    let mut parts = site
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
    let site = base().await;
    let client = &site.client;
    let clean = cleaned(&site, "story").await;
    let mut citing_drafts = Vec::new();
    for kind in CITING {
        citing_drafts.push(citing(
            &of_kind(kind, "quoting"),
            vec![secret("articles/story", 1)],
        ));
    }
    let drafts = make(client, &citing_drafts).await;
    // In one batch with the article.
    let before = heads(&site.url).await;
    let mut together: Vec<_> = drafts.iter().map(publish).collect();
    together.push(publish(&clean));
    let answer = refused(client, together).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let names = drafts.iter().map(name);
    assert_eq!(answer.fields(), names.collect::<Vec<_>>());
    let what = &answer.violations[0].1;
    let words = "evidence[0] quotes revision 1 of articles/story, which readers never saw";
    assert!(what.contains(words), "{what}");
    assert!(answer.message.contains("3 quotes"), "{}", answer.message);
    assert_eq!(heads(&site.url).await, before);
    // After the article.
    done(client, vec![publish(&clean)]).await;
    for draft in &drafts {
        for write in [publish(draft), publish_at(draft, Some(in_ms(3_600_000)))] {
            let answer = refused(client, vec![write]).await;
            answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
        }
        // Neither a correction nor a restoration can add it.
        let id = format!("plain-{}", name(draft).replace('/', "-"));
        let kind = draft.kind.as_ref().unwrap().kind();
        let quoting_draft = citing(&of_kind(kind, &id), vec![secret("articles/story", 1)]);
        let first = make(client, &[quoting_draft]).await.swap_remove(0);
        let plain = citing(&first, vec![quoting(SOURCE)]);
        let second = one(client, update(&plain, &[])).await;
        let public = one(client, publish(&second)).await;
        let again = citing(&public, vec![quoting(SOURCE), secret("articles/story", 1)]);
        for write in [
            correct(&again, &[], "more"),
            restore(&public, 1, "as it was"),
        ] {
            let answer = refused(client, vec![write]).await;
            answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
        }
    }
    let all = all_a_reader_gets(&site, &["articles/story", SOURCE]).await;
    assert!(all.contains("He resigned."));
    assert!(!all.contains("drunk"), "it reached a reader");
}

#[tokio::test]
async fn f10_what_an_editor_says_before_publication_reaches_no_reader_by_any_way() {
    let site = base().await;
    let client = &site.client;
    let mut all_names = Vec::new();
    for kind in KINDS {
        let word = "quincezanzibar";
        let mut record = saying(&of_kind(kind, "moved"), &format!("{word} first"));
        if kind == Kind::Actor {
            as_actor(&mut record).names[0].text = format!("Mr {word}");
        }
        let draft = make(client, &[record]).await.swap_remove(0);
        let review = one(client, submit(&draft)).await;
        let back = one(client, send_back(&review, &format!("{word}?"))).await;
        let hidden = one(client, publish_at(&back, Some(in_ms(3_600_000)))).await;
        let back = one(client, send_back(&hidden, &format!("not {word}"))).await;
        let mut clean = saying(&back, "clean");
        if kind == Kind::Actor {
            as_actor(&mut clean).names[0].text = "clean".into();
        }
        let clean = one(client, update(&clean, &[])).await;
        let public = one(client, publish(&clean)).await;
        let corrected = saying(&public, "cleaner");
        let public = one(client, correct(&corrected, &[], "better")).await;
        // A late writer is told the changed fields, but not the old content.
        let stale = refused(client, vec![correct(&saying(&draft, "x"), &[], "x")]).await;
        stale.is(Code::Aborted, "ETAG_MISMATCH");
        all_names.push(name(&public).to_owned());
        if kind != Kind::Article {
            let other = shown(client, &of_kind(kind, "into")).await;
            let merged = one(client, merge(&public, &other)).await;
            one(client, unmerge(&merged)).await;
        }
    }
    let names: Vec<_> = all_names.iter().map(String::as_str).collect();
    let all = all_a_reader_gets(&site, &names).await;
    assert!(all.contains("cleaner"));
    assert!(!all.to_lowercase().contains("quincezanzibar"));
}

#[tokio::test]
async fn w9_a_pin_of_a_draft_moves_to_what_readers_can_read_and_the_answer_says_so() {
    let site = base().await;
    let client = &site.client;
    for kind in CITING {
        let id = format!("to-{kind:?}").to_lowercase();
        let source = told(&id, HEADLINE, "He resigned. He did.");
        let source = make(client, &[source]).await.swap_remove(0);
        let at = name(&source).to_owned();
        let whole = Evidence {
            quote: None,
            ..quoting(&at)
        };
        let entries = vec![
            quoting(&at),
            quotes(&at, 1, text_span::Part::Body, "He resigned."),
            whole,
        ];
        let draft = citing(&of_kind(kind, &format!("repinned-{id}")), entries);
        let draft = make(client, &[draft]).await.swap_remove(0);
        // The end of the body changes, and no quoted text.
        let mut next = source.clone();
        as_article(&mut next).body = "He resigned.".into();
        let next = one(client, update(&next, &[])).await;
        let answer = done(client, vec![publish(&draft), publish(&next)]).await;
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
        let seen = look(client, name(public), View::Published).await.unwrap();
        assert_eq!(pins(&seen), [3, 3, 3]);
        let request = dateline_proto::v1::GetRecordRequest {
            revision: Some(3),
            ..get_request(&at, View::Published)
        };
        assert!(get(client, request).await.is_ok(), "readers can follow it");
        // A correction that only cites the draft changes nothing; another one moves the pins, and lists only its own
        // fields.
        let mut stale = public.clone();
        for entry in stale.kind.as_mut().unwrap().evidence_mut().unwrap() {
            entry.article_revision = 1;
        }
        let same = done(client, vec![correct(&stale, &[], "x")]).await;
        assert_eq!(&same.records[0], public);
        let better = one(client, correct(&saying(&stale, "better"), &[], "x")).await;
        assert_eq!(pins(&better), [3, 3, 3]);
        let noted = meta(&better).corrections[0].changed_fields.clone();
        assert!(
            !noted.is_empty() && !noted.contains(&"evidence".to_owned()),
            "{noted:?}"
        );
        // Cited revisions that readers could read stay cited, whatever the article says later.
        let mut later = answer.records[1].clone();
        as_article(&mut later).body = "Nothing.".into();
        one(client, correct(&later, &[], "wrong")).await;
        let last = one(client, correct(&saying(&better, "best"), &[], "x")).await;
        assert_eq!(pins(&last), [3, 3, 3]);
    }
}

#[tokio::test]
async fn w9_a_quote_of_a_draft_may_stand_in_the_first_or_the_newest_revision_that_was_published() {
    let site = base().await;
    let client = &site.client;
    let clean = cleaned(&site, "later").await;
    let public = one(client, publish(&clean)).await;
    let draft = citing(&actor("waiting"), vec![secret("articles/later", 1)]);
    let draft = make(client, &[draft]).await.swap_remove(0);
    let answer = refused(client, vec![publish(&draft)]).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    // The pin could move, but the quote is at another position there.
    let mut elsewhere = public.clone();
    as_article(&mut elsewhere).body = format!("He resigned. {SECRET}");
    let elsewhere = one(client, correct(&elsewhere, &[], "it is known now")).await;
    let answer = refused(client, vec![publish(&draft)]).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let what = &answer.violations[0].1;
    assert!(
        what.contains("the quote occurs once, from 13 to 36"),
        "{what}"
    );
    let mut back = elsewhere.clone();
    as_article(&mut back).body = format!("{SECRET} He resigned.");
    let back = one(client, correct(&back, &[], "in its place")).await;
    let public = one(client, publish(&draft)).await;
    assert_eq!(pins(&public), [meta(&back).revision]);
}

#[tokio::test]
async fn f10_a_quote_of_an_embargoed_article_waits_for_it_and_is_of_what_comes_out() {
    let site = base().await;
    let client = &site.client;
    let until = Some(in_ms(1_500));
    let clean = cleaned(&site, "hidden").await;
    let bad = citing(&actor("bad"), vec![secret("articles/hidden", 1)]);
    let good = quotes(
        "articles/hidden",
        1,
        text_span::Part::Headline,
        "Quoted words",
    );
    let good = citing(&actor("good"), vec![good]);
    let drafts = make(client, &[bad, good]).await;
    let writes = vec![publish_at(&clean, until), publish_at(&drafts[0], until)];
    let answer = refused(client, writes).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let hidden = done(
        client,
        vec![publish_at(&clean, until), publish_at(&drafts[1], until)],
    )
    .await;
    assert_eq!(
        pins(&hidden.records[1]),
        [1],
        "there is none to move to yet"
    );
    let answer = refused(client, vec![publish_at(&drafts[0], until)]).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    until_published(client, "actors/good").await;
    let public = look(client, "actors/good", View::Published).await.unwrap();
    assert_eq!(
        pins(&public),
        [4],
        "1 was made, 2 cleaned, 3 hidden, 4 published"
    );
}

async fn until_published(client: &dateline_client::Client, name: &str) {
    until("the embargo ends", async || {
        look(client, name, View::Published).await.is_some()
    })
    .await;
}

/// Restores the pins of a published record to those before pins were checked.
async fn as_of_old(site: &Site, record: &str, revision: i64) {
    let mut stored = on_desk(&site.client, record).await;
    stored.kind.as_mut().and_then(Body::take_meta);
    for entry in stored.kind.as_mut().unwrap().evidence_mut().unwrap() {
        entry.article_revision = revision;
    }
    let content = match stored.kind.unwrap() {
        Body::Actor(actor) => actor.encode_to_vec(),
        other => panic!("{other:?}"),
    };
    let statement = format!(
        "UPDATE changes SET content = '\\x{}' WHERE name = '{record}'",
        hex::encode(content)
    );
    behind(&site.url, &statement).await;
}

#[tokio::test]
async fn f10_a_merge_shows_no_pin_anew_that_readers_cannot_follow() {
    let site = base().await;
    let client = &site.client;
    let loser = shown(client, &actor("loser")).await;
    let winner = shown(client, &actor("winner")).await;
    as_of_old(&site, "actors/winner", 1).await;
    let answer = done(client, vec![merge(&loser, &winner)]).await;
    assert_eq!(answer.warnings[0].reason, REPINNED);
    let kept = look(client, "actors/winner", View::Published)
        .await
        .unwrap();
    assert_eq!(pins(&kept), [2]);
    as_of_old(&site, "actors/loser", 1).await;
    let merged = on_desk(client, "actors/loser").await;
    one(client, unmerge(&merged)).await;
    let back = look(client, "actors/loser", View::Published).await.unwrap();
    assert_eq!(pins(&back), [2]);
}

fn load_of(records: &[Record]) -> LoadRecordsRequest {
    LoadRecordsRequest {
        records: records.to_vec(),
        ..LoadRecordsRequest::default()
    }
}

#[tokio::test]
async fn f10_what_is_loaded_as_published_quotes_what_readers_could_read() {
    let old = base().await;
    let client = &old.client;
    let clean = cleaned(&old, "story").await;
    let public = one(client, publish(&clean)).await;
    let mut quoting_it = citing(&actor("quoting"), vec![quoting("articles/story")]);
    quoting_it = shown(client, &quoting_it).await;
    assert_eq!(pins(&quoting_it), [3]);
    let leaking = |revision| citing(&quoting_it, vec![secret("articles/story", revision)]);
    let new = site().await;
    let mut admin = new.client.clone().admin;
    let refused = admin
        .load_records(load_of(&[public.clone(), leaking(1)]))
        .await
        .unwrap_err();
    let refused = Refused::from(refused);
    refused.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    assert_eq!(refused.fields(), ["actors/quoting"]);
    // A pin of a draft whose quote is in the published revision moves; loaded twice, the record exists already.
    let mut drafted = quoting_it.clone();
    drafted.kind.as_mut().unwrap().evidence_mut().unwrap()[0].article_revision = 1;
    for loaded in [2, 0] {
        let answer = admin
            .load_records(load_of(&[public.clone(), drafted.clone()]))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.loaded, loaded);
        assert_eq!(answer.warnings.len(), usize::from(loaded > 0));
    }
    let seen = look(&new.client, "actors/quoting", View::Published).await;
    assert_eq!(pins(&seen.unwrap()), [3]);
    // A quote of a published revision that was corrected since stays: readers could read it there.
    let mut corrected = public.clone();
    as_article(&mut corrected).headline = "Other words".into();
    let corrected = one(client, correct(&corrected, &[], "wrong")).await;
    let third = site().await;
    let mut admin = third.client.clone().admin;
    let answer = admin
        .load_records(load_of(&[corrected.clone(), quoting_it.clone()]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.loaded, answer.warnings.len()), (2, 0));
    let seen = look(&third.client, "actors/quoting", View::Published).await;
    assert_eq!(pins(&seen.unwrap()), [3], "as it was");
    // Loaded before its article, it makes the load of the article fail.
    let late = site().await;
    let mut admin = late.client.clone().admin;
    admin.load_records(load_of(&[leaking(1)])).await.unwrap();
    let answer = admin.load_records(load_of(std::slice::from_ref(&public)));
    let answer = Refused::from(answer.await.unwrap_err());
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    assert_eq!(answer.fields(), ["actors/quoting"]);
    // A record that is loaded as a draft is checked when it is published.
    let fourth = site().await;
    let mut draft = leaking(1);
    match draft.kind.as_mut().unwrap() {
        Body::Actor(actor) => actor.meta.as_mut().unwrap().state = State::Draft.into(),
        other => panic!("{other:?}"),
    }
    let mut admin = fourth.client.clone().admin;
    admin.load_records(load_of(&[public, draft])).await.unwrap();
    let draft = on_desk(&fourth.client, "actors/quoting").await;
    let answer = send(&fourth.client, commit_of(vec![publish(&draft)])).await;
    assert!(answer.is_err(), "{answer:?}");
}
