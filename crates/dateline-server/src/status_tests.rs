//! Lists in a status fit into the trailers that carry it.

use super::*;

#[test]
fn w6_what_is_listed_fits_the_trailers_that_clients_take_and_the_rest_is_counted() {
    let many: Vec<_> = (0..1000)
        .map(|index| Violation::new(format!("records[{index}].name"), "is not there"))
        .collect();
    let long = Violation::new("x".repeat(MAX_LISTED_BYTES), "is too long");
    for violations in [many.as_slice(), &[long]] {
        let status = invalid(Reason::InvalidRecord, violations);
        assert!(status.details().len() < 6 * 1024);
        let listed = status.get_details_bad_request().unwrap().field_violations;
        let rest = violations.len() - (listed.len() - 1);
        let last = listed.last().unwrap();
        assert_eq!(last.description, format!("and {rest} more"));
    }
    let wide = Violation::new("x", "ä".repeat(MAX_LISTED_BYTES / 2));
    for violation in [&wide, &Violation::new("y".repeat(4000), "z".repeat(1000))] {
        let answer = invalid(Reason::InvalidRecord, std::slice::from_ref(violation));
        let answer = answer.into_http::<tonic::body::Body>();
        let headers = answer.headers().iter();
        // Size of a header list by the rules of HTTP/2.
        let bytes = headers.map(|(name, value)| name.as_str().len() + value.len() + 32);
        let bytes = bytes.sum::<usize>() + 100;
        assert!(bytes <= 8 * 1024, "{bytes} bytes of headers");
    }
    let few = invalid(Reason::InvalidRecord, &many[..40]);
    let listed = few.get_details_bad_request().unwrap().field_violations;
    assert_eq!(listed.len(), 40);
}
