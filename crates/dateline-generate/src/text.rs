//! Text built sentence by sentence, with the position of each sentence and each name in it, in code points.

use dateline_proto::v1::{Mention, TextSpan, text_span::Part};

use super::{actor::ActorProfile, languages::Language, rng::SeededRng};

/// Headline or body of an article under construction.
pub(super) struct Text {
    part: Part,
    language: &'static Language,
    pub written: String,
    /// Length so far, in code points.
    length: i32,
    /// Mentions of actors.
    pub mentions: Vec<Mention>,
}

/// Values for the placeholders of a template.
pub(super) struct TemplateArgs<'a> {
    /// `{a}` and `{b}`, and whether a mention links to their record.
    pub actors: [(&'a ActorProfile, bool); 2],
    /// `{d}`
    pub date: &'a str,
}

impl Text {
    pub(super) fn new(part: Part, language: &'static Language) -> Self {
        Self {
            part,
            language,
            written: String::new(),
            length: 0,
            mentions: Vec::new(),
        }
    }

    /// Writes the separator of sentences or paragraphs.
    pub(super) fn space(&mut self, between: &str) {
        if !self.written.is_empty() {
            self.push(between);
        }
    }

    /// Writes a sentence; returns its span.
    pub(super) fn sentence(
        &mut self,
        template: &str,
        about: &TemplateArgs<'_>,
        rng: &mut SeededRng,
    ) -> TextSpan {
        let (start, offset) = (self.length, self.written.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            self.push(before);
            let (field, after) = after.split_once('}').unwrap_or((after, ""));
            self.fill(field, about, rng);
            rest = after;
        }
        self.push(rest);
        self.span(start, offset)
    }

    fn fill(&mut self, field: &str, about: &TemplateArgs<'_>, rng: &mut SeededRng) {
        match field {
            "a" => self.mention(about.actors[0], rng),
            "b" => self.mention(about.actors[1], rng),
            "c" => self.push(rng.pick(self.language.cities).0),
            "d" => self.push(about.date),
            _ => self.push(&rng.between(2, 4000).to_string()),
        }
    }

    fn mention(&mut self, (actor, is_linked): (&ActorProfile, bool), rng: &mut SeededRng) {
        let (start, offset) = (self.length, self.written.len());
        self.push(actor.written_in(self.language));
        self.mentions.push(Mention {
            span: Some(self.span(start, offset)),
            target: if is_linked {
                actor.name.clone()
            } else {
                String::new()
            },
            // A score as of automatic detection; in sixteenths, which JSON represents exactly.
            score: rng
                .one_in(3)
                .then(|| f32::from(8 + u8::try_from(rng.below(9)).unwrap_or(0)) / 16.0),
        });
    }

    fn push(&mut self, text: &str) {
        self.written.push_str(text);
        self.length += i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
    }

    fn span(&self, start: i32, offset: usize) -> TextSpan {
        TextSpan {
            part: self.part.into(),
            start,
            end: self.length,
            exact: self.written[offset..].to_owned(),
            ..TextSpan::default()
        }
    }
}
