//! Parquet: one typed table per kind, without losses. Columns and their names are those of the schema; times are
//! timestamps in microseconds, UTC; fuzzy dates are structs whose bounds are days; lists of messages are lists of
//! structs. A tombstone is a row with a name and the columns of `meta`.
//!
//! A row group has at most [`ROW_GROUP_ROWS`] rows and about [`ROW_GROUP_BYTES`] of encoded records, which bounds
//! memory; its end depends on the records alone (E2).

use std::{mem, sync::Arc};

use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use dateline_proto::v1::Kind;
use dateline_record::encoded::EncodedRecord;

use self::builder::{Builder, fields};
use super::{
    super::NotBuilt,
    Encoder, Error, Losses, Referents, check_kind,
    columns::{Column, columns},
};
use crate::wire;

mod builder;
mod from_wire;

/// The reason why this build has no Parquet; `parquet_absent` has one.
pub(super) const ABSENT: Option<NotBuilt> = None;
/// Most rows of a row group.
const ROW_GROUP_ROWS: usize = 50_000;
/// Encoded bytes of records after which a row group ends.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;
/// Rows that are converted to columns at once.
const BATCH_ROWS: usize = 1_000;
/// Encoded bytes of records after which they are converted to columns.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Encoder of one file.
pub(super) struct Parquet {
    kind: Kind,
    table: Option<Table>,
}

impl Parquet {
    /// An encoder for records of a kind.
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, table: None }
    }

    fn table(&mut self) -> Result<&mut Table, Error> {
        Ok(match &mut self.table {
            Some(table) => table,
            none => none.insert(Table::new(self.kind)?),
        })
    }
}

impl Encoder for Parquet {
    fn write(
        &mut self,
        record: &EncodedRecord,
        _referents: &Referents,
        _losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        check_kind(record, self.kind)?;
        let bytes = record.bytes().len();
        let table = self.table()?;
        match wire::canonical_body(record.bytes()) {
            Some(body) => from_wire::append_message(&mut table.columns, body),
            None => table.append(record.body_document()?),
        }
        table.end_row(bytes, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.table()?.finish(out)
    }
}

/// A table that is being written.
struct Table {
    schema: SchemaRef,
    columns: Vec<(Column, Builder)>,
    writer: ArrowWriter<Vec<u8>>,
    waiting: Size,
    group: Size,
}

/// Rows and encoded bytes.
#[derive(Default)]
struct Size {
    rows: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes;
    }

    fn reaches(&self, rows: usize, bytes: usize) -> bool {
        self.rows >= rows || self.bytes >= bytes
    }
}

impl Table {
    fn new(kind: Kind) -> Result<Self, Error> {
        let columns = columns(kind)?;
        let schema = Arc::new(Schema::new(fields(&columns)));
        let properties = WriterProperties::builder()
            .set_created_by("dateline".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        let with_builder = |column: Column| {
            let builder = Builder::new(&column.value_type);
            (column, builder)
        };
        Ok(Self {
            schema,
            columns: columns.into_iter().map(with_builder).collect(),
            writer,
            waiting: Size::default(),
            group: Size::default(),
        })
    }

    fn append(&mut self, document: &prost_reflect::DynamicMessage) {
        for (column, builder) in &mut self.columns {
            builder.append(column.value(document).as_deref());
        }
    }

    /// Counts a row, and writes what is complete.
    fn end_row(&mut self, bytes: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        self.waiting.add(1, bytes);
        self.group.add(1, bytes);
        let group_ends = self.group.reaches(ROW_GROUP_ROWS, ROW_GROUP_BYTES);
        if group_ends || self.waiting.reaches(BATCH_ROWS, BATCH_BYTES) {
            self.write_batch()?;
        }
        if group_ends {
            self.end_group(out)?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), Error> {
        if mem::take(&mut self.waiting).rows == 0 {
            return Ok(());
        }
        let arrays = self.columns.iter_mut().map(|(_, builder)| builder.finish());
        let arrays = arrays.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)?;
        Ok(self.writer.write(&batch)?)
    }

    fn end_group(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.group = Size::default();
        self.writer.flush()?;
        self.hand_over(out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.write_batch()?;
        self.writer.finish()?;
        self.hand_over(out)
    }

    /// Moves the bytes written so far to `out`; file offsets continue to count from the start.
    fn hand_over(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.writer.sync().map_err(ParquetError::from)?;
        out.append(self.writer.inner_mut());
        Ok(())
    }
}
