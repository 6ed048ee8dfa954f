//! The flags of a `RecordFilter`, shared by every command that takes one.

use clap::ValueEnum;
use dateline_client::Failure;
use dateline_proto::v1::{Kind, RecordFilter, State, View, record_filter::TimeRange};

/// Record filter. Flattened last, so that its heading covers no other flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
#[command(
    next_help_heading = "Filter: values of one option are alternatives, and all options must hold"
)]
pub struct Args {
    /// Kind of record
    #[arg(long, value_enum, value_name = "KIND", ignore_case = true)]
    kind: Vec<KindArg>,
    /// Type in lower case, such as person, `member_of` or meeting
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Editorial state
    #[arg(long, value_enum, value_name = "STATE", ignore_case = true)]
    state: Vec<StateArg>,
    /// Actor named by the record, such as actors/nato
    #[arg(long, value_name = "NAME")]
    actor: Vec<String>,
    /// ISO 3166-1 or 3166-2 code, such as KZ or US-FL
    #[arg(long, value_name = "CODE")]
    region: Vec<String>,
    /// Topic id or code, such as humanitarian-aid
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Language of articles, such as en
    #[arg(long, value_name = "TAG")]
    language: Vec<String>,
    /// Article cited by the record, such as articles/some-story
    #[arg(long, value_name = "NAME")]
    article: Vec<String>,
    /// Possibly held or happened on or after this day, such as 2021-06-01
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Possibly held or happened on or before this day
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum KindArg {
    Article,
    Actor,
    Relation,
    Event,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Article => Kind::Article,
            KindArg::Actor => Kind::Actor,
            KindArg::Relation => Kind::Relation,
            KindArg::Event => Kind::Event,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    Draft,
    // Also accept the spelling that is printed.
    #[value(alias = "in_review", alias = "in review")]
    InReview,
    Embargoed,
    Published,
    Retracted,
    Merged,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Draft => State::Draft,
            StateArg::InReview => State::InReview,
            StateArg::Embargoed => State::Embargoed,
            StateArg::Published => State::Published,
            StateArg::Retracted => State::Retracted,
            StateArg::Merged => State::Merged,
        }
    }
}

impl Args {
    /// The filter of the flags.
    #[must_use]
    pub fn to_filter(&self) -> RecordFilter {
        let time = (self.from.is_some() || self.to.is_some()).then(|| TimeRange {
            earliest: self.from.clone().unwrap_or_default(),
            latest: self.to.clone().unwrap_or_default(),
        });
        RecordFilter {
            kinds: self
                .kind
                .iter()
                .map(|kind| Kind::from(*kind).into())
                .collect(),
            types: self.types.iter().map(|word| type_word(word)).collect(),
            states: self
                .state
                .iter()
                .map(|state| State::from(*state).into())
                .collect(),
            actors: self.actor.clone(),
            regions: self.region.clone(),
            topics: self.topic.clone(),
            language_codes: self.language.clone(),
            articles: self.article.clone(),
            time,
        }
    }

    /// An error for a filter that no record of the wire feed can match: an empty result would mislead.
    #[must_use]
    pub fn misuse(&self, view: View) -> Option<String> {
        let hidden = [StateArg::Draft, StateArg::InReview, StateArg::Embargoed];
        let asked = self.state.iter().find(|state| hidden.contains(state));
        let asked = asked.filter(|_| view != View::Desk)?.to_possible_value()?;
        let state = asked.get_name();
        Some(format!(
            "--state {state}: readers never see such records; add --view desk"
        ))
    }

    /// Rewrites a rejected filter in terms of flags: `--region kz`, not `filter.regions[0]`.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        let lists = [
            ("types", "--type", &self.types),
            ("actors", "--actor", &self.actor),
            ("regions", "--region", &self.region),
            ("topics", "--topic", &self.topic),
            ("language_codes", "--language", &self.language),
            ("articles", "--article", &self.article),
        ];
        failure.map_fields(|field| {
            let path = field.strip_prefix("filter.").unwrap_or(field);
            let element = path
                .split_once('[')
                .and_then(|(list, rest)| Some((list, rest.strip_suffix(']')?)));
            let given = element.and_then(|(list, index)| {
                let (_, flag, values) = lists.iter().find(|(name, ..)| *name == list)?;
                Some(format!(
                    "{flag} {}",
                    values.get(index.parse::<usize>().ok()?)?
                ))
            });
            given.unwrap_or_else(|| match path {
                "time.earliest" => format!("--from {}", self.from.as_deref().unwrap_or_default()),
                "time.latest" => format!("--to {}", self.to.as_deref().unwrap_or_default()),
                "cursor" => "--since".to_owned(),
                _ => field.to_owned(),
            })
        })
    }
}

/// Normalises a type to the spelling of filters, from that of the schema or of a person.
fn type_word(word: &str) -> String {
    let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    word.strip_prefix("type_")
        .map(str::to_owned)
        .unwrap_or(word)
}

/// The view to read: published records only, or the desk's, with every record in every state.
#[allow(missing_docs, reason = "said above")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ViewArg {
    #[default]
    Published,
    Desk,
}

impl From<ViewArg> for View {
    fn from(view: ViewArg) -> Self {
        match view {
            ViewArg::Published => View::Published,
            ViewArg::Desk => View::Desk,
        }
    }
}
