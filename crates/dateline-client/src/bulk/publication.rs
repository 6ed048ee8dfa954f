//! Publication of drafts, as a task of its own: the server publishes some records while it is sent the next ones.

use dateline_proto::v1::{Record, RecordMeta, State};
use dateline_record::name::Name;

use super::{
    Error,
    publish_queue::{self, QueuedDraft},
    rejection::Rejection,
};
use crate::{Client, Failure};

/// Result of publishing drafts.
#[derive(Debug)]
pub(super) struct Publication {
    /// Records that readers see now.
    pub published: usize,
    /// Records under embargo.
    pub embargoed: usize,
    /// The latest sequence that the server returned; 0 if nothing was published.
    pub sequence: i64,
    /// Names of both.
    pub names: Vec<Name>,
    /// Records that stay drafts.
    pub refused: Vec<Rejection>,
    /// The error that ended it.
    pub outcome: Result<(), Error>,
}

/// Publishes drafts, each after those that it refers to. Refused ones end the publication, unless they may be left out.
pub(super) async fn publish_all(
    client: Client,
    leaves_out: bool,
    drafts: Vec<QueuedDraft>,
) -> Publication {
    let mut publication = Publication {
        published: 0,
        embargoed: 0,
        sequence: 0,
        names: Vec::new(),
        refused: Vec::new(),
        outcome: Ok(()),
    };
    publication.outcome = publication.run(&client, leaves_out, &drafts).await;
    publication
}

impl Publication {
    async fn run(
        &mut self,
        client: &Client,
        leaves_out: bool,
        drafts: &[QueuedDraft],
    ) -> Result<(), Error> {
        for batch in publish_queue::batches(drafts)? {
            self.publish_batch(client, leaves_out, batch).await?;
        }
        Ok(())
    }

    async fn publish_batch(
        &mut self,
        client: &Client,
        leaves_out: bool,
        mut drafts: Vec<&QueuedDraft>,
    ) -> Result<(), Error> {
        drafts.sort_by_key(|draft| draft.position);
        while !drafts.is_empty() {
            let request = publish_queue::publish_request(&drafts);
            let failure = match client.publish(request).await {
                Ok(answer) => {
                    self.add(&answer.records, answer.sequence);
                    self.names
                        .extend(drafts.iter().map(|draft| draft.name.clone()));
                    return Ok(());
                }
                Err(status) => Failure::from(status),
            };
            let refused = publish_queue::rejected(&failure, &drafts);
            let is_over = !leaves_out || refused.is_empty();
            drafts.retain(|draft| !refused.contains_key(&draft.position));
            self.refused.extend(refused.into_values());
            if is_over {
                return Err(failure.into());
            }
        }
        Ok(())
    }

    fn add(&mut self, records: &[Record], sequence: i64) {
        let state = |record: &Record| record.kind.as_ref()?.meta().map(RecordMeta::state);
        let hidden = records
            .iter()
            .filter(|record| state(record) == Some(State::Embargoed));
        let hidden = hidden.count();
        self.embargoed += hidden;
        self.published += records.len() - hidden;
        self.sequence = sequence;
    }
}
