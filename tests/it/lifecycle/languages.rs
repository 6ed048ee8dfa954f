//! One spelling for each language, in stored records and in filters; also for records stored earlier. And the days of
//! seasons, which depend on the hemisphere.

use dateline_proto::v1::{
    Article, FuzzyDate, ListRecordsRequest, Period, Record, RecordFilter, Role, View, WatchRequest,
    record::Kind as Body, record_filter::TimeRange,
};
use prost::Message;
use sqlx::{Connection, PgConnection};
use tonic::Code;

use crate::support::{
    callers,
    editing::*,
    server::{TestServer, config, create_database, start_server_with},
    watch::{read_changes, watch_from_beginning},
};

fn as_article(record: &mut Record) -> &mut Article {
    match &mut record.kind {
        Some(Body::Article(article)) => article,
        other => panic!("{other:?}"),
    }
}

fn article_in_language(id: &str, language: &str) -> Record {
    let mut record = article(id);
    as_article(&mut record).language_code = language.into();
    record
}

fn filter(language: &str) -> RecordFilter {
    RecordFilter {
        language_codes: vec![language.into()],
        ..RecordFilter::default()
    }
}

async fn listed(client: &dateline_client::Client, filter: RecordFilter) -> Vec<String> {
    let request = ListRecordsRequest {
        filter: Some(filter),
        ..ListRecordsRequest::default()
    };
    let page = client.clone().records.list_records(request).await.unwrap();
    let records = page.into_inner().records;
    records
        .iter()
        .map(|record| name(record).to_owned())
        .collect()
}

/// The names of the first `count` changes of a stream from the beginning under a filter.
async fn streamed(server: &TestServer, filter: RecordFilter, count: usize) -> Vec<String> {
    let request = WatchRequest {
        filter: Some(filter),
        ..watch_from_beginning(View::Published)
    };
    let seen = read_changes(server, request, count).await;
    seen.into_iter().map(|change| change.name).collect()
}

#[tokio::test]
async fn d10_two_spellings_of_a_language_are_one_in_records_filters_and_streams() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let sent = [
        article_in_language("a-iw", "iw"),
        article_in_language("b-he", "he"),
        article_in_language("c-in", "in"),
        article_in_language("d-sh", "sh"),
        article_in_language("e-cmn", "zh-cmn"),
        article_in_language("f-eng", "eng-GB"),
    ];
    let drafts = create_drafts(client, &sent).await;
    let stored = drafts
        .iter()
        .cloned()
        .map(|mut it| as_article(&mut it).language_code.clone());
    assert_eq!(
        stored.collect::<Vec<_>>(),
        ["he", "he", "id", "sr-Latn", "cmn", "en-GB"]
    );
    publish_all(client, &drafts).await;
    for (asked, found) in [
        (["iw", "he"], &["articles/a-iw", "articles/b-he"][..]),
        (["in", "ID"], &["articles/c-in"]),
        (["sh", "sr-Latn"], &["articles/d-sh"]),
        (["zh-cmn", "cmn"], &["articles/e-cmn"]),
        (["en-GB", "en-UK"], &["articles/f-eng"]),
    ] {
        for language in asked {
            assert_eq!(listed(client, filter(language)).await, found, "{language}");
            assert_eq!(
                streamed(&server, filter(language), found.len()).await,
                found
            );
        }
    }
    let answer = commit_err(
        client,
        vec![create(&article_in_language("locale", "en_US"))],
    )
    .await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.violations[0].1.ends_with("write en-US"),
        "{answer:?}"
    );
    let request = ListRecordsRequest {
        filter: Some(filter("iw_IL")),
        ..ListRecordsRequest::default()
    };
    let answer = client
        .clone()
        .records
        .list_records(request)
        .await
        .unwrap_err();
    let answer = RpcError::from(answer);
    answer.assert_is(Code::InvalidArgument, "INVALID_FILTER");
    assert!(
        answer.violations[0].1.ends_with("write he-IL"),
        "{answer:?}"
    );
    // The names of actors too.
    let mut named = actor("named");
    as_actor(&mut named).names[0].language_code = "iw".into();
    let draft = create_drafts(client, &[named]).await.swap_remove(0);
    assert_eq!(as_actor(&mut draft.clone()).names[0].language_code, "he");
}

