//! API tokens: creates, reads, updates and revokes them. The transaction of each change also writes its audit entry.

use dateline_engine::request::Attribution;
use time::{Duration, OffsetDateTime};

use super::{
    Error, Store, audit,
    pool::{Lease, Transaction},
};

/// Most bytes of a token in a list besides its scope and its author.
const TOKEN_BYTES: i64 = 256;

/// Validity that another admin token must still have before the last but one is revoked: long enough to create more
/// with it.
const MIN_REMAINING_VALIDITY: Duration = Duration::minutes(10);

/// A stored token, without its secret.
#[derive(Clone)]
pub struct StoredToken {
    /// Id of the token.
    pub id: String,
    /// SHA-256 of the whole token.
    pub secret_sha256: Vec<u8>,
    /// Author of writes made with it.
    pub name: String,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// Restrictions of its scope.
    pub scope: Vec<String>,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Author of its creation.
    pub created_by: String,
    /// Time of expiry.
    pub expires_at: OffsetDateTime,
    /// Time of revocation.
    pub revoked_at: Option<OffsetDateTime>,
    /// Time of last use, accurate to about a minute.
    pub last_used_at: Option<OffsetDateTime>,
}

impl std::fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredToken")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Outcome of changing or revoking a token.
#[derive(Debug)]
pub enum TokenOutcome {
    /// The token was changed or revoked.
    Done(Box<StoredToken>),
    /// There is no token of this id.
    Unknown,
    /// No admin token would be left.
    LastAdmin,
    /// Another valid token has its name.
    NameTaken,
}

/// Latest expiry of the tokens that are valid now.
#[derive(Debug, Clone, Copy)]
pub struct TokenExpiries {
    /// Of admin tokens.
    pub admin: Option<OffsetDateTime>,
    /// Of all tokens.
    pub any: Option<OffsetDateTime>,
}

