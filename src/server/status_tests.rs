//! What an answer lists fits where it travels.

use super::*;

#[test]
fn w6_what_is_listed_fits_the_trailers_that_clients_take_and_the_rest_is_counted() {
    let many: Vec<_> = (0..1000)
        .map(|index| Violation::new(format!("records[{index}].name"), "is not there"))
        .collect();
    let long = Violation::new("x".repeat(LISTED_BYTES), "is too long");
    for violations in [many.as_slice(), &[long]] {
        let status = invalid(Reason::InvalidRecord, violations);
        assert!(status.details().len() < 6 * 1024);
        let listed = status.get_details_bad_request().unwrap().field_violations;
        let rest = violations.len() - (listed.len() - 1);
        let last = listed.last().unwrap();
        assert_eq!(last.description, format!("and {rest} more"));
    }
    let few = invalid(Reason::InvalidRecord, &many[..40]);
    let listed = few.get_details_bad_request().unwrap().field_violations;
    assert_eq!(listed.len(), 40);
}
