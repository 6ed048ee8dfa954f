//! A server, clients with default limits, and the methods that were called.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use dateline_proto::v1::{
    Actor, Article, CommitRequest, CommitResponse, Evidence, Record, TextSpan, View, Write, actor,
    admin_service_client::AdminServiceClient, editorial_service_client::EditorialServiceClient,
    evidence, export_service_client::ExportServiceClient, feed_service_client::FeedServiceClient,
    match_service_client::MatchServiceClient, record::Kind as Body,
    record_service_client::RecordServiceClient, search_service_client::SearchServiceClient,
    text_span,
};
use dateline_server::Config;
use prost::Message;
use tonic::{Response, Status, transport::Channel};
use uuid::Uuid;

use crate::support::server::{TestServer, config, create_database, start_server_with};

/// The default message limit of gRPC clients.
pub const DEFAULT_LIMIT: usize = 4 * 1024 * 1024;
/// The article that large records quote.
pub const QUOTED: &str = "articles/quoted";
/// A letter of four bytes.
const LETTER: &str = "\u{20000}";
/// Maximum length of a body and of a quote, in letters.
const BODY: usize = 200_000;
pub const LONG: usize = 2000;

pub struct SizeChecks {
    pub server: TestServer,
    pub records: RecordServiceClient<Channel>,
    pub editorial: EditorialServiceClient<Channel>,
    pub admin: AdminServiceClient<Channel>,
    pub feed: FeedServiceClient<Channel>,
    pub exports: ExportServiceClient<Channel>,
    pub matching: MatchServiceClient<Channel>,
    pub search: SearchServiceClient<Channel>,
    called: BTreeSet<String>,
}

impl SizeChecks {
    pub async fn start() -> Self {
        let server = start_server_with(Config {
            checkpoint_interval: Duration::from_millis(300),
            ..config(&create_database().await)
        })
        .await;
        let channel = server.client.channel();
        Self {
            records: RecordServiceClient::new(channel.clone()),
            editorial: EditorialServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel.clone()),
            feed: FeedServiceClient::new(channel.clone()),
            exports: ExportServiceClient::new(channel.clone()),
            matching: MatchServiceClient::new(channel.clone()),
            search: SearchServiceClient::new(channel),
            server,
            called: BTreeSet::new(),
        }
    }

    /// Notes that a method was called, checks the size of its answer, and returns it.
    #[track_caller]
    pub fn check_answer<T: Message + Debug>(
        &mut self,
        method: &str,
        answer: Result<Response<T>, Status>,
    ) -> T {
        self.called.insert(method.to_owned());
        let answer = answer.unwrap_or_else(|status| panic!("{method}: {status}"));
        let answer = answer.into_inner();
        self.assert_fits(method, &answer);
        answer
    }

    #[track_caller]
    pub fn assert_fits<T: Message>(&mut self, method: &str, message: &T) {
        self.called.insert(method.to_owned());
        let bytes = message.encoded_len();
        println!("{method}: {bytes} bytes");
        assert!(bytes <= DEFAULT_LIMIT, "{method}: {bytes} bytes");
    }

    /// Commits twice under the same request id: the answer is the same.
    pub async fn commit(&mut self, writes: Vec<Write>) -> CommitResponse {
        let request = CommitRequest {
            writes,
            request_id: request_id(),
            ..CommitRequest::default()
        };
        let answer = self.editorial.commit(request.clone()).await;
        let answer = self.check_answer("Commit", answer);
        let again = self.editorial.commit(request).await;
        assert_eq!(self.check_answer("Commit", again), answer);
        answer
    }

    /// Asserts that every method was called.
    pub async fn finish(self) {
        let all = dateline_access::METHODS.iter();
        let all = all.map(|(path, _)| path.rsplit('/').next().unwrap().to_owned());
        let called = self.called;
        let left_out: Vec<_> = all.filter(|method| !called.contains(method)).collect();
        assert_eq!(left_out, Vec::<String>::new(), "methods without a case");
        self.server.stop().await;
    }
}

pub fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// A note of maximum length, in letters of two bytes.
pub fn note() -> String {
    "ж".repeat(LONG)
}

/// An article of this length, in the form that agencies send.
pub fn wire(number: usize, length: usize) -> Record {
    let body = "The ministers met on Monday. ".repeat(length / 29 + 1);
    Body::Article(Article {
        name: format!("articles/wire-{number}"),
        headline: "Wire".to_owned(),
        body: body[..length].trim_end().to_owned(),
        language_code: "en".to_owned(),
        ..Article::default()
    })
    .into()
}

/// An article of maximum length.
pub fn quoted() -> Record {
    Body::Article(Article {
        name: QUOTED.to_owned(),
        headline: "Quoted".to_owned(),
        body: LETTER.repeat(BODY),
        language_code: "en".to_owned(),
        ..Article::default()
    })
    .into()
}

/// An actor with `quotes` quotes of 8 kB each; they begin at different positions, by `from`.
pub fn large(id: &str, quotes: usize, from: usize) -> Record {
    let quote = |number: usize| {
        let start = from + number;
        Evidence {
            article: QUOTED.to_owned(),
            article_revision: 1,
            quote: Some(TextSpan {
                part: text_span::Part::Body.into(),
                start: i32::try_from(start).unwrap(),
                end: i32::try_from(start + LONG).unwrap(),
                exact: LETTER.repeat(LONG),
                ..TextSpan::default()
            }),
            modality: evidence::Modality::Asserted.into(),
            ..Evidence::default()
        }
    };
    Body::Actor(Actor {
        name: format!("actors/{id}"),
        r#type: actor::Type::Organization.into(),
        display_name: id.to_owned(),
        names: vec![dateline_proto::v1::Name {
            text: id.to_owned(),
            language_code: "en".to_owned(),
            r#type: dateline_proto::v1::name::Type::Full.into(),
        }],
        evidence: (0..quotes).map(quote).collect(),
        ..Actor::default()
    })
    .into()
}

/// An actor with quotes of an article that does not exist, so that they can consist of any letter.
pub fn unchecked(id: &str, quotes: usize, letter: &str) -> Record {
    let mut record = large(id, quotes, 0);
    if let Some(Body::Actor(actor)) = &mut record.kind {
        for evidence in &mut actor.evidence {
            evidence.article = "articles/absent".to_owned();
            if let Some(quote) = &mut evidence.quote {
                quote.exact = letter.repeat(LONG);
            }
        }
    }
    record
}

pub fn desk() -> i32 {
    View::Desk.into()
}
