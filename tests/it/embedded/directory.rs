//! The data directory: never shared, refused if it is not ours, and usable wherever it is.

use super::*;

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_owner_named_and_a_way_to_share_it() {
    let home = TempDir::new().unwrap();
    let owner = Owner::start(home.path());
    let error = refusal(options(home.path())).await;
    let Error::InUse { pid, url, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*pid, owner.process.id());
    let message = error.to_string();
    assert!(
        message.contains(&format!("process {} (a test)", owner.process.id())),
        "{message}"
    );
    assert!(
        message.contains(&format!("--database-url '{url}'")),
        "{message}"
    );
    // The refused start has not disturbed the other, and the URL in the error works.
    let shared = url.replace("/dateline?", "/postgres?");
    assert_eq!(shared, owner.url);
    connect(&shared).await.ping().await.unwrap();
    owner.end();
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_gets_the_directory() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("data");
    let (one, other) = tokio::join!(Cluster::start(options(&dir)), Cluster::start(options(&dir)));
    let (winner, error) = match (one, other) {
        (Ok(winner), Err(error)) | (Err(error), Ok(winner)) => (winner, error),
        outcome => panic!("{outcome:?}"),
    };
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    connect(&winner.url("postgres")).await.ping().await.unwrap();
    winner.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_refused_and_left_as_it_is() {
    let home = TempDir::new().unwrap();
    Cluster::start(options(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let version = home.path().join("cluster/PG_VERSION");
    fs::write(&version, "99\n").unwrap();
    let error = refusal(options(home.path())).await;
    assert!(
        matches!(error, Error::OtherMajor { wanted: 99, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("postgresql-99"), "{error}");
    assert_eq!(fs::read_to_string(version).unwrap(), "99\n");
}

#[tokio::test]
async fn a_directory_of_something_else_is_refused_and_left_alone() {
    let home = TempDir::new().unwrap();
    for stranger in ["thesis.tex", "PG_VERSION"] {
        let dir = home.path().join(stranger).join("data");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(stranger), "15").unwrap();
        let error = refusal(options(&dir)).await;
        assert!(matches!(error, Error::NotDateline { .. }), "{error}");
        let names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [stranger]);
    }
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        refusal(options(&file)).await,
        Error::NotDateline { .. }
    ));
}

#[tokio::test]
async fn the_directory_of_a_new_file_system_counts_as_empty() {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("lost+found")).unwrap();
    Cluster::start(options(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn what_an_interrupted_beginning_left_is_cleared_away() {
    let home = TempDir::new().unwrap();
    Cluster::start(options(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::rename(
        home.path().join("cluster"),
        home.path().join("cluster.new-4242"),
    )
    .unwrap();
    let cluster = Cluster::start(options(home.path())).await.unwrap();
    assert!(!home.path().join("cluster.new-4242").exists());
    connect(&cluster.url("postgres"))
        .await
        .ping()
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_lock_file_that_names_a_process_of_somebody_else_is_no_obstacle() {
    let home = TempDir::new().unwrap();
    let cluster = Cluster::start(options(home.path())).await.unwrap();
    let file = home.path().join("cluster/postmaster.pid");
    let text = fs::read_to_string(&file).unwrap();
    let pid = cluster.postmaster_pid().unwrap().to_string();
    cluster.stop().await.unwrap();
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(&file, text.replacen(&pid, &stranger.id().to_string(), 1)).unwrap();
    let socket_lock = home.path().join("socket/.s.PGSQL.5432.lock");
    fs::write(
        socket_lock,
        text.replacen(&pid, &stranger.id().to_string(), 1),
    )
    .unwrap();

    let cluster = Cluster::start(options(home.path())).await.unwrap();
    assert!(is_alive(stranger.id()));
    cluster.stop().await.unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_one_in_a_private_directory_elsewhere() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("long-".repeat(40)).join("data");
    let cluster = Cluster::start(options(&dir)).await.unwrap();
    let socket = cluster.socket_dir().to_owned();
    assert!(!socket.starts_with(&dir), "{}", socket.display());
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o700
    );
    connect(&cluster.url("postgres"))
        .await
        .ping()
        .await
        .unwrap();
    let holder = refusal(options(&dir)).await;
    assert!(matches!(holder, Error::InUse { .. }), "{holder}");
    cluster.stop().await.unwrap();
    fs::remove_dir_all(socket).unwrap();
}

#[tokio::test]
async fn any_character_may_be_in_the_path() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("it's, a \"dir\" %41 & é?x=1#y");
    let cluster = Cluster::start(options(&dir)).await.unwrap();
    assert!(cluster.socket_dir().starts_with(&dir));
    connect(&cluster.url("postgres"))
        .await
        .ping()
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}
