//! Everything that can be seen of a database and its server, as bytes: each table, each stream, each answer, each file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use dateline_proto::v1::{
    BatchGetRecordsRequest, DiffRevisionsRequest, ExportRequest, GetRecordRequest,
    ListAuditEntriesRequest, ListRecordsRequest, ListRevisionsRequest, RecordFilter, View,
};
use prost::Message;
use regex::Regex;
use tokio::process::Command;
use tonic::{Response, Status};

use crate::support::{
    builders::get_request,
    cli::dateline,
    editing::{dump_tables, feed_heads},
    replica::next_response,
    server::{TIMEOUT, TestServer, temp_dir},
    tools::{or_skip, run_tool},
    watch::{open_watch, read_changes, watch_from_beginning, watch_snapshot},
};

const VIEWS: [View; 2] = [View::Desk, View::Published];
/// Small, so that there are pages.
const PAGE: i32 = 3;

/// A word that was found, and its place.
#[derive(Default)]
pub struct ObservedBytes {
    places: Vec<(String, Vec<u8>)>,
}

impl ObservedBytes {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.places.push((place.into(), bytes.into()));
    }

    /// An answer or an error.
    fn answer<M: Message>(
        &mut self,
        place: &str,
        answer: Result<Response<M>, Status>,
    ) -> Option<M> {
        match answer {
            Ok(answer) => {
                let answer = answer.into_inner();
                self.add(place, answer.encode_to_vec());
                Some(answer)
            }
            Err(status) => {
                self.add(format!("{place}, refused"), format!("{status:?}"));
                self.add(format!("{place}, refused"), status.details());
                None
            }
        }
    }

    /// A token of a page or a stream, whose bytes are sealed and not encrypted.
    fn token(&mut self, place: &str, token: &str) {
        self.add(place, URL_SAFE_NO_PAD.decode(token).unwrap());
    }

    /// The places of each of some words: as text in any case, or as its bytes in hexadecimal.
    pub fn find<'a>(
        &self,
        words: impl Iterator<Item = &'a String>,
    ) -> BTreeMap<&'a str, BTreeSet<&str>> {
        let forms = words.flat_map(|word| [(word.clone(), word), (hex::encode(word), word)]);
        let forms: HashMap<_, _> = forms.collect();
        let any: Vec<_> = forms.keys().map(String::as_str).collect();
        let any = Regex::new(&any.join("|")).unwrap();
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        for (place, bytes) in &self.places {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            for form in any.find_iter(&text) {
                let word = forms[form.as_str()].as_str();
                found.entry(word).or_default().insert(place.as_str());
            }
        }
        found
    }

    /// The content of the database, with `bytea` as its bytes too.
    pub async fn database(&mut self, server: &TestServer) {
        let dumped = run_tool(Command::new("pg_dump").arg(&server.url), TIMEOUT).await;
        let dumped = or_skip(dumped, "a dump without what was erased");
        let tables = dump_tables(&server.url).await.into_iter();
        for (place, text) in tables.chain(dumped.map(|dumped| ("pg_dump".to_owned(), dumped))) {
            for bytes in text.split("\\x").skip(1) {
                let end = bytes.find(|letter: char| !letter.is_ascii_hexdigit());
                let digits = &bytes[..end.unwrap_or(bytes.len()) & !1];
                self.add(format!("{place}, bytes"), hex::decode(digits).unwrap());
            }
            self.add(place, text);
        }
    }

    /// Both feeds, from the beginning and by snapshot, with their cursors.
    pub async fn streams(&mut self, server: &TestServer) {
        let (desk, wire) = feed_heads(&server.url).await;
        for (view, head) in VIEWS.into_iter().zip([desk, wire]) {
            let count = usize::try_from(head).unwrap();
            for change in read_changes(server, watch_from_beginning(view), count).await {
                self.add(format!("the feed of {view:?}"), change.encode_to_vec());
            }
            for filter in [None, Some(all_states())] {
                let request = dateline_proto::v1::WatchRequest {
                    filter,
                    ..watch_snapshot(view)
                };
                let mut stream = open_watch(&server.client, request).await;
                let mut caught_up = false;
                while !caught_up {
                    let response = next_response(&mut stream).await;
                    self.token("a cursor", &response.cursor);
                    self.add(
                        format!("the snapshot of {view:?}"),
                        response.encode_to_vec(),
                    );
                    caught_up = response.checkpoint.is_some_and(|it| it.caught_up);
                }
            }
        }
    }

    /// Answers to every read of records: each name, each revision, each sequence.
    pub async fn reads(&mut self, server: &TestServer, names: &[String], erased: &[String]) {
        let (desk, wire) = feed_heads(&server.url).await;
        for (view, head) in VIEWS.into_iter().zip([desk, wire]) {
            for name in names {
                self.record(server, name, view).await;
            }
            for name in erased {
                for at in 1..=head {
                    let as_of = GetRecordRequest {
                        as_of: Some(at),
                        ..get_request(name, view)
                    };
                    let read = server.client.clone().records.get_record(as_of).await;
                    self.answer(&format!("{name} as of {at} of {view:?}"), read);
                }
            }
            let together = BatchGetRecordsRequest {
                names: names.to_vec(),
                view: view.into(),
                ..BatchGetRecordsRequest::default()
            };
            let read = server
                .client
                .clone()
                .records
                .batch_get_records(together)
                .await;
            self.answer(&format!("BatchGetRecords of {view:?}"), read);
            for filter in [None, Some(all_states())] {
                self.list(server, view, filter).await;
            }
        }
    }

    async fn record(&mut self, server: &TestServer, name: &str, view: View) {
        let mut records = server.client.clone().records;
        for no_redirect in [false, true] {
            let newest = GetRecordRequest {
                no_redirect,
                ..get_request(name, view)
            };
            let read = records.get_record(newest).await;
            self.answer(&format!("{name} of {view:?}"), read);
        }
        let revisions = self.revisions(server, name, view).await;
        for revision in &revisions {
            let one = GetRecordRequest {
                revision: Some(*revision),
                ..get_request(name, view)
            };
            let read = records.get_record(one).await;
            self.answer(&format!("{name} at revision {revision} of {view:?}"), read);
        }
        for pair in revisions.windows(2) {
            let request = DiffRevisionsRequest {
                name: name.to_owned(),
                view: view.into(),
                from_revision: pair[1],
                to_revision: pair[0],
            };
            let compared = records.diff_revisions(request).await;
            self.answer(&format!("DiffRevisions of {name}"), compared);
        }
    }

    /// Pages of the revisions of a record; their numbers, newest first.
    async fn revisions(&mut self, server: &TestServer, name: &str, view: View) -> Vec<i64> {
        let (mut numbers, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListRevisionsRequest {
                name: name.to_owned(),
                view: view.into(),
                page_size: PAGE,
                page_token,
            };
            let page = server.client.clone().records.list_revisions(request).await;
            let Some(page) = self.answer(&format!("ListRevisions of {name}"), page) else {
                return numbers;
            };
            numbers.extend(page.revisions.iter().map(|it| it.revision));
            self.token("a page token of revisions", &page.next_page_token);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return numbers;
            }
        }
    }

    async fn list(&mut self, server: &TestServer, view: View, filter: Option<RecordFilter>) {
        let mut page_token = String::new();
        loop {
            let request = ListRecordsRequest {
                filter: filter.clone(),
                view: view.into(),
                page_size: PAGE,
                page_token,
                ..ListRecordsRequest::default()
            };
            let page = server.client.clone().records.list_records(request).await;
            let page = self.answer("ListRecords", page).expect("a page");
            self.token("a page token of records", &page.next_page_token);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return;
            }
        }
    }

    pub async fn audit(&mut self, server: &TestServer) {
        let mut page_token = String::new();
        loop {
            let request = ListAuditEntriesRequest {
                page_size: PAGE,
                page_token,
                ..ListAuditEntriesRequest::default()
            };
            let page = server
                .client
                .clone()
                .admin
                .list_audit_entries(request)
                .await;
            let page = self.answer("the audit", page).expect("a page");
            self.token("a page token of the audit", &page.next_page_token);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return;
            }
        }
    }

    /// Exports of both views with tombstones: as they are sent, and as files.
    pub async fn exports(&mut self, server: &TestServer) {
        for view in VIEWS {
            let request = ExportRequest {
                view: view.into(),
                tombstones: true,
                references: true,
                ..ExportRequest::default()
            };
            let exported = server.client.clone().exports.export(request).await;
            let mut exported = exported.unwrap().into_inner();
            while let Some(response) = exported.message().await.unwrap() {
                self.token("a cursor of an export", &response.cursor);
                self.add(format!("the export of {view:?}"), response.encode_to_vec());
            }
        }
        for view in ["desk", "published"] {
            let (_keep, directory) = temp_dir();
            let out = directory.to_str().unwrap();
            let formats = "ndjson,protobuf";
            let words = [
                "export",
                "--out",
                out,
                "--view",
                view,
                "--format",
                formats,
                "--tombstones",
            ];
            let done = dateline(&server.address, &words).await;
            assert_eq!(done.code, 0, "{}", done.stderr);
            self.add("what `dateline export` prints", done.stdout + &done.stderr);
            let count = self.files(&directory);
            assert!(count >= 9, "{count} files of two formats and a manifest");
        }
    }

    fn files(&mut self, below: &Path) -> usize {
        let entries = std::fs::read_dir(below)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut count = 0;
        for path in entries {
            if path.is_dir() {
                count += self.files(&path);
            } else {
                self.add(
                    format!("the file {}", path.display()),
                    std::fs::read(&path).unwrap(),
                );
                count += 1;
            }
        }
        count
    }

    /// The answer to a request that is sent again.
    pub fn answered(&mut self, answer: &impl Message) {
        self.add("the answer to a write", answer.encode_to_vec());
    }
}

/// Tombstones too.
fn all_states() -> RecordFilter {
    RecordFilter {
        states: (1..=6).collect(),
        ..RecordFilter::default()
    }
}
