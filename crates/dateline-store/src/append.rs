//! The call of `append`: decided requests in, sequences out. The only place that writes records and log.

use std::collections::HashMap;

use dateline_record::sequence::Sequence;

use super::{Error, append_args::AppendArgs, columns::sequence, pool::Lease};

/// The sequences of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssignedSequences {
    /// Last desk sequence of its batch.
    pub desk_sequence: Sequence,
    /// Last wire sequence of its batch; 0 if readers see nothing of it.
    pub wire_sequence: Sequence,
}

impl AppendArgs<'_> {
    /// Writes the group, in one statement and so in one transaction. Returns the sequences by number of the request;
    /// one that is missing was left out, because something that it has read has changed since.
    pub(super) async fn append(
        &self,
        connection: &mut Lease,
    ) -> Result<HashMap<i32, AssignedSequences>, Error> {
        let rows: Vec<(i32, i64, i64)> = self.call().build_query_as().fetch_all(connection).await?;
        rows.into_iter()
            .map(|(request, desk_sequence, wire_sequence)| {
                let numbered = AssignedSequences {
                    desk_sequence: sequence(desk_sequence)?,
                    wire_sequence: sequence(wire_sequence)?,
                };
                Ok((request, numbered))
            })
            .collect()
    }
}
