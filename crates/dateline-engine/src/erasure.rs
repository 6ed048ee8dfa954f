//! The notes that an erasure takes out of other records (W11): a note that several records were given at once, when
//! they were merged, withdrawn or sent back, is a note of each of them.

use dateline_proto::v1::change::Type as ChangeType;

use super::{change::ReadSet, checked_view::CheckedView, decide::ChangeSet, read_view::NoteCopy};

/// Text that replaces an erased note.
pub(super) const ERASED: &str = "erased";

/// Returns the revisions of other records whose note is blanked by a batch's erasures. Records that are erased
/// themselves are left out, since nothing remains of them.
pub(super) fn redact_notes(
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
    read_set: &mut ReadSet,
) -> Vec<NoteCopy> {
    let is_erased = |change_type| change_type == ChangeType::Purged;
    let erased = change_set.changes().map(|(_, change)| change);
    let erased = erased.filter(|change| is_erased(change.change_type));
    let copies = erased.flat_map(|change| read_view.note_copies(&change.name));
    let mut blanked: Vec<NoteCopy> = Vec::new();
    for copy in copies {
        let goes_too = change_set.change_of(&copy.name);
        let is_known =
            |known: &NoteCopy| (&known.name, known.revision) == (&copy.name, copy.revision);
        if goes_too.is_some_and(|change| is_erased(change.change_type))
            || blanked.iter().any(is_known)
        {
            continue;
        }
        // In the read set: if the record is erased meanwhile, this would restore its meta.
        read_set
            .revisions
            .push((copy.name.clone(), read_view.revision(&copy.name)));
        let mut copy = copy.clone();
        for correction in &mut copy.meta.corrections {
            if correction.revision == copy.revision.get() {
                ERASED.clone_into(&mut correction.note);
            }
        }
        blanked.push(copy);
    }
    blanked
}
