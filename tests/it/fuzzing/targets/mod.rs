//! Fuzz targets for untrusted bytes: one function per decoder of client requests and user files. Each accepts any
//! bytes, and panics if a property does not hold. The same functions run under libFuzzer (`fuzz/`) and in `cargo test`
//! (`fuzzing`). They need no server and no database.

mod bundles;
mod files;
mod filters;
mod records;
mod requests;
pub mod seeds;
mod texts;
mod tokens;

use dateline_record::violation::Violation;
use dateline_server::status::{self, Reason};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt, pb};

/// A function that accepts any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const ALL: [(&str, Target); 12] = [
    ("requests", requests::requests),
    ("records", records::records),
    ("filters", filters::filters),
    ("cursors", tokens::cursors),
    ("page_tokens", tokens::page_tokens),
    ("edtf", texts::edtf),
    ("texts", texts::texts),
    ("imports", files::imports),
    ("documents", files::documents),
    ("recordings", files::recordings),
    ("manifests", bundles::manifests),
    ("parts", bundles::parts),
];

/// Runs the target of that name on bytes.
///
/// # Panics
/// If there is no such target, or a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.expect("there is such a target").1(bytes);
}

/// Splits off a first byte that selects a case.
fn chosen(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), rest))
}

/// Asserts the properties of every refusal: it has a text of bounded length without control characters, and fits the
/// trailers that clients accept.
fn assert_well_told(violations: &[Violation]) {
    assert!(!violations.is_empty());
    for violation in violations {
        assert_plain(&violation.field);
        assert_plain(&violation.description);
        assert!(!violation.description.is_empty());
        let length = violation.description.chars().count();
        assert!(length < 2500, "{length} characters: {violation:?}");
    }
    assert_answer(&status::invalid(Reason::InvalidRecord, violations));
}

/// Asserts that there are no control characters and no direction overrides.
fn assert_plain(text: &str) {
    let acts = |it: char| {
        it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(acts), "{text:?}");
}

/// Asserts the properties of every error: `INVALID_ARGUMENT`, one `ErrorInfo` of ours, bounded, and plain.
fn assert_answer(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_plain(status.message());
    assert!(status.message().chars().count() < 3000, "{status:?}");
    assert!(status.details().len() < 6 * 1024, "{status:?}");
    let details = pb::Status::decode(status.details()).expect("details decode");
    let infos = details.details.iter();
    let infos = infos.filter(|detail| detail.type_url == ErrorInfo::TYPE_URL);
    assert_eq!(infos.count(), 1, "{status:?}");
    let info = status.get_details_error_info().expect("it has a reason");
    assert_eq!(info.domain, "dateline");
}
