//! Acknowledged writes of one record, compared with one-row transactions of the same bytes on the same cluster: a plain
//! `INSERT`, and one that also takes the next number of a dense sequence. All wait for their fsync.

mod support;

use anyhow::Result;
use bytes::Bytes;
use dateline_proto::v1::{CreateRecordRequest, Record};
use dateline_record::record::record_name;
use prost::Message;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use support::{
    compare::{BenchMode, Comparison, rate},
    raw_client::{RawClient, all, call_all},
    records::Records,
    server::{BenchServer, gold},
};

const CREATE: &str = "/dateline.v1.RecordService/CreateRecord";
/// Approximate bytes per record.
const BYTES: usize = 2000;

const TABLES: &str = "
    CREATE TABLE plain (name text COLLATE \"C\" PRIMARY KEY, content bytea NOT NULL);
    ALTER TABLE plain ALTER COLUMN content SET STORAGE EXTERNAL;
    CREATE TABLE plain_head (head bigint NOT NULL);
    INSERT INTO plain_head VALUES (0);
    CREATE TABLE numbered (
        sequence bigint PRIMARY KEY, name text COLLATE \"C\" UNIQUE, content bytea NOT NULL);
    ALTER TABLE numbered ALTER COLUMN content SET STORAGE EXTERNAL";
const PLAIN: &str = "INSERT INTO plain VALUES ($1, $2)";
const NUMBERED: &str = "WITH next AS (UPDATE plain_head SET head = head + 1 RETURNING head)
    INSERT INTO numbered SELECT head, $1, $2 FROM next";

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let server = BenchServer::start().await?;
    let mut connection = PgConnection::connect(&server.url).await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    connection.close().await?;
    let mut writes = Writes {
        records: Records::new(&gold()?, BYTES)?,
        next: 0,
    };
    for (clients, short, full) in [(1, 200, 600), (16, 1600, 3200), (64, 3200, 6400)] {
        let count = form.pick(short, full);
        writes
            .compare(&server, clients, count, form.pick(3, 5))
            .await?;
    }
    server.stop().await
}

/// Records that were not written yet.
struct Writes {
    records: Records,
    next: usize,
}

impl Writes {
    /// Takes `count` records for each client.
    fn next_records(&mut self, clients: usize, count: usize) -> Vec<Vec<Record>> {
        let each = count / clients;
        let mut take = || {
            let first = self.next;
            self.next += each;
            (first..self.next)
                .map(|number| self.records.nth(number))
                .collect()
        };
        (0..clients).map(|_| take()).collect()
    }

    async fn compare(
        &mut self,
        server: &BenchServer,
        clients: usize,
        count: usize,
        rounds: usize,
    ) -> Result<()> {
        let callers = RawClient::connect_all(&server.address, clients).await?;
        let title = format!("commits of one record of {BYTES} bytes, {clients} clients");
        let sides = ["CreateRecord", "INSERT", "INSERT with a dense number"];
        let comparison = Comparison::new(title, "commits/s", &sides);
        let measure = |side, _| {
            let records = self.next_records(clients, count);
            let callers = &callers;
            async move {
                match side {
                    0 => {
                        let requests: Vec<Vec<_>> = each(&records, request);
                        rate(count, call_all(callers, CREATE, requests.into_iter())).await
                    }
                    1 => insert(&server.url, PLAIN, each(&records, row)).await,
                    _ => insert(&server.url, NUMBERED, each(&records, row)).await,
                }
            }
        };
        comparison.run(rounds, measure).await
    }
}

fn each<T>(records: &[Vec<Record>], make: fn(&Record) -> T) -> Vec<Vec<T>> {
    let of_client = |records: &Vec<Record>| records.iter().map(make).collect();
    records.iter().map(of_client).collect()
}

/// A request that can be retried, as a careful client sends it.
fn request(record: &Record) -> Bytes {
    let request = CreateRecordRequest {
        record: Some(record.clone()),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..CreateRecordRequest::default()
    };
    request.encode_to_vec().into()
}

type Row = (String, Vec<u8>);

fn row(record: &Record) -> Row {
    let name = record_name(record).map(|name| name.to_string());
    (name.unwrap_or_default(), record.encode_to_vec())
}

/// Runs a connection per client and a transaction per row. Connecting is not measured.
async fn insert(url: &str, statement: &'static str, rows: Vec<Vec<Row>>) -> Result<f64> {
    let count = rows.iter().map(Vec::len).sum();
    let mut connected = Vec::with_capacity(rows.len());
    for rows in rows {
        let mut connection = PgConnection::connect(url).await?;
        connection
            .prepare(sqlx::SqlStr::from_static(statement))
            .await?;
        connected.push((connection, rows));
    }
    let mut clients = JoinSet::new();
    let work = async {
        for (mut connection, rows) in connected {
            clients.spawn(async move {
                for (name, content) in rows {
                    let query = sqlx::query(statement).bind(name).bind(content);
                    query.execute(&mut connection).await?;
                }
                Ok(connection.close().await?)
            });
        }
        all(clients).await
    };
    rate(count, work).await
}
