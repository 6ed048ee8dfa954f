//! `dateline token`: creates, lists, changes and revokes tokens.

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use dateline_client::Failure;
use dateline_proto::v1::{
    self, CreateTokenRequest, ListTokensRequest, RevokeTokenRequest, Token, UpdateTokenRequest,
};
use prost_types::Timestamp;

use super::{
    Server,
    confirm::{Confirmation, confirm},
    json,
    output::{self, OutputFormat, print_message, printable},
    table::Table,
    time_arg,
};

/// Maximum number of names tried for a token without a name.
const MAX_NAMES: u32 = 100;

/// `dateline token`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    act: TokenCommand,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token and print it; it cannot be printed again
    #[command(after_help = "Example:
  dateline token create --role exporter --scope lang:en --expires +90d > exporter.token")]
    Create {
        #[command(flatten)]
        grant: GrantArgs,
        /// Name of the holder, and author of its writes [default: the first role, with a number if that is taken]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Expiry, within a year: 2027-01-31T00:00:00Z, or a time from now, +90d
        #[arg(long, value_name = "TIME", value_parser = time_arg::parse)]
        expires: Timestamp,
    },
    /// List tokens, newest first, without their secrets
    List {
        /// Also revoked and expired tokens
        #[arg(long)]
        all: bool,
        /// Output format
        #[arg(
            short,
            long,
            value_enum,
            default_value = "table",
            value_name = "FORMAT"
        )]
        output: OutputFormat,
    },
    /// Change the roles, scope or expiry of a token; its open streams end within 5 s and can be opened again
    Update {
        /// Id of the token: the eight letters after `dateline_`
        id: String,
        #[command(flatten)]
        grant: GrantArgs,
        /// Expiry; unchanged if not given
        #[arg(long, value_name = "TIME", value_parser = time_arg::parse)]
        expires: Option<Timestamp>,
    },
    /// Revoke tokens, and end their open streams within 5 s
    Revoke {
        /// Ids of the tokens: the eight letters after `dateline_`
        #[arg(required = true)]
        ids: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

/// The permissions of a token.
#[derive(Debug, clap::Args)]
struct GrantArgs {
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
    scope: Vec<String>,
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
    fn roles(&self) -> Vec<i32> {
        self.roles
            .iter()
            .map(|role| role.to_proto().into())
            .collect()
    }
}

/// Runs the subcommand.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let server = &args.server;
    match args.act {
        TokenCommand::Create {
            grant,
            name,
            expires,
        } => create(server, &grant, name, expires).await,
        TokenCommand::List { all, output } => list(server, all, output).await,
        TokenCommand::Update { id, grant, expires } => update(server, id, &grant, expires).await,
        TokenCommand::Revoke { ids, yes } => revoke(server, ids, yes).await,
    }
}

async fn create(
    server: &Server,
    grant: &GrantArgs,
    name: Option<String>,
    expires: Timestamp,
) -> Result<ExitCode> {
    let roles = grant.roles();
    let first = roles
        .first()
        .and_then(|role| v1::Role::try_from(*role).ok());
    let role = first.map(role_word).unwrap_or_default();
    let mut request = CreateTokenRequest {
        name: name.clone().unwrap_or_else(|| role.clone()),
        roles,
        scope: grant.scope.clone(),
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

async fn list(server: &Server, all: bool, format: OutputFormat) -> Result<ExitCode> {
    let mut client = server.connect().await?;
    let mut request = ListTokensRequest {
        show_ended: all,
        ..ListTokensRequest::default()
    };
    let mut tokens = Vec::new();
    loop {
        let answer = client.admin.list_tokens(request.clone()).await;
        let answer = answer.map_err(Failure::from)?.into_inner();
        tokens.extend(answer.tokens);
        if answer.next_page_token.is_empty() {
            break;
        }
        request.page_token = answer.next_page_token;
    }
    if format != OutputFormat::Table {
        let tokens: Vec<_> = tokens.iter().map(json::document).collect();
        output::documents(format, &tokens, false)?;
        return Ok(ExitCode::SUCCESS);
    }
    if tokens.is_empty() {
        print_message("there are no tokens");
        return Ok(ExitCode::SUCCESS);
    }
    let header = [
        "ID",
        "NAME",
        "ROLES",
        "SCOPE",
        "EXPIRES",
        "LAST USED",
        "MADE BY",
    ];
    let mut table = Table::new(&header);
    for token in &tokens {
        let end = match &token.revoke_time {
            Some(time) => format!("revoked {}", time_of(Some(time))),
            None => time_of(token.expire_time.as_ref()),
        };
        table.add_row([
            token.id.clone(),
            printable(&token.name),
            roles_of(token),
            printable(&token.scope.join(" ")),
            end,
            token
                .last_use_time
                .as_ref()
                .map_or("never".to_owned(), |time| time_of(Some(time))),
            printable(&token.created_by),
        ]);
    }
    writeln!(anstream::stdout().lock(), "{table}")?;
    Ok(ExitCode::SUCCESS)
}

async fn update(
    server: &Server,
    id: String,
    grant: &GrantArgs,
    expires: Option<Timestamp>,
) -> Result<ExitCode> {
    let request = UpdateTokenRequest {
        id: id_of(&id)?,
        roles: grant.roles(),
        scope: grant.scope.clone(),
        expire_time: expires,
    };
    let mut client = server.connect().await?;
    let answer = client.admin.update_token(request).await;
    let token = answer
        .map_err(Failure::from)?
        .into_inner()
        .token
        .unwrap_or_default();
    print_message(format_args!(
        "token {} of {}: {} {}, until {}",
        token.id,
        token.name,
        roles_of(&token),
        printable(&token.scope.join(" ")),
        time_of(token.expire_time.as_ref()),
    ));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(server: &Server, ids: Vec<String>, yes: bool) -> Result<ExitCode> {
    let ids: Vec<_> = ids.iter().map(|id| id_of(id)).collect::<Result<_>>()?;
    if !yes {
        let what = format!("This ends {} for good.", ids.join(", "));
        confirm(&Confirmation {
            unasked: &format!("{what} Say --yes if that is meant."),
            warning: &what,
            prompt: "Type revoke to go on: ",
            answer: "revoke",
            otherwise: "nothing was changed",
        })?;
    }
    let mut client = server.connect().await?;
    for id in ids {
        let answer = client.admin.revoke_token(RevokeTokenRequest { id }).await;
        let token = answer
            .map_err(Failure::from)?
            .into_inner()
            .token
            .unwrap_or_default();
        print_message(format_args!(
            "token {} of {} is revoked",
            token.id, token.name
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The id in a text that may hold more of a token; a whole token is neither sent nor printed.
fn id_of(text: &str) -> Result<String> {
    let id = text.trim_start_matches("dateline_");
    let id = id.split('_').next().unwrap_or_default();
    if id.len() != 8 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!(
            "a token's id is the eight letters after dateline_; `dateline token list` shows them"
        );
    }
    Ok(id.to_owned())
}

fn roles_of(token: &Token) -> String {
    token.roles().map(role_word).collect::<Vec<_>>().join(", ")
}

fn role_word(role: v1::Role) -> String {
    role.as_str_name()
        .trim_start_matches("ROLE_")
        .to_ascii_lowercase()
}

fn time_of(time: Option<&Timestamp>) -> String {
    time.map(time_arg::format_time).unwrap_or_default()
}
