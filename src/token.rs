//! `dateline token`: creates, lists, changes and revokes tokens.

use std::{io::Write, process::ExitCode};

use anyhow::{Result, bail};
use clap::Subcommand;
use dateline_client::Failure;
use dateline_proto::v1::{ListTokensRequest, RevokeTokenRequest, UpdateTokenRequest};
use dateline_serve::token::{CreateArgs, GrantArgs, create, roles_of, time_of};
use prost_types::Timestamp;

use super::{
    Server,
    confirm::{Confirmation, confirm},
    json,
    output::{self, OutputFormat, print_message, printable},
    table::Table,
    time_arg,
};

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
    Create(CreateArgs),
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

/// Runs the subcommand.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let server = &args.server;
    match args.act {
        TokenCommand::Create(args) => create(server, args).await,
        TokenCommand::List { all, output } => list(server, all, output).await,
        TokenCommand::Update { id, grant, expires } => update(server, id, &grant, expires).await,
        TokenCommand::Revoke { ids, yes } => revoke(server, ids, yes).await,
    }
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
