//! Creates databases in a cluster. This module does not know their contents.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::error::Error;

/// The database named in messages that explain how to connect.
pub const DATABASE: &str = "dateline";

/// SQLSTATEs of a database that exists already, and of one that is being created by another session.
const ALREADY_EXISTS: [&str; 2] = ["42P04", "23505"];

/// Creates the database `name` unless it exists, on the server at `url` (of any database there, such as `postgres`).
pub async fn ensure_database(url: &str, name: &str) -> Result<(), Error> {
    if !is_plain(name) {
        return Err(Error::DatabaseName {
            name: name.to_owned(),
        });
    }
    let failed = |source| Error::Database {
        name: name.to_owned(),
        source,
    };
    let options = PgConnectOptions::from_str(url)
        .map_err(failed)?
        .disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
    if !exists {
        // A name cannot be a parameter; this one consists of letters that need no quoting.
        let statement = AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        match sqlx::raw_sql(statement).execute(&mut connection).await {
            Err(error) if !is_there_already(&error) => return Err(failed(error)),
            Ok(_) | Err(_) => {}
        }
    }
    connection.close().await.map_err(failed)
}

fn is_there_already(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ALREADY_EXISTS.contains(&code.as_ref()))
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| plain(&byte))
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_make_it_into_a_statement() {
        for name in ["dateline", "_1", "a"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "1a", "A", "a-b", "a\"b", "é", &"a".repeat(64)] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
