//! The plan by which records are published when their embargo ends: the commits and their order.
//!
//! Records that one request put under embargo stay together in one commit, which they fitted before. Records that
//! depend on others are published after them; records that depend on each other are published together. Independent
//! records are published independently, so that none delays another.

use std::collections::{BTreeMap, HashMap, HashSet};

use dateline_record::name::Name;
use petgraph::{algo::kosaraju_scc, graph::DiGraph, unionfind::UnionFind};

use super::decide::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};

/// Most records, and bytes of content, up to which requests that depend on one another are merged into one commit.
/// Otherwise a long chain of them would take a commit each.
const MERGED: BatchSize = BatchSize {
    records: 1000,
    bytes: 4 * 1024 * 1024,
};
/// Most records, and bytes of content, of one commit.
const COMMIT: BatchSize = BatchSize {
    records: MAX_BATCH_RECORDS,
    bytes: MAX_BATCH_BYTES,
};

/// A record whose embargo has ended.
#[derive(Debug, Clone)]
pub struct EndedEmbargo {
    /// Name of the record.
    pub name: Name,
    /// Size of its content, in bytes.
    pub bytes: usize,
    /// Batch of the request that put it under embargo.
    pub batch: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct BatchSize {
    records: usize,
    bytes: usize,
}

impl BatchSize {
    fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }

    fn fits(self, limit: Self) -> bool {
        self.records <= limit.records && self.bytes <= limit.bytes
    }
}

/// Records that cannot be published separately, as indexes into the planned list.
type Atom = Vec<usize>;

/// Records of one commit; records that others refer to come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseUnit {
    /// Requests, and within each the atoms that cannot be split.
    requests: Vec<Vec<Atom>>,
}

impl ReleaseUnit {
    /// Returns the records, as indexes into the planned list.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        self.requests.iter().flatten().flatten().copied()
    }

    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indexes().count()
    }

    /// True if there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the unit without some records.
    #[must_use]
    pub fn without(&self, out: &HashSet<usize>) -> Self {
        let requests = self.requests.iter().map(|atoms| {
            let kept = atoms.iter().map(|atom| {
                let places = atom.iter().copied();
                places
                    .filter(|place| !out.contains(place))
                    .collect::<Atom>()
            });
            kept.filter(|atom| !atom.is_empty()).collect::<Vec<_>>()
        });
        Self {
            requests: requests.filter(|atoms| !atoms.is_empty()).collect(),
        }
    }

    /// Splits the unit into two halves of which the first does not depend on the second; between requests if there are
    /// several. `None` if it cannot be split.
    #[must_use]
    pub fn halves(mut self) -> Option<(Self, Self)> {
        if self.requests.len() > 1 {
            let second = self.requests.split_off(middle(&self.requests, |atoms| {
                atoms.iter().map(Vec::len).sum()
            }));
            return Some((self, Self { requests: second }));
        }
        let mut atoms = self.requests.pop()?;
        if atoms.len() < 2 {
            return None;
        }
        let second = atoms.split_off(middle(&atoms, Vec::len));
        let unit = |atoms| Self {
            requests: vec![atoms],
        };
        Some((unit(atoms), unit(second)))
    }
}

/// Returns the index at which to split parts into about equal halves, neither of them empty.
fn middle<T>(parts: &[T], len: impl Fn(&T) -> usize) -> usize {
    let half = parts.iter().map(&len).sum::<usize>() / 2;
    let mut before = 0;
    let found = parts.iter().position(|part| {
        before += len(part);
        before > half
    });
    found.unwrap_or(1).clamp(1, parts.len() - 1)
}

