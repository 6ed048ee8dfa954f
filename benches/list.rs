//! Pages of 100 records, by filters of several dimensions, views and positions. Compared with the same statement on
//! sockets of its own, whose plan is made for its values each time.

mod support;

use std::ops::Bound;

use anyhow::{Context, Result};
use bytes::Bytes;
use dateline_proto::v1::{Kind, ListRecordsRequest, RecordFilter, View, record_filter::TimeRange};
use dateline_record::{filter::Filter, record::record_name};
use prost::Message;
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Postgres, QueryBuilder, Row,
    postgres::{PgConnectOptions, PgPoolOptions, types::PgRange},
};
use tokio::task::JoinSet;

use support::{
    compare::{BenchMode, Comparison, rate},
    raw_client::{RawClient, all, call_all},
    server::BenchServer,
};

const LIST: &str = "/dateline.v1.RecordService/ListRecords";
/// Records of a page.
const PAGE: i32 = 100;
/// Pages that are read to reach a position are larger.
const STRIDE: i32 = 1000;

/// Clones the actors and events of the gold records: as drafts, and behind them as published records, of which every
/// second has facets and days.
const FILL: &str = "
    WITH template AS (
        SELECT changes.*, coalesce(kept.content, changes.content) AS full_content,
            row_number() OVER (ORDER BY changes.wire_sequence) - 1 AS place
        FROM changes
        LEFT JOIN changes AS kept ON kept.desk_sequence = changes.content_at
        WHERE changes.wire_sequence IS NOT NULL AND changes.kind IN ('actor', 'event')
    ), clones AS (
        SELECT template.*, number, number > DRAFTS AS published,
               split_part(name, '/', 1) || CASE WHEN number > DRAFTS THEN '/c' ELSE '/b' END
                   || lpad(number::text, 9, '0') AS new_name
        FROM generate_series(1, DRAFTS + PUBLISHED) AS number
        JOIN template ON template.place = number % (SELECT count(*) FROM template)
    ), logged AS (
        INSERT INTO changes (
            desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
            content, meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author,
            accepted_at)
        SELECT
            desk_head + number, desk_head + number, CASE WHEN published THEN wire_head + number - DRAFTS END,
            CASE WHEN published THEN wire_head + number - DRAFTS END, type, new_name, kind, revision,
            CASE WHEN published THEN state ELSE 'draft' END, state_before,
            '\\x0a'::bytea || set_byte('\\x00', 0, octet_length(new_name)) || convert_to(new_name, 'UTF8')
                || substr(full_content, 3 + octet_length(name)), meta,
            CASE WHEN number / 2 % 2 = 0 THEN facets ELSE '{}' END, '{}',
            CASE WHEN number / 2 % 2 = 0 THEN days END, NULL, changed_fields, note, merged_into, author, accepted_at
        FROM clones, feed
        RETURNING name, kind, state, revision, desk_sequence, wire_sequence, facets, days
    ), made AS (
        INSERT INTO records (
            name, uid, kind, state, revision, desk_sequence, wire_sequence, facets, days, keys)
        SELECT name, gen_random_uuid(), kind, state, revision, desk_sequence, wire_sequence, facets, days, '{}'
        FROM logged
    )
    UPDATE feed SET desk_head = desk_head + DRAFTS + PUBLISHED, wire_head = wire_head + PUBLISHED";
/// Spares the projections the clones, so that they do not follow during the measurement.
const PROJECTED: &str = "UPDATE projections SET position = feed.desk_head FROM feed";

/// Position of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    First,
    Middle,
    Last,
}

/// A page of the matrix.
struct Page {
    title: &'static str,
    filter: RecordFilter,
    view: View,
    position: Position,
}

