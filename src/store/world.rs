//! What a decision looks at: the heads that a group of requests names, and the standing of what the records
//! to be published refer to. Read in one statement each, with no lock held; `append` notices if it moved.

use prost::Message;
use sqlx::PgConnection;

use super::{
    Error,
    columns::{DELETED, days, name, state},
};
use crate::{
    model::{
        change::{Head, Standing, World},
        name::Name,
        request::{Action, Request},
    },
    proto::v1::{RecordMeta, State},
};

/// Reads what these requests have to look at.
pub(super) async fn read(
    connection: &mut PgConnection,
    requests: &[&Request],
) -> Result<World, Error> {
    let writes = || requests.iter().flat_map(|request| &request.writes);
    let touched: Vec<String> = writes().map(|write| write.name.to_string()).collect();
    let published: Vec<String> = writes()
        .filter(|write| matches!(write.action, Action::Publish { .. }))
        .map(|write| write.name.to_string())
        .collect();
    let mut world = World::default();
    for (name, head) in heads(connection, &touched).await? {
        world.standings.insert(name.clone(), head.standing);
        world.heads.insert(name, head);
    }
    if !published.is_empty() {
        world
            .standings
            .extend(standings_of_targets(connection, &published).await?);
    }
    Ok(world)
}

async fn heads(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<Vec<(Name, Head)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT records.name, records.state, records.revision, changes.state AS logged_state, changes.content,
                  changes.meta, changes.facets, changes.days
           FROM unnest($1::text[]) AS wanted (name)
           JOIN records ON records.name = wanted.name
           JOIN changes ON changes.desk_sequence = records.desk_sequence"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let head = Head {
                standing: standing(&row.state, &row.logged_state, row.revision)?,
                meta: RecordMeta::decode(row.meta.as_slice())
                    .map_err(|error| Error::Corrupt(format!("meta of {}: {error}", row.name)))?,
                content: row.content,
                facets: row.facets,
                days: row.days.map(days),
            };
            Ok((name(&row.name)?, head))
        })
        .collect()
}

async fn standings_of_targets(
    connection: &mut PgConnection,
    sources: &[String],
) -> Result<Vec<(Name, Standing)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT records.name, records.state, records.revision
           FROM links
           JOIN records ON records.name = links.target
           WHERE links.source = ANY ($1)"#,
        sources,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let logged = if row.state == DELETED {
                "draft"
            } else {
                &row.state
            };
            Ok((
                name(&row.name)?,
                standing(&row.state, logged, row.revision)?,
            ))
        })
        .collect()
}

fn standing(head_state: &str, logged_state: &str, revision: i64) -> Result<Standing, Error> {
    let state: State = state(logged_state)?;
    Ok(Standing {
        state,
        deleted: head_state == DELETED,
        revision,
    })
}