/// Plans the publication of records. `links` are references (source, target), as indexes into the list. Returns rows of
/// commits: those of a row follow one another, and the rows are independent.
#[must_use]
pub fn plan_commits(ended: &[EndedEmbargo], links: &[(usize, usize)]) -> Vec<Vec<ReleaseUnit>> {
    let mut numbers = HashMap::new();
    let request_of: Vec<usize> = ended
        .iter()
        .map(|record| {
            let next = numbers.len();
            *numbers.entry(record.batch).or_insert(next)
        })
        .collect();
    let between: Vec<_> = links
        .iter()
        .map(|(source, target)| (request_of[*source], request_of[*target]))
        .filter(|(source, target)| source != target)
        .collect();
    let mut connected = UnionFind::new(numbers.len());
    for (source, target) in &between {
        connected.union(*source, *target);
    }
    let mut members = vec![Vec::new(); numbers.len()];
    for (place, request) in request_of.iter().enumerate() {
        members[*request].push(place);
    }
    // Requests that depend on each other count as one.
    let mut rows: BTreeMap<usize, Vec<Vec<Atom>>> = BTreeMap::new();
    let mut first_of = HashMap::new();
    for together in in_order(numbers.len(), &between) {
        let row = connected.find(together[0]);
        let first = together.iter().min().copied().unwrap_or_default();
        let earliest = first_of.entry(row).or_insert(first);
        *earliest = (*earliest).min(first);
        let places: Vec<_> = together
            .iter()
            .flat_map(|request| members[*request].iter().copied())
            .collect();
        rows.entry(row).or_default().push(atoms(&places, links));
    }
    // Rows in the order in which their first record is due.
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(row, _)| first_of.get(row).copied());
    rows.into_iter()
        .map(|(_, requests)| pack_requests(ended, requests))
        .collect()
}

/// Returns the strongly connected components of the references, most of them single nodes; targets come before sources.
fn in_order(nodes: usize, links: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), (), usize>::with_capacity(nodes, links.len());
    for _ in 0..nodes {
        graph.add_node(());
    }
    // Kosaraju's algorithm returns the last of the independent nodes first; with reversed indexes, the first ones come
    // first.
    let turned = |place: usize| nodes - 1 - place;
    for (source, target) in links {
        graph.add_edge(turned(*source).into(), turned(*target).into(), ());
    }
    // Not Tarjan's algorithm: petgraph's recurses as deep as a chain is long.
    let sets = kosaraju_scc(&graph).into_iter();
    sets.map(|set| {
        let mut set: Vec<_> = set.into_iter().map(|node| turned(node.index())).collect();
        set.sort_unstable();
        set
    })
    .collect()
}

/// Splits the records of a request into atoms, in order.
fn atoms(places: &[usize], links: &[(usize, usize)]) -> Vec<Atom> {
    if places.len() == 1 {
        return vec![places.to_vec()];
    }
    let here: HashMap<usize, usize> = (0..).zip(places).map(|(at, place)| (*place, at)).collect();
    let within: Vec<_> = links
        .iter()
        .filter_map(|(source, target)| Some((*here.get(source)?, *here.get(target)?)))
        .collect();
    let sets = in_order(places.len(), &within).into_iter();
    sets.map(|set| set.into_iter().map(|at| places[at]).collect())
        .collect()
}

/// Packs requests into commits: small ones are merged, and one is split only if it does not fit.
fn pack_requests(ended: &[EndedEmbargo], requests: Vec<Vec<Atom>>) -> Vec<ReleaseUnit> {
    let atom_size = |atom: &Atom| BatchSize {
        records: atom.len(),
        bytes: atom.iter().map(|place| ended[*place].bytes).sum(),
    };
    let size = |atoms: &[Atom]| {
        let sizes = atoms.iter().map(atom_size);
        sizes.fold(BatchSize::default(), BatchSize::plus)
    };
    let mut units: Vec<ReleaseUnit> = Vec::new();
    let mut open = BatchSize::default();
    for request in requests {
        let whole = size(&request);
        if !whole.fits(COMMIT) {
            let parts = split_atoms(request, atom_size);
            units.extend(parts.into_iter().map(|atoms| ReleaseUnit {
                requests: vec![atoms],
            }));
            // Nothing is added to the last part of a split request.
            open = COMMIT;
            continue;
        }
        match units.last_mut() {
            Some(last) if open.plus(whole).fits(MERGED) => {
                last.requests.push(request);
                open = open.plus(whole);
            }
            _ => {
                units.push(ReleaseUnit {
                    requests: vec![request],
                });
                open = whole;
            }
        }
    }
    units
}

