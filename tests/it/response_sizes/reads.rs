//! Reads of more than fits: the answer holds what fits, and names the rest for further requests.

use std::collections::BTreeSet;

use dateline_proto::v1::{
    BatchGetRecordsRequest, DiffRevisionsRequest, GetHealthRequest, GetRecordRequest,
    ListAuditEntriesRequest, ListRecordsRequest, ListRevisionsRequest, ListTokensRequest, Record,
};

use crate::support::{
    editing,
    editing::execute_sql,
    large_records::{DEFAULT_LIMIT, SizeChecks, desk, unchecked},
    records::{meta, name, with_etag},
};

/// Tokens with the longest scopes.
pub const TOKENS: &str = "INSERT INTO tokens (id, secret_sha256, name, roles, scope, created_at, created_by, expires_at)
    SELECT lpad(number::text, 8, '0'), sha256(number::text::bytea), 'made-' || number, '{reader}',
        array_fill('topic:' || repeat('x', 94), ARRAY[100]), now(), 'somebody', now() + interval '1 day'
    FROM generate_series(1, 900) AS number";

/// Entries of the largest batches.
pub const AUDIT: &str = "INSERT INTO audit (at, author, credential, peer, method, outcome, names, types, revisions, details)
    SELECT now(), 'somebody', 'none', '', 'Cascade', 'done', array_fill('articles/' || repeat('x', 63), ARRAY[5000]),
        array_fill('retracted'::text, ARRAY[5000]), array_fill(3::bigint, ARRAY[5000]), ''
    FROM generate_series(1, 20) AS number";

/// Records by name and as lists.
pub async fn records(checks: &mut SizeChecks, articles: &[Record]) {
    let request = GetRecordRequest {
        name: "actors/two".to_owned(),
        view: desk(),
        ..GetRecordRequest::default()
    };
    let largest = checks.records.get_record(request).await;
    let largest = checks.check_answer("GetRecord", largest);
    assert!(prost::Message::encoded_len(&largest) > DEFAULT_LIMIT * 6 / 10);

    let mut names: Vec<_> = articles.iter().map(|it| name(it).to_owned()).collect();
    names.truncate(996);
    names.splice(
        0..0,
        ["actors/one", "actors/two", "actors/single", "actors/nobody"].map(str::to_owned),
    );
    let mut found = Vec::new();
    let mut asked = names.clone();
    while !asked.is_empty() {
        let request = BatchGetRecordsRequest {
            names: asked,
            view: desk(),
            min_sequence: 0,
        };
        let answer = checks.records.batch_get_records(request).await;
        let answer = checks.check_answer("BatchGetRecords", answer);
        assert!(!answer.records.is_empty());
        found.extend(answer.records.iter().map(|it| name(it).to_owned()));
        found.extend(answer.missing);
        asked = answer.omitted;
    }
    assert_eq!(found.len(), names.len());
    let (found, names) = (BTreeSet::from_iter(found), BTreeSet::from_iter(names));
    assert_eq!(found, names, "each once, and none left out");

    let mut request = ListRecordsRequest {
        view: desk(),
        page_size: 1000,
        filter: Some(dateline_proto::v1::RecordFilter {
            states: (1..=6).collect(),
            ..Default::default()
        }),
        ..ListRecordsRequest::default()
    };
    let mut listed = 0;
    loop {
        let page = checks.records.list_records(request.clone()).await;
        let page = checks.check_answer("ListRecords", page);
        listed += page.records.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, 1000 + 4);
}

/// Revisions with long notes, and two that differ in everything.
pub async fn history(checks: &mut SizeChecks) {
    let client = checks.server.client.clone();
    let single = editing::desk_record(&client, "actors/single").await;
    let more = with_etag(&unchecked("single", 300, "\u{20003}"), &meta(&single).etag);
    editing::commit_one(&client, editing::update(&more, &[])).await;
    let request = DiffRevisionsRequest {
        name: "actors/single".to_owned(),
        view: desk(),
        from_revision: 2,
        to_revision: 3,
    };
    let answer = checks.records.diff_revisions(request).await;
    let answer = checks.check_answer("DiffRevisions", answer);
    assert_eq!(answer.differences.len(), 300);
    let carried = answer.differences.iter().filter(|it| !it.values_omitted);
    let carried = carried.inspect(|it| assert!(it.after_json.len() >= 8002));
    assert!((200..300).contains(&carried.count()));

    let small = editing::actor("small");
    let mut stored = checks
        .commit(vec![editing::create(&small)])
        .await
        .records
        .remove(0);
    for number in 0..60 {
        let write = editing::update(&editing::with_text(&stored, &format!("{number}")), &[]);
        stored = editing::commit_one(&client, write).await;
    }
    // Notes as long as fifteen of maximum length, instead of fifteen times as many revisions.
    let notes = "UPDATE changes SET note = repeat('ж', 60000) WHERE name = 'actors/small'";
    execute_sql(&checks.server.url, notes).await;
    let mut request = ListRevisionsRequest {
        name: "actors/small".to_owned(),
        view: desk(),
        page_size: 1000,
        page_token: String::new(),
    };
    let mut revisions = Vec::new();
    loop {
        let page = checks.records.list_revisions(request.clone()).await;
        let page = checks.check_answer("ListRevisions", page);
        revisions.extend(page.revisions.iter().map(|it| it.revision));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let all: Vec<_> = (1..=meta(&stored).revision).rev().collect();
    assert_eq!(revisions, all);
}

/// Tokens with the longest scopes, and an audit of the largest batches.
pub async fn lists_of_operators(checks: &mut SizeChecks) {
    execute_sql(&checks.server.url, TOKENS).await;
    let mut request = ListTokensRequest::default();
    let mut ids = Vec::new();
    loop {
        let page = checks.admin.list_tokens(request.clone()).await;
        let page = checks.check_answer("ListTokens", page);
        ids.extend(page.tokens.into_iter().map(|token| token.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(ids.len(), 900);
    assert_eq!(BTreeSet::from_iter(&ids).len(), 900, "each once");

    execute_sql(&checks.server.url, AUDIT).await;
    let mut request = ListAuditEntriesRequest {
        page_size: 1000,
        method: "Cascade".to_owned(),
        ..ListAuditEntriesRequest::default()
    };
    let mut entries = 0;
    loop {
        let page = checks.admin.list_audit_entries(request.clone()).await;
        let page = checks.check_answer("ListAuditEntries", page);
        entries += page.entries.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(entries, 20);
    let health = checks.admin.get_health(GetHealthRequest {}).await;
    checks.check_answer("GetHealth", health);
}
