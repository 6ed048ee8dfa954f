//! `token create`: creates a token.

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result};
use clap::ValueEnum;
use dateline_client::Failure;
use dateline_proto::v1::{self, CreateTokenRequest, Token};
use prost_types::Timestamp;

use super::{connection::Server, terminal::print_message, time_arg};

/// Maximum number of names tried for a token without a name.
const MAX_NAMES: u32 = 100;

/// The flags of `token create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    #[command(flatten)]
    grant: GrantArgs,
    /// Name of the holder, and author of its writes [default: the first role, with a number if that is taken]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Expiry, within a year: 2027-01-31T00:00:00Z, or a time from now, +90d
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse)]
    expires: Timestamp,
}

/// The permissions of a token.
#[derive(Debug, clap::Args)]
pub struct GrantArgs {
    /// Roles, separated by commas
    #[arg(
        long = "role",
        value_enum,
        required = true,
        value_delimiter = ',',
        value_name = "ROLE"
    )]
    roles: Vec<RoleArg>,
    /// Scope, such as kind:event or lang:en; of several with the same key, one must match
    #[arg(long, value_delimiter = ',', value_name = "FACET")]
    pub scope: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Reads and follows published records
    Reader,
    /// Also reads the desk feed, creates drafts and submits them
    Editor,
    /// Like editor; also publishes, sends back, corrects, retracts, merges, restores
    Publisher,
    /// Reads published records, and exports them
    Exporter,
    /// Reads the desk feed; purges, compacts, loads; creates tokens; reads the audit log
    Admin,
}

impl RoleArg {
    fn to_proto(self) -> v1::Role {
        match self {
            Self::Reader => v1::Role::Reader,
            Self::Editor => v1::Role::Editor,
            Self::Publisher => v1::Role::Publisher,
            Self::Exporter => v1::Role::Exporter,
            Self::Admin => v1::Role::Admin,
        }
    }
}

impl GrantArgs {
    /// Returns the roles as they are sent.
    #[must_use]
    pub fn roles(&self) -> Vec<i32> {
        self.roles
            .iter()
            .map(|role| role.to_proto().into())
            .collect()
    }
}

/// Creates a token and prints it.
///
/// # Errors
/// If the server refuses it, or stdout is closed.
pub async fn create(server: &Server, args: CreateArgs) -> Result<ExitCode> {
    let CreateArgs {
        grant,
        name,
        expires,
    } = args;
    let roles = grant.roles();
    let first = roles
        .first()
        .and_then(|role| v1::Role::try_from(*role).ok());
    let role = first.map(role_word).unwrap_or_default();
    let mut request = CreateTokenRequest {
        name: name.clone().unwrap_or_else(|| role.clone()),
        roles,
        scope: grant.scope,
        expire_time: Some(expires),
    };
    let mut client = server.connect().await?;
    let mut number = 1;
    let answer = loop {
        match client.admin.create_token(request.clone()).await {
            Ok(answer) => break answer.into_inner(),
            // The default name is taken: try the next one.
            Err(status)
                if status.code() == tonic::Code::AlreadyExists
                    && name.is_none()
                    && number < MAX_NAMES =>
            {
                number += 1;
                request.name = format!("{role}-{number}");
            }
            Err(status) => return Err(Failure::from(status).into()),
        }
    };
    let token = answer.token.unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", answer.secret)?;
    out.flush()
        .context("the token is made, but could not be printed; revoke it, and make another")?;
    print_message(format_args!(
        "token {} of {}: {}, until {}. It cannot be shown again: put it into a file, and say --token-file FILE.",
        token.id,
        token.name,
        roles_of(&token),
        time_of(token.expire_time.as_ref()),
    ));
    Ok(ExitCode::SUCCESS)
}

/// Formats the roles of a token.
#[must_use]
pub fn roles_of(token: &Token) -> String {
    token.roles().map(role_word).collect::<Vec<_>>().join(", ")
}

fn role_word(role: v1::Role) -> String {
    role.as_str_name()
        .trim_start_matches("ROLE_")
        .to_ascii_lowercase()
}

/// Formats a time of a token; empty without one.
#[must_use]
pub fn time_of(time: Option<&Timestamp>) -> String {
    time.map(time_arg::format_time).unwrap_or_default()
}
