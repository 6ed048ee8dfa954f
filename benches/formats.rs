//! File formats of exports: events of 2 kB from memory into memory, compared with decoding the same events, which every
//! format except protobuf requires first. One core, no I/O.

mod support;

use anyhow::{Context, Result};
use bytes::Bytes;
use dateline_formats::export::format::{Format, Losses, Options, Referents};
use dateline_proto::v1::{Kind, Record, record::Kind as Body};
use dateline_record::encoded::EncodedRecord;
use prost::Message;

use support::{
    compare::{BenchMode, Comparison, rate},
    records::Records,
    server::gold,
};

/// Approximate bytes per event.
const BYTES: usize = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let gold = gold()?;
    let encoded: Vec<_> = gold
        .iter()
        .cloned()
        .map(EncodedRecord::from_record)
        .collect::<Result<_, _>>()?;
    let referents = Referents::from_records(&encoded)?;
    let of_two_kinds = Records::new(&gold, BYTES)?;
    let records = (0..).map(|number| of_two_kinds.nth(number));
    let events = records.filter(|record| matches!(record.kind, Some(Body::Event(_))));
    let events = events.map(|record| Bytes::from(record.encode_to_vec()));
    let events: Vec<_> = events.take(form.pick(1_000, 20_000)).collect();
    for format in Format::ALL {
        compare(format, &events, &referents, form).await?;
    }
    Ok(())
}

async fn compare(
    format: Format,
    events: &[Bytes],
    referents: &Referents,
    form: BenchMode,
) -> Result<()> {
    let bytes: usize = events.iter().map(Bytes::len).sum();
    let written = write(format, events, referents)?;
    let title = format!(
        "formats, {format}, events of {} bytes become {}",
        bytes / events.len(),
        written / events.len()
    );
    let comparison = Comparison::new(title, "records/s", &[format.word(), "decoding"]);
    let measure = async |side, _| match side {
        0 => {
            rate(events.len(), async {
                write(format, events, referents).map(drop)
            })
            .await
        }
        _ => rate(events.len(), async { decode(events) }).await,
    };
    comparison.run(form.pick(3, 9), measure).await
}

/// Writes a file; returns its size in bytes.
fn write(format: Format, events: &[Bytes], referents: &Referents) -> Result<usize> {
    let encoder = format.encoder(Kind::Event, &Options::default());
    let mut encoder = encoder.context("every format has events")?;
    let (mut losses, mut out, mut written) = (Losses::default(), Vec::new(), 0);
    for encoded in events {
        let record = EncodedRecord::from_bytes(encoded.clone())?;
        encoder.write(&record, referents, &mut losses, &mut out)?;
        written += out.len();
        out.clear();
    }
    encoder.finish(&mut out)?;
    Ok(written + out.len())
}

fn decode(events: &[Bytes]) -> Result<()> {
    for encoded in events {
        std::hint::black_box(Record::decode(encoded.clone())?);
    }
    Ok(())
}
