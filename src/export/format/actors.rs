//! What is remembered of actors while they pass by: enough to say who is meant where another record only
//! names them. An export goes through kinds in the order of their collections, so actors come first.

use std::collections::HashMap;

use crate::{
    model::encoded::{Encoded, NoRecord},
    proto::v1::{Actor, Kind, actor::Type, record::Kind as Body},
};

/// Actors by name; some tens of bytes and two short texts each.
#[derive(Debug, Default)]
pub struct Actors {
    by_name: HashMap<Box<str>, Known>,
}

/// What is known of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What to show.
    pub display_name: Box<str>,
    /// What sort of actor it is.
    pub r#type: Type,
    /// ISO 3166-1 alpha-2; empty if none.
    pub region_code: Box<str>,
}

impl Actors {
    /// Remembers a record if it is an actor. A tombstone forgets what was known.
    ///
    /// # Errors
    /// When it is none after all.
    pub fn note(&mut self, record: &Encoded) -> Result<(), NoRecord> {
        if record.kind() != Kind::Actor {
            return Ok(());
        }
        if record.is_tombstone() {
            self.by_name.remove(record.name());
        } else if let Body::Actor(actor) = record.body()? {
            self.by_name
                .insert(record.name().into(), Known::from(actor));
        }
        Ok(())
    }

    /// What is known of an actor; `None` if it has not passed by.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.by_name.get(name)
    }
}

impl From<&Actor> for Known {
    fn from(actor: &Actor) -> Self {
        Self {
            display_name: actor.display_name.as_str().into(),
            r#type: actor.r#type(),
            region_code: actor.region_code.as_str().into(),
        }
    }
}