impl Store {
    /// Returns the token of an id.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn find_token(&self, id: &str) -> Result<Option<StoredToken>, Error> {
        Ok(self.read_tokens(&[id.to_owned()]).await?.pop())
    }

    /// Returns the tokens of these ids, in no particular order.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn read_tokens(&self, ids: &[String]) -> Result<Vec<StoredToken>, Error> {
        let tokens = sqlx::query_as!(
            StoredToken,
            "SELECT id, secret_sha256, name, roles, scope, created_at, created_by, expires_at, revoked_at, last_used_at
             FROM tokens
             WHERE id = ANY ($1)",
            ids,
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        Ok(tokens)
    }

    /// Returns at most `limit` tokens after a position that fit into this many bytes, newest first, and true if there
    /// are more. The first one is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn list_tokens(
        &self,
        with_ended: bool,
        after: Option<(OffsetDateTime, String)>,
        limit: i64,
        bytes: usize,
    ) -> Result<(Vec<StoredToken>, bool), Error> {
        let (created_at, id) = after.unzip();
        let rows = sqlx::query!(
            r#"SELECT id, secret_sha256, name, roles, scope, created_at, created_by, expires_at, revoked_at, last_used_at,
                      has_more AS "has_more!"
               FROM (
                   SELECT *, sum(bytes) OVER newest AS upto, lead(id) OVER newest IS NOT NULL AS has_more
                   FROM (
                       SELECT *, octet_length(array_to_string(scope, '  ')) + octet_length(created_by) + $6::bigint AS bytes
                       FROM tokens
                       WHERE ($1 OR (revoked_at IS NULL AND expires_at > now()))
                           AND ($2::timestamptz IS NULL OR created_at < $2 OR created_at = $2 AND id > $3)
                   ) AS weighed
                   WINDOW newest AS (ORDER BY created_at DESC, id)
                   ORDER BY created_at DESC, id
                   LIMIT $4
               ) AS found
               WHERE upto <= $5::bigint OR upto = bytes
               ORDER BY created_at DESC, id"#,
            with_ended,
            created_at,
            id,
            limit,
            i64::try_from(bytes).unwrap_or(i64::MAX),
            TOKEN_BYTES,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        let has_more = rows.last().is_some_and(|row| row.has_more);
        let tokens = rows.into_iter().map(|row| StoredToken {
            id: row.id,
            secret_sha256: row.secret_sha256,
            name: row.name,
            roles: row.roles,
            scope: row.scope,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        });
        Ok((tokens.collect(), has_more))
    }

    /// Stores a new token. Returns false if another valid token has its name.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn create_token(&self, token: &StoredToken, by: &Attribution) -> Result<bool, Error> {
        let mut transaction = self.lock_tokens().await?;
        if is_name_taken(&mut transaction, &token.name, &token.id).await? {
            return Ok(false);
        }
        insert(&mut transaction, token).await?;
        audit::insert_audit_entry(&mut transaction, by, "done", &audit_details(token)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores an admin token unless there is one already; returns false then.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn create_first_admin(
        &self,
        token: &StoredToken,
        by: &Attribution,
    ) -> Result<bool, Error> {
        let mut transaction = self.lock_tokens().await?;
        if admin_beside(&mut transaction, "").await?.is_some() {
            return Ok(false);
        }
        let mut token = token.clone();
        if is_name_taken(&mut transaction, &token.name, &token.id).await? {
            token.name = format!("{}-{}", token.name, token.id);
        }
        insert(&mut transaction, &token).await?;
        audit::insert_audit_entry(&mut transaction, by, "done", &audit_details(&token)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Changes the roles, scope and expiry of a token; [`TokenOutcome::Unknown`] if there is none, or it is revoked.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn update_token(
        &self,
        id: &str,
        roles: &[String],
        scope: &[String],
        expires_at: Option<OffsetDateTime>,
        by: &Attribution,
    ) -> Result<TokenOutcome, Error> {
        let mut transaction = self.lock_tokens().await?;
        let is_admin = roles.iter().any(|role| role == "admin");
        let held = admin_end(&mut transaction, id).await?;
        let ends_sooner = |held| !is_admin || expires_at.is_some_and(|end| end < held);
        if let Some(held) = held.filter(|held| ends_sooner(*held))
            && !is_spare(&mut transaction, id, held).await?
        {
            return Ok(TokenOutcome::LastAdmin);
        }
        if let Some(name) = name_of(&mut transaction, id).await?
            && is_name_taken(&mut transaction, &name, id).await?
        {
            return Ok(TokenOutcome::NameTaken);
        }
        let changed = sqlx::query_as!(
            StoredToken,
            "UPDATE tokens SET roles = $2, scope = $3, expires_at = coalesce($4, expires_at),
                 lapsed = lapsed AND $4 IS NULL
             WHERE id = $1 AND revoked_at IS NULL
             RETURNING id, secret_sha256, name, roles, scope, created_at, created_by, expires_at, revoked_at,
                 last_used_at",
            id,
            roles,
            scope,
            expires_at,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        finish(transaction, changed, by).await
    }

    /// Revokes a token for good. A token that was revoked before is returned unchanged.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn revoke_token(&self, id: &str, by: &Attribution) -> Result<TokenOutcome, Error> {
        let mut transaction = self.lock_tokens().await?;
        if let Some(held) = admin_end(&mut transaction, id).await?
            && !is_spare(&mut transaction, id, held).await?
        {
            return Ok(TokenOutcome::LastAdmin);
        }
        let changed = sqlx::query_as!(
            StoredToken,
            "UPDATE tokens SET revoked_at = coalesce(revoked_at, now())
             WHERE id = $1
             RETURNING id, secret_sha256, name, roles, scope, created_at, created_by, expires_at, revoked_at,
                 last_used_at",
            id,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        finish(transaction, changed, by).await
    }

    /// Stores the times at which tokens were last used, in seconds of Unix time.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn record_tokens_used(&self, used: &[(String, i64)]) -> Result<(), Error> {
        if used.is_empty() {
            return Ok(());
        }
        let (ids, times): (Vec<_>, Vec<_>) = used.iter().cloned().unzip();
        sqlx::query!(
            "UPDATE tokens SET last_used_at = used.at
             FROM (SELECT id, to_timestamp(seconds) AS at FROM unnest($1::text[], $2::bigint[]) AS listed (id, seconds))
                 AS used
             WHERE tokens.id = used.id
                 AND (tokens.last_used_at IS NULL OR used.at > tokens.last_used_at + interval '30 seconds')",
            &ids,
            &times,
        )
        .execute(&mut self.control.acquire().await?)
        .await?;
        Ok(())
    }

    /// Locks the table, so that only one transaction at a time counts and changes admin tokens.
    async fn lock_tokens(&self) -> Result<Transaction, Error> {
        let mut transaction = self.control.begin().await?;
        sqlx::query("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    /// Returns the latest expiry of the valid tokens.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn token_expiries(&self) -> Result<TokenExpiries, Error> {
        let ends = sqlx::query_as!(
            TokenExpiries,
            "SELECT max(expires_at) AS any, max(expires_at) FILTER (WHERE 'admin' = ANY (roles)) AS admin
             FROM tokens
             WHERE revoked_at IS NULL AND expires_at > now()",
        )
        .fetch_one(&mut self.control.acquire().await?)
        .await?;
        Ok(ends)
    }
}

/// Returns the expiry of a valid admin token.
async fn admin_end(connection: &mut Lease, id: &str) -> Result<Option<OffsetDateTime>, Error> {
    let end = sqlx::query_scalar!(
        "SELECT expires_at FROM tokens
         WHERE id = $1 AND 'admin' = ANY (roles) AND revoked_at IS NULL AND expires_at > now()",
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(end)
}

/// True if another admin token is valid for as long as the one to be revoked, or long enough to create more.
async fn is_spare(connection: &mut Lease, id: &str, held: OffsetDateTime) -> Result<bool, Error> {
    let enough = held.min(OffsetDateTime::now_utc() + MIN_REMAINING_VALIDITY);
    let other = admin_beside(connection, id).await?;
    Ok(other.is_some_and(|end| end >= enough))
}

/// Returns the latest expiry of the valid admin tokens other than this one.
async fn admin_beside(connection: &mut Lease, id: &str) -> Result<Option<OffsetDateTime>, Error> {
    let end = sqlx::query_scalar!(
        "SELECT max(expires_at) FROM tokens
         WHERE id <> $1 AND 'admin' = ANY (roles) AND revoked_at IS NULL AND expires_at > now()",
        id,
    )
    .fetch_one(connection)
    .await?;
    Ok(end)
}

async fn name_of(connection: &mut Lease, id: &str) -> Result<Option<String>, Error> {
    let name = sqlx::query_scalar!(
        "SELECT name FROM tokens WHERE id = $1 AND revoked_at IS NULL",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(name)
}

/// True if another valid token has the name. Frees the name of tokens that have expired.
async fn is_name_taken(connection: &mut Lease, name: &str, id: &str) -> Result<bool, Error> {
    sqlx::query!(
        "UPDATE tokens SET lapsed = true
         WHERE name = $1 AND revoked_at IS NULL AND NOT lapsed AND expires_at <= now()",
        name,
    )
    .execute(&mut *connection)
    .await?;
    let is_taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM tokens
               WHERE name = $1 AND id <> $2 AND revoked_at IS NULL AND NOT lapsed) AS "is!""#,
        name,
        id,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_taken)
}

async fn insert(connection: &mut Lease, token: &StoredToken) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO tokens (id, secret_sha256, name, roles, scope, created_at, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id,
        token.secret_sha256,
        token.name,
        &token.roles,
        &token.scope,
        token.created_at,
        token.created_by,
        token.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn finish(
    mut transaction: Transaction,
    changed: Option<StoredToken>,
    by: &Attribution,
) -> Result<TokenOutcome, Error> {
    let Some(token) = changed else {
        return Ok(TokenOutcome::Unknown);
    };
    audit::insert_audit_entry(&mut transaction, by, "done", &audit_details(&token)).await?;
    transaction.commit().await?;
    Ok(TokenOutcome::Done(Box::new(token)))
}

/// Returns the details of a token for its audit entry.
fn audit_details(token: &StoredToken) -> String {
    let scope = if token.scope.is_empty() {
        "everything".to_owned()
    } else {
        token.scope.join(" ")
    };
    let end = match token.revoked_at {
        Some(_) => "revoked".to_owned(),
        None => format!("until {}", token.expires_at.date()),
    };
    format!(
        "token {} of {}: {} on {scope}, {end}",
        token.id,
        token.name,
        token.roles.join(",")
    )
}
