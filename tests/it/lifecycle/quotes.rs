//! W12: a quote that is given by its text is stored with revision, part and offsets, like any other; for every kind, in
//! every write that carries content.

use dateline_proto::v1::{Evidence, Record, TextSpan, record::Kind as Body, text_span::Part};
use tonic::Code;

use crate::support::{
    builders::correct,
    editing::*,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};
use dateline_proto::v1::View;

const BODY: &str = "The port opened on Monday.\nThe mayor said the port was ready.";

/// Evidence that names neither revision nor part nor offsets.
fn by_text(article: &str, exact: &str) -> Evidence {
    Evidence {
        article_revision: 0,
        quote: Some(TextSpan {
            exact: exact.to_owned(),
            ..TextSpan::default()
        }),
        ..evidence_quoting(article)
    }
}

/// Evidence with everything that is stored of a quote of the body.
fn stored(article: &str, revision: i64, start: i32, exact: &str) -> Evidence {
    Evidence {
        article_revision: revision,
        quote: Some(TextSpan {
            part: Part::Body.into(),
            start,
            end: start + i32::try_from(exact.chars().count()).unwrap(),
            exact: exact.to_owned(),
            ..TextSpan::default()
        }),
        ..evidence_quoting(article)
    }
}

fn evidence(record: &Record) -> &[Evidence] {
    record.kind.as_ref().unwrap().evidence().unwrap()
}

/// One record of each kind that has evidence; the event needs an actor.
fn facts(id: &str, entry: &Evidence) -> Vec<Record> {
    [actor(id), relation(id), event(id)]
        .iter()
        .map(|record| with_evidence(record, vec![entry.clone()]))
        .collect()
}

async fn start() -> TestServer {
    let server = start_server_with_base().await;
    create_published(&server.client, &article_with_body("port", BODY)).await;
    server
}

