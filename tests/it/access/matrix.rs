//! Every method × every caller × every state of a record, against [`super::expected`]. A method of the schema that no
//! call here reaches fails the test, and so does a refusal that reveals more than that it is one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dateline_client::Client;
use dateline_proto::{
    DESCRIPTORS,
    v1::{GetFeedRequest, RevokeTokenRequest, View},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    calls::{CallOutcome, OF_ALL, OF_NONE, OF_ONE, other, read_all, read_one, view, write_one},
    expected::{EVERYBODY, ExpectedAnswer, Who, answer, may_call, states_revealed_by},
};
use crate::support::{
    callers::{AccessServers, client_with_token, create_token_with, start_access_servers_with},
    editing::{desk_record, dump_tables, wait_until},
    fixtures::{FIXTURE_STATES, Fixture, create_fixtures},
    projections::wait_projected,
};

/// Code, message and details of a refusal as text.
fn all_of(status: &Status) -> String {
    format!(
        "{:?} {} {:?}",
        status.code(),
        status.message(),
        status.get_error_details()
    )
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

/// Failures by cell, and the number of cells.
#[derive(Default)]
struct Tally {
    cells: usize,
    wrong: Vec<String>,
    /// Refusals of callers without permission, by call and caller: the same one for all records.
    refusals: BTreeMap<String, BTreeSet<String>>,
    /// Answers for invisible records, without the name: the same one for all states.
    missing: BTreeMap<String, BTreeSet<String>>,
}

impl Tally {
    fn cell(&mut self, at: &str, is_right: bool, outcome: &CallOutcome) {
        self.cells += 1;
        if !is_right {
            let outcome = match outcome {
                Ok(text) => text.chars().take(600).collect(),
                Err(status) => all_of(status),
            };
            self.wrong.push(format!("{at}: {outcome}"));
        }
    }

    /// Checks a caller without permission: refused with its reason, and without anything of the record's content.
    fn refused(&mut self, call: &str, who: Who, outcome: &CallOutcome, words: &[String]) {
        let (code, expected) = match who.refusal() {
            Some(expected) => (Code::Unauthenticated, expected),
            None => (Code::PermissionDenied, "ROLE_REQUIRED"),
        };
        let is_right = outcome.as_ref().is_err_and(|status| {
            let all = all_of(status);
            let says_nothing = words.iter().all(|words| !all.contains(words.as_str()));
            status.code() == code && reason(status) == expected && says_nothing
        });
        if let Err(status) = outcome {
            let key = format!("{call} by {who:?}");
            self.refusals.entry(key).or_default().insert(all_of(status));
        }
        self.cell(
            &format!("{call} by {who:?} has to be refused"),
            is_right,
            outcome,
        );
    }

    fn of_one(&mut self, call: &str, who: Who, fixture: &Fixture, outcome: &CallOutcome) {
        let (name, words) = (fixture.stand.name(), fixture.stand.words());
        let expected = answer(call, who, fixture.stand);
        let is_batch = call.starts_with("Batch");
        let is_right = match (expected, outcome) {
            (ExpectedAnswer::Whole, Ok(text)) => text.contains(&name) && text.contains(&words),
            (ExpectedAnswer::Name, Ok(text)) => {
                !text.contains(&words) && (text.contains(&name) || call.starts_with("List"))
            }
            (ExpectedAnswer::NotThere, Ok(text)) if is_batch => {
                text.contains(&name) && !text.contains(&words) && text.contains("records: []")
            }
            (ExpectedAnswer::NotThere, Err(status)) if !is_batch => {
                status.code() == Code::NotFound && reason(status) == "RECORD_NOT_FOUND"
            }
            (ExpectedAnswer::Something, Ok(text)) => {
                !text.contains(&words) || call.starts_with("Diff")
            }
            (ExpectedAnswer::Refused(code, expected), Err(status)) => {
                status.code() == code && reason(status) == expected
            }
            _ => false,
        };
        if expected == ExpectedAnswer::NotThere {
            let said = match outcome {
                Ok(text) => text.clone(),
                Err(status) => all_of(status),
            };
            let key = format!("{call} by {who:?}");
            let said = said.replace(&name, "NAME");
            self.missing.entry(key).or_default().insert(said);
        }
        let at = format!(
            "{call} by {who:?} of {:?}, expected {expected:?}",
            fixture.stand
        );
        self.cell(&at, is_right, outcome);
    }

    fn of_all(&mut self, call: &str, who: Who, outcome: &CallOutcome) {
        let shown: &[_] = if who == Who::EventsOnly {
            &[]
        } else {
            states_revealed_by(call)
        };
        for stand in FIXTURE_STATES {
            let is_right = outcome.as_ref().is_ok_and(|text| {
                // The name of a removed record is returned only to callers who saw it before.
                let name_is_due = !shown.is_empty() || !text.contains(&stand.name());
                text.contains(&stand.words()) == shown.contains(&stand) && name_is_due
            });
            let at = format!("{call} by {who:?} of {stand:?}");
            self.cell(&at, is_right, outcome);
        }
    }
}

/// The method of the schema that a call belongs to.
fn method(call: &str) -> &str {
    call.split(' ').next().unwrap()
}

fn methods_of_the_schema() -> BTreeSet<String> {
    let services = DESCRIPTORS.services();
    let ours = services.filter(|service| service.package_name() == "dateline.v1");
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| method.name().to_owned()).collect()
}

