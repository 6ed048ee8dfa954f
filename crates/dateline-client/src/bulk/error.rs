//! The reason why a bulk write ended.

use std::fmt;

use crate::Failure;

/// The reason why a bulk write ended.
#[derive(Debug)]
pub enum Error {
    /// A call failed.
    Failure(Box<Failure>),
    /// Records that cannot be sent as they are.
    Records(String),
}

impl Error {
    /// The failed call, if there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            Self::Records(_) => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(failure) => failure.fmt(out),
            Self::Records(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
