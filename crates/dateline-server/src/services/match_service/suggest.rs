//! Mentions of actors in a text. The index in memory finds them; the store decides which of the records the caller may
//! see, as in a list. A record that is not visible is taken out before the text is searched again, so its name neither
//! shows nor hides another one.

use std::collections::{HashMap, HashSet};

use dateline_access::{Caller, Visibility};
use dateline_proto::v1::{
    MentionedActor, SuggestMentionsRequest, SuggestMentionsResponse, SuggestedMention,
};
use dateline_record::filter::Filter;
use dateline_store::FeedView;
use tonic::Status;

use super::{
    MatchHandler,
    compare::{decode, on_a_core},
};
use crate::{
    mention_index::FoundMentions,
    middleware::timeout,
    services::request::{validate_request, visibility, visible_filter, wait_for_sequence},
    status::{self, Reason},
};

/// Mentions of a response.
const MAX_MENTIONS: usize = 1000;
/// Candidates of a mention.
const MAX_CANDIDATES: usize = 10;
/// Actors of a response that are described.
const MAX_ACTORS: usize = 500;
/// Bytes that are read to describe them.
const MAX_ACTOR_BYTES: usize = 8 * 1024 * 1024;
/// Searches of one text. Each but the first takes invisible names out; a name has few others inside of it.
const MAX_SEARCHES: usize = 8;

impl MatchHandler {
    /// Returns the mentions in a text.
    pub(super) async fn mentions(
        &self,
        caller: &Caller,
        mut request: SuggestMentionsRequest,
    ) -> Result<SuggestMentionsResponse, Status> {
        let visibility = visibility(caller, request.view())?;
        // Validation brings texts into their stored form; offsets are those of the text as sent.
        let text = request.text.clone();
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        wait_for_sequence(&self.feed, view, request.min_sequence, caller).await?;
        let caught_up = timeout::before_deadline(self.mention_index.catch_up()).await;
        let caught_up = caught_up.ok_or_else(|| {
            let what = "the names of actors are being read since the server has started; try again";
            status::unavailable(Reason::StoreUnavailable, what)
        })?;
        caught_up.map_err(|error| status::store(&error))?;
        let found = self.visible_mentions(text, &visibility).await?;
        self.response(found, view).await
    }

    /// Finds the mentions of records that the caller may see.
    async fn visible_mentions(
        &self,
        text: String,
        visibility: &Visibility,
    ) -> Result<FoundMentions, Status> {
        let view = visibility.view();
        let filter = visible_filter(&self.store, visibility, None).await?;
        let (mut text, mut hidden) = (text, Vec::new());
        for search in 1.. {
            let index = self.mention_index.clone();
            let (searched, except, mut found) = on_a_core(&self.cores, move || {
                let found = index.find(&text, view, &hidden);
                (text, hidden, found)
            })
            .await?;
            (text, hidden) = (searched, except);
            let unseen = self.unseen(&found, &filter, view).await?;
            if unseen.is_empty() {
                return Ok(found);
            }
            if search == MAX_SEARCHES {
                found.drop_records(&unseen);
                return Ok(found);
            }
            hidden.extend(unseen);
        }
        Err(status::unavailable(Reason::StoreUnavailable, "try again"))
    }

    /// The records of mentions that the caller may not see.
    async fn unseen(
        &self,
        found: &FoundMentions,
        filter: &Filter,
        view: FeedView,
    ) -> Result<Vec<String>, Status> {
        let names: Vec<String> = found.records.values().cloned().collect();
        if names.is_empty() {
            return Ok(names);
        }
        let seen = self
            .store
            .candidates()
            .listed_names(&names, filter, view)
            .await;
        let seen: HashSet<String> = seen
            .map_err(|error| status::store(&error))?
            .into_iter()
            .collect();
        Ok(names
            .into_iter()
            .filter(|name| !seen.contains(name))
            .collect())
    }

    async fn response(
        &self,
        found: FoundMentions,
        view: FeedView,
    ) -> Result<SuggestMentionsResponse, Status> {
        let omitted = found.mentions.len().saturating_sub(MAX_MENTIONS);
        let (mut mentions, mut order) = (Vec::new(), Vec::new());
        let mut listed = HashSet::new();
        for mention in found.mentions.iter().take(MAX_MENTIONS) {
            let records = mention.candidates.iter();
            let mut records: Vec<&String> = records
                .filter_map(|number| found.records.get(number))
                .collect();
            records.sort_unstable();
            let more = records.len().saturating_sub(MAX_CANDIDATES);
            records.truncate(MAX_CANDIDATES);
            for record in &records {
                if listed.insert(record.as_str()) {
                    order.push((*record).clone());
                }
            }
            mentions.push(SuggestedMention {
                start: offset(mention.start),
                end: offset(mention.end),
                actors: records.into_iter().cloned().collect(),
                more: offset(more),
                exact: mention.is_exact,
            });
        }
        Ok(SuggestMentionsResponse {
            mentions,
            actors: self.describe(order, view).await?,
            sequence: found.heads.in_view(view).to_i64(),
            omitted: offset(omitted),
            names_omitted: found.is_full,
        })
    }

    /// Describes actors, as far as they fit.
    async fn describe(
        &self,
        names: Vec<String>,
        view: FeedView,
    ) -> Result<Vec<MentionedActor>, Status> {
        let described = &names[..names.len().min(MAX_ACTORS)];
        let records = self.feed.records();
        let read = records.get_fitting(described, view, MAX_ACTOR_BYTES).await;
        let mut read: HashMap<_, _> = read.map_err(|error| status::store(&error))?.found;
        let actors = names.into_iter().map(|name| {
            let actor = read.remove(&name).and_then(|record| decode(&record.bytes));
            let actor = actor.unwrap_or_default();
            MentionedActor {
                record: name,
                r#type: actor.r#type,
                region_code: actor.region_code,
                state: actor.meta.map_or(0, |meta| meta.state),
                display_name: actor.display_name,
                description: actor.description,
            }
        });
        Ok(actors.collect())
    }
}

impl FoundMentions {
    /// Takes records out, and mentions without any.
    fn drop_records(&mut self, names: &[String]) {
        self.records.retain(|_, name| !names.contains(name));
        let known = &self.records;
        for mention in &mut self.mentions {
            mention
                .candidates
                .retain(|number| known.contains_key(number));
        }
        self.mentions
            .retain(|mention| !mention.candidates.is_empty());
    }
}

/// Texts and lists of a request are far below the limit.
fn offset(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