async fn callers(two: &AccessServers) -> HashMap<Who, Client> {
    let admin = &two.open.client;
    let mut clients = HashMap::new();
    for who in EVERYBODY {
        let (roles, scope) = who.token();
        let caller = match who {
            Who::Nobody => Client::connect(&two.closed.address).await.unwrap(),
            Who::Forger => {
                client_with_token(
                    &two.closed.address,
                    "dateline_aaaaaaaa_0123456789012345678901234567890123456789012",
                )
                .await
            }
            _ => {
                let (token, secret) = create_token_with(admin, roles, scope).await;
                if who == Who::Revoked {
                    let request = RevokeTokenRequest { id: token.id };
                    admin.clone().admin.revoke_token(request).await.unwrap();
                }
                client_with_token(&two.closed.address, &secret).await
            }
        };
        clients.insert(who, caller);
    }
    clients
}

/// The rows of all records, to check that nothing was written.
async fn records(url: &str) -> Vec<String> {
    let all = dump_tables(url).await;
    ["changes", "records", "links"]
        .iter()
        .map(|table| all[*table].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_each_method_tells_each_caller_of_each_record_what_it_may_and_nothing_else() {
    let called: BTreeSet<_> = [OF_ONE, OF_ALL, OF_NONE]
        .concat()
        .into_iter()
        .map(|call| method(call).to_owned())
        .collect();
    assert_eq!(
        called,
        methods_of_the_schema(),
        "a method of the schema has no row here"
    );

    // Callers without credentials must be refused for that, and never for too many guesses.
    let two = start_access_servers_with(|config| {
        config.access.quotas.auth_attempts_per_second = std::num::NonZeroU32::new(10_000).unwrap();
        // Whoever reads a feed to its head waits for a checkpoint there.
        config.checkpoint_interval = std::time::Duration::from_millis(200);
    })
    .await;
    let fixture = create_fixtures(&two.open.client).await;
    let winner = desk_record(&two.open.client, "actors/winner").await;
    // Keys of actors follow the log.
    wait_projected(&two.url).await;
    let heads = crate::support::editing::feed_heads(&two.url).await;
    // The other server is notified of it.
    let mut clients = callers(&two).await;
    let mut admin = clients[&Who::Admin].clone();
    wait_until("the other server has heard of everything", async || {
        let view = View::Desk.into();
        let feed = admin.feed.get_feed(GetFeedRequest { view }).await.unwrap();
        feed.into_inner().head_sequence == heads.0
    })
    .await;
    wait_projected(&two.url).await;
    let before = records(&two.url).await;
    let words: Vec<_> = FIXTURE_STATES.iter().map(|stand| stand.words()).collect();
    let mut tally = Tally::default();
    for who in EVERYBODY {
        let client = clients.get_mut(&who).unwrap();
        for call in OF_ONE {
            let may = may_call(call).contains(&who);
            for fixture in &fixture {
                let head = if view(call) == View::Desk {
                    heads.0
                } else {
                    heads.1
                };
                let is_read = method(call).starts_with("Get")
                    || method(call).starts_with("Batch")
                    || method(call).starts_with("List")
                    || method(call).starts_with("Diff");
                let outcome = if is_read {
                    read_one(client, call, fixture.stand.name(), head).await
                } else {
                    write_one(client, call, fixture, &winner).await
                };
                if may {
                    tally.of_one(call, who, fixture, &outcome);
                } else {
                    tally.refused(call, who, &outcome, &words);
                }
            }
        }
        for call in OF_ALL {
            let outcome = read_all(client, call).await;
            if may_call(call).contains(&who) {
                tally.of_all(call, who, &outcome);
            } else {
                tally.refused(call, who, &outcome, &words);
            }
        }
        for call in OF_NONE {
            let outcome = other(client, call).await;
            if may_call(call).contains(&who) {
                // Answered, or refused because of the request and not of the caller.
                let is_right = match (*call, &outcome) {
                    ("GetFeed", Ok(text)) => {
                        text.contains("digest: Some")
                            == !matches!(who, Who::ActorsOnly | Who::EventsOnly)
                    }
                    ("ListTokens", Ok(text)) => text.contains("tester") && !text.contains("secret"),
                    ("ForkFeed" | "LoadRecords", Err(status)) => {
                        status.code() == Code::InvalidArgument
                    }
                    ("UpdateToken" | "RevokeToken", Err(status)) => {
                        reason(status) == "TOKEN_NOT_FOUND"
                    }
                    (_, Ok(_)) => true,
                    _ => false,
                };
                tally.cell(&format!("{call} by {who:?}"), is_right, &outcome);
            } else {
                tally.refused(call, who, &outcome, &words);
            }
        }
    }
    assert!(
        tally.wrong.is_empty(),
        "{} of {} cells:\n{}",
        tally.wrong.len(),
        tally.cells,
        tally.wrong.join("\n")
    );
    for (what, said) in tally.refusals.iter().chain(&tally.missing) {
        assert_eq!(
            said.len(),
            1,
            "{what}: told apart by what is said: {said:#?}"
        );
    }
    assert_eq!(
        records(&two.url).await,
        before,
        "a call that only checks has written"
    );
    println!("{} cells", tally.cells);
    let least =
        EVERYBODY.len() * (OF_ONE.len() * FIXTURE_STATES.len() + OF_ALL.len() + OF_NONE.len());
    assert!(tally.cells >= least, "{}", tally.cells);
}
