//! Deaths of the owner, of Postgres, and of both, in any order.

use super::*;

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
        .wait_for(|state| *state == ClusterState::Restarting)
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
        .wait_for(|state| *state == ClusterState::Stopped)
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
async fn where_the_kernel_does_not_tell_a_watcher_stops_the_server_at_its_owners_end() {
    // The signal may be ignored in tests that run in the background, and a child inherits that.
    let mut server = Command::new("env")
        .args(["--default-signal=INT", "sleep", "600"])
        .spawn()
        .unwrap();
    let mut watcher = Command::new(LAUNCHER)
        .args([launcher::SUBCOMMAND, "watch", &server.id().to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(server.try_wait().unwrap().is_none());
    drop(watcher.stdin.take());
    assert!(watcher.wait().unwrap().success());
    assert!(!server.wait().unwrap().success());
}
