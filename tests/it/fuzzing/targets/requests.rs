//! Every request message, as far as a server handles it without a database: decoded, weighed, validated, and writes
//! decided on an empty database.

use dateline_engine::{
    change::Outcome,
    decide::{DecideError, decide},
    prefetch::Planner,
    read_view::ReadView,
    request::{Action, Attribution, Request},
};
use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, CompactFeedRequest, CorrectRecordRequest,
    CreateRecordRequest, DeleteRecordRequest, DiffRevisionsRequest, ExportRequest, ForkFeedRequest,
    GetFeedRequest, GetRecordRequest, ListRecordsRequest, ListRevisionsRequest, LoadRecordsRequest,
    MergeRecordRequest, PublishRecordsRequest, PurgeRecordRequest, RestoreRecordRequest,
    RetractRecordsRequest, SendBackRecordsRequest, SubmitRecordsRequest, UnmergeRecordRequest,
    UpdateRecordRequest, WatchRequest,
};
use dateline_record::{
    filter::Filter,
    revision::Revision,
    validate::validate,
    walk::{Path, Walk},
};
use dateline_server::transport::codec;
use prost::Message;
use prost_reflect::ReflectMessage;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{assert_answer, assert_well_told, chosen, records::assert_storable};

/// The current time in all targets.
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// The first byte selects the request, the rest is its message.
pub fn requests(data: &[u8]) {
    let Some((choice, bytes)) = chosen(data) else {
        return;
    };
    match choice % 24 {
        0 => commit(bytes),
        1 => load(bytes),
        2 => with_filter::<ListRecordsRequest>(bytes, |it| it.filter.as_ref()),
        3 => with_filter::<WatchRequest>(bytes, |it| it.filter.as_ref()),
        4 => with_filter::<ExportRequest>(bytes, |it| it.filter.as_ref()),
        5 => checked::<CreateRecordRequest>(bytes),
        6 => checked::<UpdateRecordRequest>(bytes),
        7 => checked::<CorrectRecordRequest>(bytes),
        8 => checked::<DeleteRecordRequest>(bytes),
        9 => checked::<SubmitRecordsRequest>(bytes),
        10 => checked::<SendBackRecordsRequest>(bytes),
        11 => checked::<PublishRecordsRequest>(bytes),
        12 => checked::<RetractRecordsRequest>(bytes),
        13 => checked::<MergeRecordRequest>(bytes),
        14 => checked::<UnmergeRecordRequest>(bytes),
        15 => checked::<RestoreRecordRequest>(bytes),
        16 => checked::<PurgeRecordRequest>(bytes),
        17 => checked::<GetRecordRequest>(bytes),
        18 => checked::<BatchGetRecordsRequest>(bytes),
        19 => checked::<ListRevisionsRequest>(bytes),
        20 => checked::<DiffRevisionsRequest>(bytes),
        21 => checked::<GetFeedRequest>(bytes),
        22 => checked::<CompactFeedRequest>(bytes),
        _ => checked::<ForkFeedRequest>(bytes),
    }
}

/// The decoded message; an error must follow the contract.
fn decoded<M: Message + Default + ReflectMessage>(bytes: &[u8]) -> Option<M> {
    codec::decode(bytes)
        .inspect_err(assert_answer)
        .ok()
        .inspect(|message: &M| {
            let again = M::decode(message.encode_to_vec().as_slice());
            let again = again.expect("what was decoded is encoded so that it decodes");
            assert_eq!(again.encode_to_vec(), message.encode_to_vec());
        })
}

/// Asserts that a valid message is in its stored form, and is valid again.
fn checked<M: Message + Default + ReflectMessage + Walk + Clone>(bytes: &[u8]) {
    let Some(mut message) = decoded::<M>(bytes) else {
        return;
    };
    let violations = validate(&mut message, &mut Path::default());
    if !violations.is_empty() {
        return assert_well_told(&violations);
    }
    let mut again = message.clone();
    assert_eq!(validate(&mut again, &mut Path::default()), []);
    assert_eq!(again.encode_to_vec(), message.encode_to_vec());
}

fn with_filter<M: Message + Default + ReflectMessage + Walk + Clone>(
    bytes: &[u8],
    filter: impl Fn(&M) -> Option<&dateline_proto::v1::RecordFilter>,
) {
    if let Some(message) = decoded::<M>(bytes)
        && let Err(violations) = Filter::new(filter(&message))
    {
        assert_well_told(&violations);
    }
    checked::<M>(bytes);
}

fn commit(bytes: &[u8]) {
    let Some(sent) = decoded::<CommitRequest>(bytes) else {
        return;
    };
    let read = || Request::new(sent.clone(), Attribution::default(), NOW);
    match read() {
        Ok(request) => {
            assert_eq!(request.writes.len(), sent.writes.len());
            let again = read().expect("what was taken once is taken again");
            assert_eq!(again.fingerprint, request.fingerprint);
            decided(&request);
        }
        Err(violations) => assert_well_told(&violations),
    }
}

fn load(bytes: &[u8]) {
    let Some(sent) = decoded::<LoadRecordsRequest>(bytes) else {
        return;
    };
    match Request::load(sent, Attribution::default()) {
        Ok(request) => decided(&request),
        Err(violations) => assert_well_told(&violations),
    }
}

/// Returns what the store reads for a request in an empty database.
fn empty_database(request: &Request) -> ReadView {
    let requests = [request];
    let mut planner = Planner::new(&requests);
    let mut view = ReadView::default();
    let mut wanted = planner.plan_reads(&view);
    let has_writes = !request.writes.is_empty();
    assert!(
        !has_writes || !wanted.is_empty(),
        "a write looks at its own record"
    );
    while !wanted.is_empty() {
        view.insert_heads(wanted.heads, Vec::new());
        view.insert_statuses(wanted.statuses, Vec::new());
        view.insert_revisions(wanted.revisions, Vec::new());
        view.insert_readable(wanted.published, Vec::new());
        view.insert_similar(wanted.keys, Vec::new());
        view.insert_originals(wanted.originals, Vec::new());
        view.insert_citing(wanted.citing, Vec::new());
        view.insert_copies(wanted.copies, Vec::new());
        wanted = planner.plan_reads(&view);
    }
    view
}

/// Asserts that an accepted request on an empty database creates new records only, and that they can be stored.
fn decided(request: &Request) {
    let mut uids = 1..;
    let mut new_uid = || Uuid::from_u128(uids.next().unwrap_or_default());
    let decision = match decide(request, &empty_database(request), NOW, &mut new_uid) {
        Ok(decision) => decision,
        Err(DecideError::Rejected(_)) => return,
        Err(DecideError::NotRead(keys)) => panic!("the planner forgets {keys}"),
    };
    let new = |action: &Action| matches!(action, Action::Create { .. } | Action::Load { .. });
    assert!(request.writes.iter().all(|write| new(&write.action)));
    for change in decision.outcomes.iter().filter_map(Outcome::change) {
        assert_storable(&change.body, &change.terms);
        let revision = change.revision;
        assert!(
            revision >= Revision::FIRST && revision.next() > revision,
            "life goes on after {revision}"
        );
        let text = [&change.note, &change.meta.merged_into];
        assert!(text.iter().all(|text| !text.contains('\0')));
    }
}
