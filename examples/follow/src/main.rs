//! Follows the feed and prints a line for each published article: `dateline-follow 127.0.0.1:7400 follow.position`.
//! Run again, it resumes after the last change that it printed.

use std::{env, error::Error, fs, io::ErrorKind, path::Path};

use dateline_client::{
    Event, Position, Subscriber,
    proto::v1::{Change, WatchRequest, record::Kind, watch_request::Start},
    proto::v1::{Origin, change::Type},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server, file] = arguments.as_slice() else {
        return Err("usage: dateline-follow HOST:PORT FILE".into());
    };
    let file = Path::new(file);
    let request = WatchRequest {
        start: Some(Start::Origin(Origin::Beginning.into())),
        ..WatchRequest::default()
    };
    let mut feed = Subscriber::open(server, request, read(file)?).await?;
    let mut waits = |reason: &str| eprintln!("waiting: {reason}");
    loop {
        let (event, position) = feed.next(&mut waits).await?;
        if let Event::Change(change) = event {
            print(&change);
        }
        // Behind its effect: a change comes twice if the program dies in between, and none is missed.
        write(file, &position)?;
    }
}

fn print(change: &Change) {
    let record = change.record.as_ref();
    let kind = record.and_then(|record| record.kind.as_ref());
    if let (Type::Published, Some(Kind::Article(article))) = (change.r#type(), kind) {
        println!("{}\t{}", change.sequence, article.headline);
    }
}

/// The stored position, if there is one.
fn read(file: &Path) -> Result<Option<Position>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stores the position; the file has the old one or the new one, never half of it.
fn write(file: &Path, position: &Position) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(position)?)?;
    Ok(fs::rename(new, file)?)
}
