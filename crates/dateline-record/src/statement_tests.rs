//! Vectors that `hashlib` of Python has computed from the same values.

use dateline_proto::v1::{Kind, State, change::Type as ChangeType};
use time::macros::datetime;

use super::{
    revision::Revision,
    statement::{SALT_BYTES, Statement},
};

fn hex_of(statement: &Statement<'_>) -> String {
    hex::encode(statement.commitment())
}

fn corrected<'a>(changed: &'a [String], salt: &'a [u8; SALT_BYTES]) -> Statement<'a> {
    Statement {
        feed: "76de0642-6b1c-4a52-9a7e-3f0c1d2e4b5a",
        name: "articles/some-story",
        kind: Kind::Article,
        change_type: ChangeType::Corrected,
        state: State::Published,
        revision: Revision::new(7),
        previous: Some(4711),
        accepted_at: datetime!(2026-11-24 10:00 UTC),
        note: "The figure was 12, not 21 – sorry.",
        changed_fields: changed,
        merged_into: "",
        content: b"\x0a\x13articles/some-story",
        meta: b"meta",
        salt,
    }
}

#[test]
fn a_statement_has_the_text_and_the_commitment_that_python_computes() {
    let changed = ["headline".to_owned(), "body".to_owned()];
    let salt = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let statement = corrected(&changed, &salt);
    assert_eq!(statement.text(), CORRECTED);
    assert_eq!(
        hex_of(&statement),
        "f0957b4d516a1485d1adeb797a6c487bc57ee959811a8993b6e99c6b333635ab"
    );
}

#[test]
fn what_is_absent_is_empty_and_a_time_keeps_its_microseconds() {
    let statement = Statement {
        name: "actors/nato",
        kind: Kind::Actor,
        change_type: ChangeType::Merged,
        state: State::Merged,
        revision: Revision::new(2),
        previous: None,
        accepted_at: datetime!(2026-12-01 23:59:59.000007 UTC),
        note: "",
        merged_into: "actors/otan",
        content: b"\x0a\x0bactors/nato",
        meta: b"",
        ..corrected(&[], &[0xff; SALT_BYTES])
    };
    assert_eq!(
        hex_of(&statement),
        "3db2261fa6bb8330ad36aa81f74c9bd6ae143ea27539537f4d4c8533b58880aa"
    );
}

#[test]
fn another_salt_makes_another_commitment() {
    let (one, other) = ([1; SALT_BYTES], [2; SALT_BYTES]);
    let commitments = [&one, &other].map(|salt| corrected(&[], salt).commitment());
    assert_ne!(commitments[0], commitments[1]);
}

const CORRECTED: &str = "\
dateline.v1/statement
feed 76de0642-6b1c-4a52-9a7e-3f0c1d2e4b5a
name articles/some-story
kind article
type CORRECTED
state published
revision 7
previous 4711
time 2026-11-24T10:00:00.000000Z
note 189ce76f06e435de24cedd9a9b182a873ffa7d5ec6cddbbdef9480669b3ced62
changed headline,body
merged-into 
content 58a1f219ab55ae962ec93ead4f4c428e19ed160a682b3f230a45bdd1b1c56df2
meta ea3bd73e2b506e00527232b3ed743c066da83a8e3066f62a71e75eb9b4aa1db6
salt 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
";