#[tokio::test]
async fn w12_every_kind_is_stored_as_if_its_offsets_had_been_sent() {
    let server = start().await;
    let entry = by_text("articles/port", "said the  port");
    let expected = [stored("articles/port", 2, 37, "said the port")];
    let drafts = create_drafts(&server.client, &facts("made", &entry)).await;
    for draft in &drafts {
        assert_eq!(evidence(draft), expected);
        // The same by an update: nothing changes, so there is no revision.
        let again = with_evidence(draft, vec![entry.clone()]);
        let same = commit_one(&server.client, update(&again, &[])).await;
        assert_eq!(meta(&same).revision, 1, "{}", name(draft));
    }
    for record in publish_all(&server.client, &drafts).await {
        let mut next = record.clone();
        next = with_evidence(&next, vec![by_text("articles/port", "opened")]);
        let corrected = commit_one(&server.client, correct(&next, &["evidence"], "note")).await;
        let expected = [stored("articles/port", 2, 9, "opened")];
        assert_eq!(evidence(&corrected), expected);
    }
    // Readers get no trace of how a quote was found.
    let (_, wire) = feed_heads(&server.url).await;
    let all = read_changes(
        &server,
        watch_from_beginning(View::Published),
        wire.try_into().unwrap(),
    );
    for change in all.await {
        let record = change.record.unwrap_or_default();
        let entries = record.kind.as_ref().and_then(Body::evidence);
        for quote in entries
            .unwrap_or_default()
            .iter()
            .filter_map(|it| it.quote.as_ref())
        {
            assert!(quote.end > 0 && quote.prefix.is_empty() && quote.suffix.is_empty());
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn w12_an_article_of_the_same_request_is_quoted_wherever_it_stands_in_it() {
    let server = start().await;
    let fact = |id| with_evidence(&actor(id), vec![by_text("articles/new", "opened")]);
    let made = commit_ok(
        &server.client,
        vec![
            create(&fact("before")),
            create(&article_with_body("new", BODY)),
            create(&fact("after")),
        ],
    )
    .await
    .records;
    for index in [0, 2] {
        assert_eq!(
            evidence(&made[index]),
            [stored("articles/new", 1, 9, "opened")]
        );
    }
    // A newer text of the article in the same request is the one that is quoted.
    let mut article = made[1].clone();
    as_article(&mut article).body = format!("Late news. {BODY}");
    let made = commit_ok(
        &server.client,
        vec![create(&fact("later")), update(&article, &["body"])],
    )
    .await
    .records;
    assert_eq!(
        evidence(&made[0]),
        [stored("articles/new", 2, 20, "opened")]
    );
    server.stop().await;
}

#[tokio::test]
async fn w12_mentions_are_found_in_their_own_article() {
    let server = start().await;
    let mention = |exact: &str, prefix: &str| dateline_proto::v1::Mention {
        span: Some(TextSpan {
            exact: exact.to_owned(),
            prefix: prefix.to_owned(),
            ..TextSpan::default()
        }),
        target: "actors/one".to_owned(),
        ..dateline_proto::v1::Mention::default()
    };
    let mut record = article_with_body("mentions", BODY);
    as_article(&mut record).mentions = vec![mention("mayor", ""), mention("port", "said the")];
    let made = create_drafts(&server.client, &[record.clone()]).await;
    let spans: Vec<_> = as_article(&mut made[0].clone())
        .mentions
        .iter()
        .map(|it| it.span.clone().unwrap())
        .map(|it| (it.part(), it.start, it.end, it.prefix))
        .collect();
    let expected = [(31, 36), (46, 50)].map(|(start, end)| (Part::Body, start, end, String::new()));
    assert_eq!(spans, expected);
    as_article(&mut record).mentions = vec![mention("port", "")];
    as_article(&mut record).name = "articles/ambiguous".to_owned();
    let error = commit_err(&server.client, vec![create(&record)]).await;
    error.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(
        error.fields(),
        ["writes[0].create.record.article.mentions[0].span"]
    );
    server.stop().await;
}

#[tokio::test]
async fn w12_a_quote_that_is_not_there_or_not_alone_is_refused_with_what_would_help() {
    let server = start().await;
    let quoted = |entry: Evidence| with_evidence(&actor("refused"), vec![entry]);
    let long = TextSpan {
        exact: "opened".to_owned(),
        start: 9,
        end: 15,
        part: Part::Body.into(),
        occurrence: 1,
        ..TextSpan::default()
    };
    let with_quote = |quote: TextSpan| Evidence {
        quote: Some(quote),
        ..by_text("articles/port", "")
    };
    for (entry, field, words) in [
        (by_text("articles/port", "port"), "quote", "occurs 2 times"),
        (
            by_text("articles/port", "The mayor says the port"),
            "quote",
            "[-says-]{+said+}",
        ),
        (
            by_text("articles/none", "port"),
            "quote",
            "there is no article articles/none",
        ),
        (
            Evidence {
                article_revision: 9,
                ..by_text("articles/port", "opened")
            },
            "article_revision",
            "no revision 9; its newest is 2",
        ),
        (
            with_quote(long.clone()),
            "quote.occurrence",
            "without offsets",
        ),
        (
            with_quote(TextSpan {
                part: 0,
                occurrence: 0,
                ..long.clone()
            }),
            "quote.part",
            "must be set",
        ),
        (
            with_quote(TextSpan {
                exact: String::new(),
                ..TextSpan::default()
            }),
            "quote.exact",
            "must not be empty",
        ),
    ] {
        let before = feed_heads(&server.url).await;
        let error = commit_err(&server.client, vec![create(&quoted(entry))]).await;
        error.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        let field = format!("writes[0].create.record.actor.evidence[0].{field}");
        assert_eq!(error.fields(), [field.as_str()], "{error:?}");
        assert!(format!("{error:?}").contains(words), "{words}: {error:?}");
        assert_eq!(feed_heads(&server.url).await, before);
    }
    server.stop().await;
}

#[tokio::test]
async fn w12_f10_a_quote_of_a_draft_is_pinned_again_when_readers_see_it() {
    let server = start().await;
    let draft = create_drafts(&server.client, &[article_with_body("late", BODY)]).await;
    let fact = with_evidence(&actor("fact"), vec![by_text("articles/late", "opened")]);
    let fact = create_drafts(&server.client, &[fact]).await.swap_remove(0);
    assert_eq!(evidence(&fact)[0].article_revision, 1);
    let mut moved = draft[0].clone();
    as_article(&mut moved).body = format!("{BODY} More.");
    let moved = commit_one(&server.client, update(&moved, &["body"])).await;
    let published = publish_all(&server.client, &[moved, fact]).await;
    assert_eq!(evidence(&published[1])[0].article_revision, 3);
    // By a correction of what readers see, the newest text of a draft cannot leak: it has none that is hidden.
    let corrected = with_evidence(&published[1], vec![by_text("articles/late", "More.")]);
    let corrected = commit_one(&server.client, correct(&corrected, &["evidence"], "n")).await;
    assert_eq!(evidence(&corrected)[0].article_revision, 3);
    server.stop().await;
}
