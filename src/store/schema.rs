//! The schema of the database, brought up to date at start: numbered migrations, then the functions of sql/.

mod functions;
mod squashed;

use sqlx::{
    PgConnection,
    migrate::{Migrate, Migrator},
};

use super::{Error, languages};

/// Tables of the schema, which another program may have by the same name.
const TABLES: [&str; 5] = ["feed", "changes", "records", "links", "requests"];

/// Brings the schema up to date. One server at a time: the others wait for the lock of the migrations.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut *connection)
        .await?;
    refuse_foreign(connection).await?;
    let mut migrations = sqlx::migrate!();
    // The lock is held around more than the numbered migrations. After an error it goes with the connection.
    migrations.set_locking(false);
    connection.lock().await.map_err(Error::Schema)?;
    run(connection, &migrations).await?;
    connection.unlock().await.map_err(Error::Schema)?;
    languages::respell(connection).await
}

async fn run(connection: &mut PgConnection, migrations: &Migrator) -> Result<(), Error> {
    squashed::adopt(connection, migrations).await?;
    migrations
        .run(&mut *connection)
        .await
        .map_err(Error::Schema)?;
    functions::apply(connection).await
}

/// Leaves a database alone that somebody else has laid out.
async fn refuse_foreign(connection: &mut PgConnection) -> Result<(), Error> {
    let tables = TABLES.map(str::to_owned);
    let found: Option<String> = sqlx::query_scalar(
        "SELECT tablename::text
         FROM pg_tables
         WHERE schemaname = current_schema()
             AND tablename = ANY ($1)
             AND to_regclass('_sqlx_migrations') IS NULL
         LIMIT 1",
    )
    .bind(&tables[..])
    .fetch_optional(connection)
    .await?;
    found.map_or(Ok(()), |table| Err(Error::Foreign(table)))
}
