//! `dateline export` as a process: killed at many points, resumed, verified, damaged, and run at the times of a
//! schedule.

use std::{fs, path::Path, time::Duration};

use nix::sys::signal::{Signal, kill};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{
    cli::{dateline_reading, import_gold, program},
    drafts::drafts,
    editing::*,
    export_dir::{assert_same_files, export, only_entry, read_files, read_manifest, verify},
    process::{PROCESS_TIMEOUT, Process, pid, serve},
    server::{start_server, temp_dir},
};

const CUTS: usize = 50;

const HOW: [&str; 8] = [
    "--view",
    "desk",
    "--format",
    "ndjson,protobuf,followthemoney",
    "--compress",
    "zstd",
    "--records-per-file",
    "20",
];

/// Number of finished files of the export below a directory.
fn finished(out: &Path) -> usize {
    let below = fs::read_dir(out).ok().and_then(|mut below| below.next());
    below.map_or(0, |below| {
        fs::read_dir(below.unwrap().path()).map_or(0, Iterator::count)
    })
}

/// Starts or resumes an export, and kills the client, in some rounds after killing the server, as soon as `more` files
/// are finished; returns whether the export was still incomplete.
async fn cut(
    server: &mut Process,
    data: &Path,
    out: &Path,
    with_server: bool,
    more: usize,
) -> bool {
    let words = ["export", "--out", out.to_str().unwrap()];
    let words = [&words[..], &HOW].concat();
    let address = server.address.clone();
    let mut client = program(&address, &words).spawn().unwrap();
    let due = finished(out) + more;
    let waiting = async {
        while finished(out) < due && client.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
    waited.expect("files appear");
    if with_server {
        server.signal(Signal::SIGKILL);
        server.end().await;
        *server = serve(data, &address).await;
    }
    // It may have ended in the meantime.
    if client.try_wait().unwrap().is_none() {
        kill(pid(client.id().unwrap()), Signal::SIGKILL).unwrap();
    }
    client.wait().await.unwrap();
    if only_entry(out).join("manifest.json").exists() {
        return false;
    }
    assert_eq!(
        verify(&only_entry(out)).await.code,
        1,
        "nothing is complete yet"
    );
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_e3_an_export_whose_client_or_server_is_killed_at_fifty_points_is_byte_identical() {
    let (_keep, directory) = temp_dir();
    let data = directory.join("data");
    let mut server = serve(&data, "127.0.0.1:0").await;
    let address = server.address.clone();
    dateline_reading(&address, &["import", "-"], &drafts("record"))
        .await
        .ok();
    let whole = directory.join("whole");
    export(&address, &whole, &HOW).await.ok();
    let mut lot = StdRng::seed_from_u64(50);
    let (mut cuts, mut round) = (0, 0);
    // The progress before a kill varies, so exports are started until there are enough kills.
    while cuts < CUTS {
        let out = directory.join(format!("cut-{round}"));
        while cuts < CUTS {
            let more = lot.random_range(1..6);
            if !cut(&mut server, &data, &out, cuts % 5 == 4, more).await {
                break;
            }
            cuts += 1;
        }
        export(&address, &out, &HOW).await.ok();
        assert_same_files(&only_entry(&out), &only_entry(&whole));
        verify(&only_entry(&out)).await.ok();
        round += 1;
        assert!(round < CUTS, "{cuts} cuts in {round} exports");
    }
    server.signal(Signal::SIGTERM);
    server.end().await;
}

#[tokio::test]
async fn e4_an_interrupted_export_says_that_it_goes_on_and_a_finished_one_is_not_taken_twice() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    let how = ["--format", "ndjson,parquet,csv", "--records-per-file", "3"];
    let first = export(&test_server.address, &directory, &how).await.ok();
    assert!(
        first.stderr.contains("47 records at 47"),
        "{}",
        first.stderr
    );
    let before = read_files(&only_entry(&directory));
    let again = export(&test_server.address, &directory, &how).await.ok();
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
    assert_eq!(before, read_files(&only_entry(&directory)));
    // The existing export does not match these options.
    for more in [
        &["--kind", "event"][..],
        &["--base-uri", "https://news.example/"],
        &["--tombstones"],
        &["--compress", "gzip"],
    ] {
        let other = export(&test_server.address, &directory, &[&how[..], more].concat()).await;
        assert_eq!(other.code, 1, "{more:?}");
        assert!(other.stderr.contains("another --out"), "{}", other.stderr);
    }
    let other = export(&test_server.address, &directory, &["--format", "protobuf"]).await;
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("another --out"), "{}", other.stderr);
    for (bad, what) in [
        (&["--view", "desk,published"][..], "one of each"),
        (&["--since", "latest", "--view", "desk"], "other view"),
        (&["--sequence", "48"], "CURSOR_IN_FUTURE"),
        (&["--schedule", "sometimes"], "every night at two"),
    ] {
        let refused = export(&test_server.address, &directory, bad).await;
        assert_eq!(refused.code, 1, "{bad:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(what), "{bad:?}: {}", refused.stderr);
    }
    let (_keep, empty) = temp_dir();
    let none = export(&test_server.address, &empty, &["--since", "latest"]).await;
    assert!(
        none.stderr.contains("take a full one first"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn e4_verify_names_every_damage() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    let how = ["--format", "ndjson,protobuf,parquet", "--compress", "gzip"];
    export(&test_server.address, &directory, &how).await.ok();
    let place = only_entry(&directory);
    verify(&place).await.ok();
    let before = read_files(&place);
    let restore = || {
        for (name, bytes) in &before {
            fs::write(place.join(name), bytes).unwrap();
        }
    };
    let mut lot = StdRng::seed_from_u64(33);
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "manifest.json") {
        for turn in 0..3 {
            let mut damaged = bytes.clone();
            let at = lot.random_range(0..damaged.len());
            match turn {
                0 => damaged[at] ^= 1 << lot.random_range(0..8),
                1 => damaged.truncate(at),
                _ => damaged.push(0),
            }
            fs::write(place.join(name), damaged).unwrap();
            let found = verify(&place).await;
            assert_eq!(found.code, 1, "{name}, {turn}");
            assert!(
                found.stderr.contains(name),
                "{name}, {turn}: {}",
                found.stderr
            );
            restore();
        }
        fs::remove_file(place.join(name)).unwrap();
        let found = verify(&place).await;
        assert!(
            found.stderr.contains(&format!("{name}: is not there")),
            "{}",
            found.stderr
        );
        restore();
    }
    // A manifest that lists other records than the files hold.
    let mut told = read_manifest(&place);
    told["digest"]["records"] = 48.into();
    fs::write(place.join("manifest.json"), told.to_string()).unwrap();
    let found = verify(&place).await;
    assert!(
        found.code == 1 && found.stderr.contains("comes to 47"),
        "{}",
        found.stderr
    );
    fs::remove_file(place.join("manifest.json")).unwrap();
    let found = verify(&place).await;
    assert!(
        found.stderr.contains("no complete export"),
        "{}",
        found.stderr
    );
}

#[tokio::test]
async fn a_schedule_exports_until_it_is_told_to_stop() {
    let test_server = start_server_with_base().await;
    let (_keep, directory) = temp_dir();
    let out = directory.to_str().unwrap();
    let words = ["export", "--out", out, "--schedule", "* * * * * *"];
    let mut child = program(&test_server.address, &words).spawn().unwrap();
    for round in 1..=2 {
        let is_there = || fs::read_dir(&directory).unwrap().count() >= round;
        let waiting = async {
            while !is_there() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PROCESS_TIMEOUT, waiting)
            .await
            .expect("an export comes");
        create_published(&test_server.client, &actor(&format!("round-{round}"))).await;
    }
    kill(pid(child.id().unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(PROCESS_TIMEOUT, child.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0));
}

#[tokio::test]
async fn f10_an_export_of_the_metadata_view_has_no_text_of_others_and_the_wire_no_drafts() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let secret = create_drafts(
        &test_server.client,
        &[with_text(&gold_actor("secret"), "nobody knows")],
    )
    .await;
    assert_eq!(secret.len(), 1);
    let (_keep, directory) = temp_dir();
    let how = [
        "--format",
        "ndjson,protobuf,csv,ninjs,ftm,schemaorg",
        "--view",
        "metadata",
    ];
    export(&test_server.address, &directory, &how).await.ok();
    for (name, bytes) in read_files(&only_entry(&directory)) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in [
            "nobody knows",
            "strengthened relations with NATO and United States Central",
            "They discussed cooperation between Kazakhstan and NATO",
        ] {
            assert!(!text.contains(secret), "{name} holds {secret:?}");
        }
    }
    let done = verify(&only_entry(&directory)).await.ok();
    assert!(
        done.stderr.contains("without their content"),
        "{}",
        done.stderr
    );
}
