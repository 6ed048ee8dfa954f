//! Tallies as columns: nine numbers for each kind, in the order of the kinds' numbers. The first is the number of
//! records, the others are the lanes of their digest.

use dateline_proto::v1::Kind;
use dateline_record::digest::{LANES, Tallies, Tally};

use super::Error;

/// Numbers per kind.
const NUMBERS: usize = LANES + 1;

/// Returns the position of a kind's first number, from 1.
fn first_position(kind: Kind) -> i32 {
    const NUMBERS_PER_KIND: i32 = 9;
    const { assert!(NUMBERS_PER_KIND as usize == NUMBERS) };
    (kind as i32 - 1) * NUMBERS_PER_KIND + 1
}

/// Returns the positions (from 1) in a column that a change of tallies affects, and the numbers to add.
pub(super) fn positions(tallies: &Tallies) -> impl Iterator<Item = (i32, i64)> {
    tallies
        .iter()
        .filter(|(_, tally)| **tally != Tally::default())
        .flat_map(|(kind, tally)| {
            let amounts = std::iter::once(tally.records).chain(tally.lanes.map(i64::from));
            (first_position(kind)..).zip(amounts)
        })
}

/// Reads the tallies from a column.
pub(super) fn read(column: &[i64]) -> Result<Tallies, Error> {
    let damaged = || Error::Corrupt("a tally of the feed".to_owned());
    let mut tallies = Tallies::default();
    for (number, kind) in (1..).zip(column.chunks(NUMBERS)) {
        let tally = tallies.tally_mut(Kind::try_from(number).map_err(|_| damaged())?);
        let (records, lanes) = kind.split_first().ok_or_else(damaged)?;
        tally.records = *records;
        for (sum, lane) in tally.lanes.iter_mut().zip(lanes) {
            *sum = u32::try_from(*lane).map_err(|_| damaged())?;
        }
    }
    Ok(tallies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_record::{digest::record_lanes, revision::Revision};

    #[test]
    fn f11_tallies_read_back_from_the_places_that_they_are_written_to() {
        let mut tallies = Tallies::default();
        tallies
            .tally_mut(Kind::Actor)
            .add(&record_lanes(Revision::FIRST, [&b"actor"[..]]));
        tallies
            .tally_mut(Kind::Event)
            .add(&record_lanes(Revision::new(7), [&b"event"[..]]));
        let mut column = vec![0; 4 * NUMBERS];
        for (place, amount) in positions(&tallies) {
            column[usize::try_from(place).unwrap() - 1] += amount;
        }
        assert_eq!(read(&column).unwrap().to_digest(), tallies.to_digest());
    }
}