#[tokio::test]
async fn d10_a_token_for_a_language_sees_it_however_it_is_spelled() {
    let two = callers::start_access_servers().await;
    let client = &two.open.client;
    let drafts = create_drafts(
        client,
        &[
            article_in_language("he", "he"),
            article_in_language("en", "en"),
        ],
    )
    .await;
    publish_all(client, &drafts).await;
    for scope in ["lang:iw", "lang:he"] {
        let narrow = callers::client_with_roles(&two, &[Role::Reader], &[scope]).await;
        assert_eq!(
            listed(&narrow, RecordFilter::default()).await,
            ["articles/he"]
        );
    }
}

/// Changes the database to the content and facets that an older server would have written: the old spelling.
async fn as_of_old(url: &str, record: &Record) {
    let mut old = record.clone();
    old.kind.as_mut().and_then(Body::take_meta);
    let article = as_article(&mut old);
    article.language_code = "iw".into();
    let statements = format!(
        "UPDATE changes SET content = '\\x{content}', content_at = NULL,
             facets = array_replace(facets, 'lang:he', 'lang:iw'),
             facets_before = array_replace(facets_before, 'lang:he', 'lang:iw')
         WHERE name = '{name}';
         UPDATE records SET facets = array_replace(facets, 'lang:he', 'lang:iw') WHERE name = '{name}';
         UPDATE feed SET language_spelling = 0,
             desk_tally = counted_tally('{{draft,in_review,embargoed,published}}'),
             wire_tally = counted_tally('{{published}}');",
        content = hex::encode(article.encode_to_vec()),
        name = name(record),
    );
    execute_sql(url, &statements).await;
}

async fn tallies(url: &str) -> (Vec<i64>, Vec<i64>) {
    let mut sql = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query_as("SELECT desk_tally, wire_tally FROM feed");
    row.fetch_one(&mut sql).await.unwrap()
}

#[tokio::test]
async fn d10_what_was_stored_in_an_old_spelling_is_found_and_stays_as_it_is() {
    let url = create_database().await;
    let first = start_server_with(config(&url)).await;
    create_base(&first.client).await;
    let public = create_published(&first.client, &article_in_language("old", "he")).await;
    first.stop().await;
    as_of_old(&url, &public).await;
    let before = tallies(&url).await;
    let second = start_server_with(config(&url)).await;
    let client = &second.client;
    for language in ["iw", "he"] {
        assert_eq!(listed(client, filter(language)).await, ["articles/old"]);
        let seen = streamed(&second, filter(language), 1).await;
        assert_eq!(seen, ["articles/old"]);
    }
    assert_eq!(listed(client, filter("en")).await, [SOURCE]);
    let mut kept = find_record(client, "articles/old", View::Published)
        .await
        .unwrap();
    assert_eq!(
        as_article(&mut kept).language_code,
        "iw",
        "as it was written"
    );
    assert_eq!(tallies(&url).await, before, "and so it is in digests");
    // Its next revision has the current spelling.
    as_article(&mut kept).headline = "Quoted words, and more".into();
    let corrected = commit_one(client, correct(&kept, &["headline"], "more")).await;
    assert_eq!(as_article(&mut corrected.clone()).language_code, "he");
}

#[tokio::test]
async fn d10_a_summer_in_sydney_is_found_in_january() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for (id, edtf) in [
        ("either", "2021-22"),
        ("southern", "2021-30"),
        ("northern", "2021-26"),
    ] {
        let mut record = event(id);
        as_event(&mut record).time = Some(Period {
            start: Some(FuzzyDate {
                edtf: edtf.into(),
                ..FuzzyDate::default()
            }),
            ..Period::default()
        });
        create_published(client, &record).await;
    }
    let within = |earliest: &str, latest: &str| RecordFilter {
        time: Some(TimeRange {
            earliest: earliest.into(),
            latest: latest.into(),
        }),
        ..RecordFilter::default()
    };
    for (earliest, latest, found) in [
        (
            "2022-01-01",
            "2022-01-31",
            &["events/either", "events/southern"][..],
        ),
        (
            "2021-07-01",
            "2021-07-31",
            &["events/either", "events/northern"],
        ),
        ("2022-06-01", "2022-06-30", &[]),
    ] {
        assert_eq!(
            listed(client, within(earliest, latest)).await,
            found,
            "{earliest}"
        );
    }
}
