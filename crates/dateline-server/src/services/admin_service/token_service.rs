//! API tokens over gRPC: create, list, update and revoke. `dateline_access` decides which roles and scopes are valid.

use dateline_access::{Caller, Role, Scope, new_token};
use dateline_proto::v1::{
    self, CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse,
    RevokeTokenRequest, Token, UpdateTokenRequest,
};
use dateline_record::timestamp::timestamp;
use dateline_store::{FeedIdentity, Store, StoredToken, TokenOutcome};
use secrecy::ExposeSecret;
use time::{Duration, OffsetDateTime};
use tonic::{Code, Status};

use crate::{
    middleware::backpressure::MAX_RESPONSE_BYTES,
    services::page_token::PageContext,
    services::request::{parse_time, validate_request},
    status::{self, Reason},
};

/// Most tokens on a page.
const MAX_PAGE_SIZE: i64 = 1000;
/// Longest lifetime of a token: a year and a day, so that "in a year" is valid despite leap years and clock skew.
const MAX_LIFETIME: Duration = Duration::days(367);

/// Creates a token, and returns its secret, which cannot be read again.
///
/// # Errors
/// `INVALID_ARGUMENT` with all violations.
pub async fn create(
    store: &Store,
    caller: &Caller,
    mut request: CreateTokenRequest,
) -> Result<CreateTokenResponse, Status> {
    validate_request(&mut request, Reason::InvalidRequest)?;
    let (roles, scope) = check_roles_and_scope(&request.roles, &request.scope)?;
    let expires_at =
        truncate_to_micros(check_expiry(request.expire_time)?.unwrap_or(OffsetDateTime::now_utc()));
    let (by, now) = (
        caller.attribution(),
        truncate_to_micros(OffsetDateTime::now_utc()),
    );
    let new = new_token().ok_or_else(no_randomness_error)?;
    let token = StoredToken {
        id: new.id,
        secret_sha256: new.hash.to_vec(),
        name: request.name,
        roles,
        scope,
        created_at: now,
        created_by: by.author.clone(),
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let created = store.create_token(&token, &by).await;
    if !created.map_err(|error| status::store(&error))? {
        return Err(name_taken_error(&token.name));
    }
    tracing::info!(
        id = token.id,
        name = token.name,
        by = by.author,
        "a token was made"
    );
    Ok(CreateTokenResponse {
        token: Some(to_proto(token)),
        secret: new.secret.expose_secret().to_owned(),
    })
}

/// Returns a page of tokens.
///
/// # Errors
/// `INVALID_ARGUMENT`, or the store's error.
pub async fn list(
    store: &Store,
    identity: &FeedIdentity,
    mut request: ListTokensRequest,
) -> Result<ListTokensResponse, Status> {
    validate_request(&mut request, Reason::InvalidRequest)?;
    let page_context = PageContext::new(&ListTokensRequest {
        show_ended: request.show_ended,
        ..ListTokensRequest::default()
    });
    let after = page_context.decode_token(identity, &request.page_token)?;
    let limit = match request.page_size {
        0 => MAX_PAGE_SIZE,
        size => i64::from(size).min(MAX_PAGE_SIZE),
    };
    let listed = store
        .list_tokens(
            request.show_ended,
            parse_page_position(&after),
            limit,
            MAX_RESPONSE_BYTES,
        )
        .await;
    let (tokens, has_more) = listed.map_err(|error| status::store(&error))?;
    let last = tokens.last().filter(|_| has_more);
    let next_page_token = last.map(|last| {
        let micros = last.created_at.unix_timestamp_nanos() / 1000;
        page_context.encode_token(identity, &format!("{micros} {}", last.id))
    });
    Ok(ListTokensResponse {
        tokens: tokens.into_iter().map(to_proto).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
    })
}

/// Parses the position of a page: the creation time (in microseconds) and the id of the last token on the page before.
fn parse_page_position(text: &str) -> Option<(OffsetDateTime, String)> {
    let (micros, id) = text.split_once(' ')?;
    let nanos = micros.parse::<i128>().ok()?.checked_mul(1000)?;
    let made = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    Some((made, id.to_owned()))
}

/// Changes roles, scope and expiry of a token.
///
/// # Errors
/// `INVALID_ARGUMENT`, `NOT_FOUND`, or `LAST_ADMIN`.
pub async fn update(
    store: &Store,
    caller: &Caller,
    mut request: UpdateTokenRequest,
) -> Result<Token, Status> {
    validate_request(&mut request, Reason::InvalidRequest)?;
    let (roles, scope) = check_roles_and_scope(&request.roles, &request.scope)?;
    let expires_at = check_expiry(request.expire_time)?;
    let id = &request.id;
    let changed = store
        .update_token(id, &roles, &scope, expires_at, &caller.attribution())
        .await;
    revoked_token(id, changed.map_err(|error| status::store(&error))?)
}

/// Revokes a token.
///
/// # Errors
/// `NOT_FOUND`, or `LAST_ADMIN`.
pub async fn revoke(
    store: &Store,
    caller: &Caller,
    mut request: RevokeTokenRequest,
) -> Result<Token, Status> {
    validate_request(&mut request, Reason::InvalidRequest)?;
    let revoked = store.revoke_token(&request.id, &caller.attribution()).await;
    revoked_token(&request.id, revoked.map_err(|error| status::store(&error))?)
}

fn name_taken_error(name: &str) -> Status {
    let message = format!("there is a token of the name {name} that holds; take another name");
    status::plain(Code::AlreadyExists, Reason::NameTaken, message)
}

fn revoked_token(id: &str, outcome: TokenOutcome) -> Result<Token, Status> {
    match outcome {
        TokenOutcome::Done(token) => Ok(to_proto(*token)),
        TokenOutcome::Unknown => {
            let message = format!("there is no token {id} that holds");
            Err(status::plain(
                Code::NotFound,
                Reason::TokenNotFound,
                message,
            ))
        }
        TokenOutcome::NameTaken => {
            let message =
                format!("another token has the name of token {id} by now; make a new one");
            Err(status::plain(
                Code::AlreadyExists,
                Reason::NameTaken,
                message,
            ))
        }
        TokenOutcome::LastAdmin => {
            let message = "nobody could make tokens any more, or not for long; make another token for an admin first";
            let code = Code::FailedPrecondition;
            Err(status::plain(code, Reason::LastAdmin, message))
        }
    }
}

/// Returns the names of roles and the entries of the scope, if they are valid together.
fn check_roles_and_scope(
    roles: &[i32],
    scope: &[String],
) -> Result<(Vec<String>, Vec<String>), Status> {
    let roles = roles
        .iter()
        .filter_map(|role| v1::Role::try_from(*role).ok());
    let mut roles: Vec<_> = roles.filter_map(Role::from_proto).collect();
    roles.sort();
    roles.dedup();
    let scope = Scope::new(scope, &roles)
        .map_err(|what| status::invalid_field(Reason::InvalidRequest, "scope", &what))?;
    let roles = roles.iter().map(|role| role.as_str().to_owned());
    Ok((roles.collect(), scope.entries().to_vec()))
}

fn check_expiry(time: Option<prost_types::Timestamp>) -> Result<Option<OffsetDateTime>, Status> {
    let Some(time) = time.map(parse_time).transpose()? else {
        return Ok(None);
    };
    let now = OffsetDateTime::now_utc();
    let wrong = |what| {
        Err(status::invalid_field(
            Reason::InvalidRequest,
            "expire_time",
            what,
        ))
    };
    if time <= now {
        return wrong("must lie in the future");
    }
    if time > now + MAX_LIFETIME {
        return wrong("must be within a year from now");
    }
    Ok(Some(time))
}

/// Truncates a time to microseconds, the resolution of the database.
fn truncate_to_micros(time: OffsetDateTime) -> OffsetDateTime {
    time - Duration::nanoseconds(i64::from(time.nanosecond() % 1000))
}

fn no_randomness_error() -> Status {
    let error = std::io::Error::other("the system has no randomness");
    status::internal(&error)
}

fn to_proto(token: StoredToken) -> Token {
    let roles = token.roles.iter().filter_map(|role| Role::parse(role));
    Token {
        roles: roles.map(|role| role.to_proto().into()).collect(),
        id: token.id,
        name: token.name,
        scope: token.scope,
        create_time: Some(timestamp(token.created_at)),
        created_by: token.created_by,
        expire_time: Some(timestamp(token.expires_at)),
        revoke_time: token.revoked_at.map(timestamp),
        last_use_time: token.last_used_at.map(timestamp),
    }
}
