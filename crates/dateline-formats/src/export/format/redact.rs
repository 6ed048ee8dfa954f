//! The metadata view: records without copyrighted content.

use dateline_proto::v1::{Record, record::Kind as Body};
use dateline_record::walk::{Node, Path, Rules, Visitor, Walk};

/// Removes copied text from a record: an article's `body`, and `exact` of every span (`mentions`, `evidence.quote`).
/// The positions of spans, the mentioned records, headline, summary, notes, the source's words for a date (at most 200
/// characters) and the SHA-256 of the original stay. The original itself is not part of a record. The caller has to
/// encode the record again for formats that pass bytes on.
pub fn redact(record: &mut Record) {
    let Some(body) = &mut record.kind else { return };
    if let Body::Article(article) = body {
        article.body.clear();
    }
    body.walk(&mut Path::default(), &mut Quotes { inside: 0 });
}

/// Clears the quoted text of spans.
struct Quotes {
    /// Depth of spans that contain the current field.
    inside: usize,
}

impl Visitor for Quotes {
    fn message(&mut self, _at: &Path, node: Node<'_>) -> bool {
        self.inside += usize::from(matches!(node, Node::TextSpan(_)));
        true
    }

    fn left(&mut self, _at: &Path, node: Node<'_>) {
        self.inside -= usize::from(matches!(node, Node::TextSpan(_)));
    }

    fn string(&mut self, _at: &Path, _rules: &Rules, value: &mut String) {
        if self.inside > 0 {
            value.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::v1::{Article, Event, Evidence, Mention, TextSpan};

    fn span() -> TextSpan {
        TextSpan {
            start: 3,
            end: 9,
            exact: "Eagle".into(),
            ..TextSpan::default()
        }
    }

    #[test]
    fn the_metadata_view_has_no_copied_text_and_keeps_where_it_stood() {
        let mention = Mention {
            span: Some(span()),
            target: "actors/nato".into(),
            score: None,
        };
        let mut record = Record::from(Body::Article(Article {
            headline: "Steppe Eagle".into(),
            body: "Copyright".into(),
            mentions: vec![mention],
            ..Article::default()
        }));
        redact(&mut record);
        let Some(Body::Article(article)) = record.kind else {
            panic!("still an article")
        };
        assert_eq!(
            (article.headline.as_str(), article.body.as_str()),
            ("Steppe Eagle", "")
        );
        let left = article.mentions[0].span.as_ref().unwrap();
        assert_eq!((left.start, left.end, left.exact.as_str()), (3, 9, ""));
        assert_eq!(article.mentions[0].target, "actors/nato");
    }

    #[test]
    fn quotes_of_evidence_go_and_notes_stay() {
        let evidence = Evidence {
            quote: Some(span()),
            note: "read between the lines".into(),
            ..Evidence::default()
        };
        let mut record = Record::from(Body::Event(Event {
            display_name: "Steppe Eagle".into(),
            evidence: vec![evidence],
            ..Event::default()
        }));
        redact(&mut record);
        let evidence = &record.kind.as_ref().unwrap().evidence().unwrap()[0];
        assert_eq!(evidence.quote.as_ref().unwrap().exact, "");
        assert_eq!(evidence.note, "read between the lines");
    }
}