/// Filters of one and several dimensions, both views, and positions. Lists have one order, that of names.
fn matrix() -> Vec<Page> {
    let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let none = RecordFilter::default;
    let actors = || RecordFilter {
        kinds: vec![Kind::Actor.into()],
        ..none()
    };
    let events = || RecordFilter {
        kinds: vec![Kind::Event.into()],
        ..none()
    };
    let half = || RecordFilter {
        types: strings(&[
            "state",
            "intergovernmental",
            "programme",
            "military",
            "government_body",
            "group",
            "person",
            "media",
            "meeting",
            "statement",
            "agreement",
            "withdrawal",
            "deployment",
            "exercise",
            "government_change",
        ]),
        ..none()
    };
    let dated = RecordFilter {
        time: Some(TimeRange {
            earliest: "2021-09-01".into(),
            latest: "2021-09-30".into(),
        }),
        ..none()
    };
    let three = RecordFilter {
        actors: strings(&["actors/kazakhstan"]),
        time: Some(TimeRange {
            earliest: "2021-01-01".into(),
            latest: "2021-12-31".into(),
        }),
        ..events()
    };
    let page = |title, filter, view, position| Page {
        title,
        filter,
        view,
        position,
    };
    let (wire, desk) = (View::Published, View::Desk);
    let (first, middle, last) = (Position::First, Position::Middle, Position::Last);
    vec![
        page("all, first", none(), wire, first),
        page("all, middle", none(), wire, middle),
        page("all, last", none(), wire, last),
        page("all, desk: drafts", none(), desk, first),
        page("half match, first", half(), wire, first),
        page("half match, middle", half(), wire, middle),
        page("half match, last", half(), wire, last),
        page("events", events(), wire, first),
        page(
            "actors of two types",
            RecordFilter {
                types: strings(&["state", "media"]),
                ..actors()
            },
            wire,
            first,
        ),
        page(
            "a region",
            RecordFilter {
                regions: strings(&["KZ"]),
                ..none()
            },
            wire,
            first,
        ),
        page(
            "about an actor",
            RecordFilter {
                actors: strings(&["actors/kazakhstan"]),
                ..none()
            },
            wire,
            first,
        ),
        page("a month", dated, wire, first),
        page("kind, actor and year", three, wire, middle),
    ]
}

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let mut server = BenchServer::start().await?;
    server.stop_server().await?;
    let (published, drafts) = form.pick((4000, 4000), (40_000, 150_000));
    fill(&server.url, published, drafts).await?;
    let (address, running) = server.another_server(0).await?;
    let pool = pool(&server.url).await?;
    for page in matrix() {
        let pages = Pages::new(&address, &pool, page).await?;
        for callers in [1, 16] {
            pages.compare(form, callers).await?;
        }
    }
    pool.close().await;
    running.stop().await?;
    server.stop().await
}

async fn fill(url: &str, published: usize, drafts: usize) -> Result<()> {
    let mut sql = PgConnection::connect(url).await?;
    let statement = FILL
        .replace("DRAFTS", &drafts.to_string())
        .replace("PUBLISHED", &published.to_string());
    sql.execute(AssertSqlSafe(statement)).await?;
    for statement in [
        PROJECTED,
        "VACUUM ANALYZE changes",
        "VACUUM ANALYZE records",
        "CHECKPOINT",
    ] {
        sql.execute(statement).await?;
    }
    sql.close().await?;
    Ok(())
}

/// One page of the matrix, as a request and as a statement.
struct Pages {
    title: &'static str,
    address: String,
    request: Bytes,
    filter: Filter,
    view: View,
    after: String,
    pool: PgPool,
}

/// Moves a request to its next page; returns the page's token and the last name before it, or `None` at the end.
async fn next_position(
    client: &dateline_client::Client,
    request: &mut ListRecordsRequest,
) -> Result<Option<(String, String)>> {
    let answer = client.clone().records.list_records(request.clone()).await?;
    let answer = answer.into_inner();
    if answer.next_page_token.is_empty() {
        return Ok(None);
    }
    let last = answer.records.last().and_then(record_name);
    let after = last.context("a page has records")?.to_string();
    request.page_token = answer.next_page_token;
    Ok(Some((request.page_token.clone(), after)))
}

