//! Tests of the order of versions, and of the next step in each state.

use prost_types::Timestamp;

use super::*;
use dateline_record::release::Release;

fn version(version: &str, seconds: i64, status: Status) -> SourceItem {
    SourceItem {
        uri: "urn:x".to_owned(),
        version: version.to_owned(),
        version_time: (seconds > 0).then_some(Timestamp { seconds, nanos: 0 }),
        status: status.into(),
        ..SourceItem::default()
    }
}

#[test]
fn numbers_decide_then_times_then_the_stricter_status() {
    let usable = Status::Unspecified;
    for (sent, stored, expected) in [
        (("2", 0), ("1", 0), Age::Newer),
        (("10", 0), ("9", 0), Age::Newer),
        (("1.10", 0), ("1.9", 9), Age::Newer),
        (("1", 9), ("2", 1), Age::Older),
        (("2", 0), ("2", 0), Age::Same),
        (("2", 5), ("2", 4), Age::Newer),
        (("2", 4), ("2", 5), Age::Older),
        (("", 0), ("1", 0), Age::Older),
        (("1", 0), ("", 0), Age::Newer),
        (("", 5), ("", 4), Age::Newer),
        (("", 4), ("", 4), Age::Same),
        (("", 0), ("", 0), Age::Unknown),
        (("a", 0), ("b", 0), Age::Unknown),
        (("a", 0), ("a", 0), Age::Same),
        (("a", 2), ("b", 1), Age::Newer),
    ] {
        let found = age(
            &version(sent.0, sent.1, usable),
            &version(stored.0, stored.1, usable),
        );
        assert_eq!(found, expected, "{sent:?} {stored:?}");
    }
    let (live, kill) = (version("1", 5, usable), version("1", 5, Status::Canceled));
    assert_eq!(
        (age(&kill, &live), age(&live, &kill)),
        (Age::Newer, Age::Older)
    );
    let bare = |status| version("", 0, status);
    assert_eq!(age(&bare(Status::Canceled), &bare(usable)), Age::Newer);
}

fn step(
    allowed: &Allowed,
    age: Age,
    state: State,
    publishes: bool,
    on_change: OnChange,
) -> VersionStep {
    let sent = Outgoing {
        release: Release {
            allowed: allowed.clone(),
            note: String::new(),
        },
        ..Outgoing::default()
    };
    let situation = StepContext {
        sent: &sent,
        age,
        is_same: false,
        state,
        status: Status::Unspecified,
        publishes,
        on_change,
        advice: None,
    };
    situation.step()
}

#[test]
fn a_kill_is_never_left_out_and_an_older_version_always() {
    use OnChange::{Correct, Report, Skip};
    let withheld = Allowed::held("WITHHELD", "");
    for on_change in [Correct, Report, Skip] {
        for age in [Age::Same, Age::Newer, Age::Unknown] {
            assert_eq!(
                step(&Allowed::Canceled, age, State::Published, true, on_change),
                VersionStep::Retract
            );
            assert!(matches!(
                step(&Allowed::Canceled, age, State::Published, false, on_change),
                VersionStep::Report(_)
            ));
            assert_eq!(
                step(&Allowed::Canceled, age, State::Embargoed, true, on_change),
                VersionStep::SendBack
            );
            assert_eq!(
                step(&Allowed::Canceled, age, State::Draft, true, on_change),
                VersionStep::Mark
            );
            let stays = age == Age::Same;
            assert_eq!(
                step(&withheld, age, State::Embargoed, true, on_change),
                if stays {
                    VersionStep::Keep
                } else {
                    VersionStep::SendBack
                }
            );
        }
        for allowed in [&Allowed::Canceled, &Allowed::Now, &withheld] {
            assert_eq!(
                step(allowed, Age::Older, State::Published, true, on_change),
                VersionStep::Older
            );
        }
    }
    assert_eq!(
        step(&withheld, Age::Newer, State::Published, true, Correct),
        VersionStep::Retract
    );
    assert!(matches!(
        step(&withheld, Age::Newer, State::Published, true, Skip),
        VersionStep::Report(_)
    ));
}

#[test]
fn a_newer_version_does_what_the_caller_says_and_never_breaks_an_embargo() {
    use OnChange::{Correct, Report, Skip};
    let far = Allowed::From(Timestamp {
        seconds: i64::from(u32::MAX),
        nanos: 0,
    });
    let newer =
        |allowed: &Allowed, state, on_change| step(allowed, Age::Newer, state, true, on_change);
    for state in [State::Draft, State::Published, State::Embargoed] {
        assert!(matches!(
            newer(&Allowed::Now, state, Report),
            VersionStep::Report(_)
        ));
        assert_eq!(newer(&Allowed::Now, state, Skip), VersionStep::Skip);
        assert_eq!(
            step(&Allowed::Now, Age::Same, state, true, Correct),
            VersionStep::Keep
        );
    }
    assert_eq!(
        newer(&Allowed::Now, State::Draft, Correct),
        VersionStep::Update
    );
    assert_eq!(
        newer(&Allowed::Now, State::Published, Correct),
        VersionStep::Correct
    );
    assert_eq!(
        newer(&far, State::Embargoed, Correct),
        VersionStep::SendBack
    );
    for (allowed, state) in [
        (&far, State::Published),
        (&Allowed::held("PARTIAL", ""), State::Published),
        (&Allowed::Now, State::InReview),
        (&Allowed::Now, State::Retracted),
    ] {
        assert!(
            matches!(newer(allowed, state, Correct), VersionStep::Report(_)),
            "{allowed:?} {state:?}"
        );
    }
}
