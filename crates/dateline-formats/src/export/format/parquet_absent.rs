//! Stands in for `parquet` in a build without the feature of that name: an encoder that refuses every record.

use dateline_proto::v1::Kind;
use dateline_record::encoded::EncodedRecord;

use super::{super::NotBuilt, Encoder, Error, Losses, Referents};

/// The reason why there is no such file.
pub(super) const ABSENT: Option<NotBuilt> = Some(NOT_BUILT);
const NOT_BUILT: NotBuilt = NotBuilt("Parquet");

/// Encoder of no file.
pub(super) struct Parquet;

impl Parquet {
    /// An encoder that refuses records of any kind.
    pub(super) fn new(_: Kind) -> Self {
        Self
    }
}

impl Encoder for Parquet {
    fn write(
        &mut self,
        _: &EncodedRecord,
        _: &Referents,
        _: &mut Losses,
        _: &mut Vec<u8>,
    ) -> Result<(), Error> {
        Err(NOT_BUILT.into())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(NOT_BUILT.into())
    }
}
