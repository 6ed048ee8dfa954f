//! Writing many records in batches, as `dateline import` does, compared with `COPY` of the same bytes into a plain
//! table of the same cluster.

mod support;

use anyhow::Result;
use bytes::BufMut;
use dateline_proto::v1::Record;
use dateline_record::record::record_name;
use prost::Message;
use sqlx::{Connection, PgConnection};

use support::{
    compare::{BenchMode, Comparison, rate},
    records::Records,
    server::{BenchServer, creation, gold},
};

/// Approximate bytes per record.
const BYTES: usize = 4000;
/// Records per commit: as many as `dateline import` sends of this size.
const BATCH: usize = 700;
const ROUNDS: usize = 5;

const TABLE: &str = "
    CREATE TABLE plain (name text COLLATE \"C\" NOT NULL, content bytea NOT NULL);
    ALTER TABLE plain ALTER COLUMN content SET STORAGE EXTERNAL";
const COPY: &str = "COPY plain (name, content) FROM STDIN (FORMAT binary)";

#[tokio::main]
async fn main() -> Result<()> {
    let count = BenchMode::from_args().pick(5000, 100_000);
    let server = BenchServer::start().await?;
    let mut connection = PgConnection::connect(&server.url).await?;
    sqlx::raw_sql(TABLE).execute(&mut connection).await?;
    connection.close().await?;
    compare(&server, count).await?;
    server.stop().await
}

async fn compare(server: &BenchServer, count: usize) -> Result<()> {
    let records = Records::new(&gold()?, BYTES)?;
    let title = format!("import of {count} records of {BYTES} bytes, {BATCH} to a commit");
    let comparison = Comparison::new(title, "records/s", &["import", "COPY"]);
    let each = count / ROUNDS;
    let measure = async |side, round: usize| {
        // Both sides write the same records, which are made before the clock starts.
        let numbers = round * each..(round + 1) * each;
        let batch: Vec<_> = numbers.map(|number| records.nth(number)).collect();
        if side == 0 {
            import(server, batch).await
        } else {
            copy(&server.url, batch).await
        }
    };
    comparison.run(ROUNDS, measure).await
}

/// Commits one batch after the other and waits for each.
async fn import(server: &BenchServer, records: Vec<Record>) -> Result<f64> {
    let count = records.len();
    let batches = records.chunks(BATCH).map(creation);
    let batches: Vec<_> = batches.collect();
    let work = async {
        for batch in batches {
            server.client.commit(batch).await?;
        }
        Ok(())
    };
    rate(count, work).await
}

async fn copy(url: &str, records: Vec<Record>) -> Result<f64> {
    let count = records.len();
    let pieces = copy_data(&records);
    let mut connection = PgConnection::connect(url).await?;
    let work = async {
        let mut copying = connection.copy_in_raw(COPY).await?;
        for piece in pieces {
            copying.send(piece).await?;
        }
        copying.finish().await?;
        Ok(())
    };
    let rate = rate(count, work).await?;
    connection.close().await?;
    Ok(rate)
}

/// Rows in the binary format of `COPY`, in pieces of one batch.
fn copy_data(records: &[Record]) -> Vec<Vec<u8>> {
    let mut head = b"PGCOPY\n\xff\r\n\0".to_vec();
    head.put_u64(0);
    let mut pieces = vec![head];
    for batch in records.chunks(BATCH) {
        let mut rows = Vec::new();
        for record in batch {
            let name = record_name(record).map(|name| name.to_string());
            rows.put_u16(2);
            for field in [
                name.unwrap_or_default().into_bytes(),
                record.encode_to_vec(),
            ] {
                rows.put_u32(u32::try_from(field.len()).unwrap_or(u32::MAX));
                rows.put_slice(&field);
            }
        }
        pieces.push(rows);
    }
    pieces.push(u16::MAX.to_be_bytes().to_vec());
    pieces
}