/// Splits a request that does not fit one commit into parts that do, as far as possible.
fn split_atoms(atoms: Vec<Atom>, size: impl Fn(&Atom) -> BatchSize) -> Vec<Vec<Atom>> {
    let mut parts: Vec<Vec<Atom>> = Vec::new();
    let mut open = BatchSize::default();
    for atom in atoms {
        let added = open.plus(size(&atom));
        match parts.last_mut() {
            Some(last) if added.fits(COMMIT) => {
                last.push(atom);
                open = added;
            }
            _ => {
                open = size(&atom);
                parts.push(vec![atom]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(batches: &[i64], bytes: usize) -> Vec<EndedEmbargo> {
        let records = batches
            .iter()
            .enumerate()
            .map(|(place, batch)| EndedEmbargo {
                name: Name::parse(&format!("actors/a{place}")).unwrap(),
                bytes,
                batch: *batch,
            });
        records.collect()
    }

    fn places(rows: &[Vec<ReleaseUnit>]) -> Vec<Vec<Vec<usize>>> {
        let of_row =
            |row: &Vec<ReleaseUnit>| row.iter().map(|unit| unit.indexes().collect()).collect();
        rows.iter().map(of_row).collect()
    }

    #[test]
    fn w5_a_request_is_one_commit_and_independent_of_others() {
        let rows = plan_commits(&ended(&[7, 7, 9, 12, 9], 10), &[(1, 0)]);
        assert_eq!(
            places(&rows),
            [vec![vec![0, 1]], vec![vec![2, 4]], vec![vec![3]]]
        );
    }

    #[test]
    fn what_is_referred_to_comes_first_within_and_between_requests() {
        // 0 and 1 are one request; 0 refers to 2, which refers to 3; 4 is independent.
        let rows = plan_commits(&ended(&[1, 1, 2, 3, 4], 10), &[(0, 2), (2, 3), (0, 1)]);
        assert_eq!(places(&rows), [vec![vec![3, 2, 1, 0]], vec![vec![4]]]);
        let large = MERGED.bytes / 2 + 1;
        let rows = plan_commits(&ended(&[1, 2, 3], large), &[(0, 1), (1, 2)]);
        assert_eq!(places(&rows), [vec![vec![2], vec![1], vec![0]]]);
    }

    #[test]
    fn requests_that_refer_to_one_another_go_together_if_they_fit() {
        let links = [(0, 1), (1, 0)];
        let rows = plan_commits(&ended(&[1, 2], MERGED.bytes), &links);
        assert_eq!(places(&rows), [vec![vec![0, 1]]]);
        let rows = plan_commits(&ended(&[1, 2, 2], COMMIT.bytes / 2), &links);
        assert_eq!(places(&rows), [vec![vec![0, 1], vec![2]]]);
    }

    #[test]
    fn a_request_that_does_not_fit_goes_in_parts_in_order() {
        let links: Vec<_> = (1..6).map(|place| (place - 1, place)).collect();
        let rows = plan_commits(&ended(&[1; 6], COMMIT.bytes / 2), &links);
        assert_eq!(places(&rows), [vec![vec![5, 4], vec![3, 2], vec![1, 0]]]);
        let rows = plan_commits(&ended(&vec![1; 12_000], 1), &[]);
        let lengths: Vec<_> = rows[0].iter().map(ReleaseUnit::len).collect();
        assert_eq!(lengths, [5000, 5000, 2000]);
    }

    #[test]
    fn a_unit_is_halved_between_requests_then_within_down_to_what_cannot_be_parted() {
        let rows = plan_commits(&ended(&[1, 1, 1, 2], 10), &[(3, 0), (1, 2), (2, 1)]);
        let [unit] = &rows[0][..] else {
            panic!("one commit")
        };
        let (first, second) = unit.clone().halves().unwrap();
        assert_eq!(first.indexes().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(second.indexes().collect::<Vec<_>>(), [3]);
        assert_eq!(second.halves(), None);
        let (alone, circle) = first.halves().unwrap();
        assert_eq!(alone.indexes().collect::<Vec<_>>(), [0]);
        assert_eq!(circle.indexes().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(circle.clone().halves(), None);
        assert_eq!(circle.without(&HashSet::from([1])).len(), 1);
        assert!(circle.without(&HashSet::from([1, 2])).is_empty());
    }

    #[test]
    fn halving_ends_with_single_records_for_any_number() {
        for count in 1..40 {
            let rows = plan_commits(&ended(&vec![1; count], 10), &[]);
            let mut open = rows.into_iter().flatten().collect::<Vec<_>>();
            let mut single = Vec::new();
            while let Some(unit) = open.pop() {
                match unit.clone().halves() {
                    Some((first, second)) => open.extend([second, first]),
                    None => single.extend(unit.indexes()),
                }
            }
            assert_eq!(single, (0..count).collect::<Vec<_>>());
        }
    }
}
