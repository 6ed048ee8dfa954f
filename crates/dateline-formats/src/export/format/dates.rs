//! Fuzzy dates in formats that have only years, months and days.

use dateline_proto::v1::FuzzyDate;

use super::Losses;

/// A date reduced to a year, month or day; anything cut off or left out is counted at `field`.
pub(super) fn cut(date: Option<&FuzzyDate>, field: &str, losses: &mut Losses) -> Option<String> {
    let date = date.filter(|date| !date.edtf.is_empty())?;
    let prefix = prefix(&date.edtf);
    if prefix.as_ref().is_none_or(|prefix| !prefix.is_exact) {
        losses.add(&format!("{field}.edtf"), 1);
    }
    prefix.map(|prefix| prefix.date)
}

/// A date if it is exactly a year, month or day; anything left out is counted at `field`.
pub(super) fn exact(date: Option<&FuzzyDate>, field: &str, losses: &mut Losses) -> Option<String> {
    let date = date.filter(|date| !date.edtf.is_empty())?;
    let prefix = prefix(&date.edtf).filter(|prefix| prefix.is_exact);
    if prefix.is_none() {
        losses.add(&format!("{field}.edtf"), 1);
    }
    prefix.map(|prefix| prefix.date)
}

/// An expression as a prefix of an ISO date.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix {
    /// `2021`, `2021-09` or `2021-09-15`.
    date: String,
    /// True if nothing was cut off, such as a season or a mark of uncertainty.
    is_exact: bool,
}

/// The prefix for an expression of the EDTF profile: a season, quarter or half becomes its year, marks of uncertainty
/// are dropped. `None` if no single prefix exists: "somewhere between", an open side, decades, centuries.
fn prefix(edtf: &str) -> Option<Prefix> {
    let bare = edtf.trim_end_matches(['?', '~', '%']);
    if bare.is_empty() || bare.contains(['/', '.', 'X']) {
        return None;
    }
    let season = bare
        .split_once('-')
        .filter(|(_, month)| month.parse().is_ok_and(|month: u8| month > 12));
    let date = season.map_or(bare, |(year, _)| year);
    Some(Prefix {
        date: date.to_owned(),
        is_exact: date == edtf,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_cut_to_what_surely_covers_it_or_left_out() {
        let cases = [
            ("2021", Some(("2021", true))),
            ("2021-09", Some(("2021-09", true))),
            ("2021-09-15", Some(("2021-09-15", true))),
            ("2021-22", Some(("2021", false))),
            ("2021-30", Some(("2021", false))),
            ("2021-41~", Some(("2021", false))),
            ("2021-09?", Some(("2021-09", false))),
            ("1994/..", None),
            ("../1992", None),
            ("2020/2021", None),
            ("199X", None),
            ("", None),
        ];
        for (edtf, expected) in cases {
            let found = prefix(edtf).map(|prefix| (prefix.date, prefix.is_exact));
            let expected = expected.map(|(date, exact)| (date.to_owned(), exact));
            assert_eq!(found, expected, "{edtf}");
        }
    }
}