impl Pages {
    /// Finds the position of the page by reading larger ones up to there.
    async fn new(address: &str, pool: &PgPool, page: Page) -> Result<Self> {
        let client = dateline_client::Client::connect(address).await?;
        let mut request = ListRecordsRequest {
            filter: Some(page.filter.clone()),
            view: page.view.into(),
            page_size: STRIDE,
            ..ListRecordsRequest::default()
        };
        let mut positions = vec![(String::new(), String::new())];
        if page.position != Position::First {
            while let Some(position) = next_position(&client, &mut request).await? {
                positions.push(position);
            }
        }
        let index = match page.position {
            Position::First => 0,
            Position::Middle => positions.len() / 2,
            Position::Last => positions.len() - 1,
        };
        let (token, after) = positions.swap_remove(index);
        request.page_token = token;
        request.page_size = PAGE;
        let filter = Filter::new(Some(&page.filter));
        let pages = Self {
            title: page.title,
            address: address.to_owned(),
            request: request.encode_to_vec().into(),
            filter: filter.ok().context("the filter is valid")?,
            view: page.view,
            after,
            pool: pool.clone(),
        };
        let listed = client
            .clone()
            .records
            .list_records(request)
            .await?
            .into_inner();
        let selected = pages.select().build().fetch_all(pool).await?;
        let selected = selected.iter().take(usize::try_from(PAGE)?);
        let selected: Vec<String> = selected.map(|row| row.get(0)).collect();
        let listed = listed.records.iter().filter_map(record_name);
        let listed: Vec<_> = listed.map(|name| name.to_string()).collect();
        anyhow::ensure!(
            !listed.is_empty() && listed == selected,
            "{}: both sides return the same page",
            pages.title
        );
        Ok(pages)
    }

    async fn compare(&self, form: BenchMode, callers: usize) -> Result<()> {
        let ours = RawClient::connect_all(&self.address, callers).await?;
        let calls = form.pick(5, 50) * callers;
        let title = format!("list, {}, {callers} callers", self.title);
        let comparison = Comparison::new(title, "pages/s", &["ListRecords", "SELECT"]);
        let requests = || (0..callers).map(|_| vec![self.request.clone(); calls / callers]);
        let measure = async |side, _| match side {
            0 => rate(calls, call_all(&ours, LIST, requests())).await,
            _ => rate(calls, self.select_all(callers, calls)).await,
        };
        for side in [0, 1] {
            measure(side, 0).await?;
        }
        comparison.run(form.pick(3, 5), measure).await
    }

    fn select(&self) -> QueryBuilder<Postgres> {
        select(&self.filter, self.view, &self.after)
    }

    async fn select_all(&self, callers: usize, calls: usize) -> Result<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let pool = self.pool.clone();
            let (filter, view, after) = (self.filter.clone(), self.view, self.after.clone());
            tasks.spawn(async move {
                for _ in 0..calls / callers {
                    let mut query = select(&filter, view, &after);
                    query.build().fetch_all(&pool).await?;
                }
                Ok(())
            });
        }
        all(tasks).await
    }
}

/// The statement of `Store::list_records`.
fn select(filter: &Filter, view: View, after: &str) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                    SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                END, changes.meta
         FROM records
         JOIN changes ON changes.desk_sequence = records.desk_sequence
         WHERE records.name > ",
    );
    query.push_bind(after.to_owned());
    query.push(match view {
        View::Desk => " AND records.state <> 'deleted'",
        _ => " AND records.state IN ('published', 'retracted', 'merged')",
    });
    query.push(" AND records.state NOT IN ('retracted', 'merged')");
    if let Some(ranges) = filter.name_ranges() {
        query.push(" AND (false");
        for (first, end) in ranges {
            query.push(" OR records.name >= ").push_bind(first);
            query.push(" AND records.name < ").push_bind(end);
        }
        query.push(")");
    }
    for dimension in &filter.dimensions {
        query
            .push(" AND records.facets && ")
            .push_bind(dimension.clone());
    }
    if let Some(days) = filter.days {
        let bound = |day: Option<time::Date>| day.map_or(Bound::Unbounded, Bound::Included);
        query.push(" AND records.days && ").push_bind(PgRange {
            start: bound(days.earliest),
            end: bound(days.latest),
        });
    }
    query
        .push(" ORDER BY records.name LIMIT ")
        .push_bind(i64::from(PAGE) + 1);
    query
}

/// A pool as large as the server's, which prepares a statement once and plans it for its values each time.
async fn pool(url: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([("plan_cache_mode", "force_custom_plan"), ("jit", "off")]);
    let settings = dateline_store::Settings::default();
    let pool = PgPoolOptions::new()
        .max_connections(settings.read_pool_size)
        .test_before_acquire(false)
        .connect_with(options);
    Ok(pool.await?)
}
