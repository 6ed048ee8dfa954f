//! `dateline export` as a process: cut at many points, verified, damaged, kept, applied, and on an object store.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::{Signal, kill};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    cli::{Done, dateline, dateline_reading, import_gold, program},
    crash::{drafts, serve},
    life::hands::*,
    process::{PATIENCE, pid},
    rig::{Site, scratch, site},
};

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The only export below a directory.
fn only(directory: &Path) -> PathBuf {
    let mut below: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(below.len(), 1, "{below:?}");
    below.pop().unwrap()
}

async fn export(server: &str, out: &Path, more: &[&str]) -> Done {
    let words = ["export", "--out", out.to_str().unwrap()];
    dateline(server, &[&words[..], more].concat()).await
}

async fn verify(place: &Path) -> Done {
    dateline("127.0.0.1:1", &["verify", place.to_str().unwrap()]).await
}

fn manifest(place: &Path) -> Value {
    serde_json::from_slice(&fs::read(place.join("manifest.json")).unwrap()).unwrap()
}

/// Everything about an export but what its directory is called.
fn same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert!(bytes == &other[name], "{name} differs");
    }
}

const CUTS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_e3_an_export_whose_client_or_server_is_killed_at_fifty_points_is_byte_identical() {
    let (_keep, directory) = scratch();
    let data = directory.join("data");
    let mut server = serve(&data, "127.0.0.1:0").await;
    let address = server.address.clone();
    dateline_reading(&address, &["import", "-"], &drafts("record"))
        .await
        .ok();
    let how = [
        "--view",
        "desk",
        "--format",
        "ndjson,protobuf,followthemoney",
        "--compress",
        "zstd",
        "--file-records",
        "20",
    ];
    let (cut, whole) = (directory.join("cut"), directory.join("whole"));
    let out = cut.to_str().unwrap();
    let words = [&["export", "--out", out][..], &how].concat();
    let mut lot = StdRng::seed_from_u64(50);
    let finished = || {
        fs::read_dir(&cut).map_or(0, |mut below| {
            let below = below.next().map(|entry| entry.unwrap().path());
            below.map_or(0, |below| fs::read_dir(below).map_or(0, Iterator::count))
        })
    };
    let mut cuts = 0;
    while cuts < CUTS {
        let mut client = program(&address, &words).spawn().unwrap();
        // Somewhere behind the next file or two.
        let due = finished() + lot.random_range(1..6);
        let waiting = async {
            while finished() < due && client.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("files appear");
        assert!(
            client.try_wait().unwrap().is_none(),
            "it was over after {cuts} cuts"
        );
        if cuts % 5 == 4 {
            server.signal(Signal::SIGKILL);
            server.end().await;
            server = serve(&data, &address).await;
        }
        kill(pid(client.id().unwrap()), Signal::SIGKILL).unwrap();
        client.wait().await.unwrap();
        cuts += 1;
        if finished() > 0 {
            assert!(
                !only(&cut).join("manifest.json").exists(),
                "nothing is complete yet"
            );
            assert_eq!(
                verify(&only(&cut)).await.code,
                1,
                "and nothing is taken for it"
            );
        }
    }
    let done = export(&address, &cut, &how).await.ok();
    assert!(
        done.stderr.contains("going on with the export"),
        "{}",
        done.stderr
    );
    export(&address, &whole, &how).await.ok();
    same(&only(&cut), &only(&whole));
    verify(&only(&cut)).await.ok();
    server.signal(Signal::SIGTERM);
    server.end().await;
}

#[tokio::test]
async fn e4_an_interrupted_export_says_that_it_goes_on_and_a_finished_one_is_not_taken_twice() {
    let site = site().await;
    import_gold(&site.address).await;
    let (_keep, directory) = scratch();
    let how = ["--format", "ndjson,parquet,csv", "--file-records", "3"];
    let first = export(&site.address, &directory, &how).await.ok();
    assert!(
        first.stderr.contains("47 records at 47"),
        "{}",
        first.stderr
    );
    let before = files(&only(&directory));
    let again = export(&site.address, &directory, &how).await.ok();
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
    assert_eq!(before, files(&only(&directory)));
    let other = export(&site.address, &directory, &["--format", "protobuf"]).await;
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("another --out"), "{}", other.stderr);
    for (bad, what) in [
        (&["--view", "desk,published"][..], "one of each"),
        (
            &["--partitions", "2", "--format", "ninjs"],
            "leave --partitions out",
        ),
        (&["--since", "latest", "--view", "desk"], "other view"),
        (&["--sequence", "48"], "CURSOR_IN_FUTURE"),
        (&["--schedule", "sometimes"], "every night at two"),
    ] {
        let refused = export(&site.address, &directory, bad).await;
        assert_eq!(refused.code, 1, "{bad:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(what), "{bad:?}: {}", refused.stderr);
    }
    let (_keep, empty) = scratch();
    let none = export(&site.address, &empty, &["--since", "latest"]).await;
    assert!(
        none.stderr.contains("take a full one first"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn e4_verify_names_every_damage() {
    let site = site().await;
    import_gold(&site.address).await;
    let (_keep, directory) = scratch();
    let how = ["--format", "ndjson,protobuf,parquet", "--compress", "gzip"];
    export(&site.address, &directory, &how).await.ok();
    let place = only(&directory);
    verify(&place).await.ok();
    let before = files(&place);
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
    // A manifest that tells of other records than the files hold.
    let mut told = manifest(&place);
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

/// Somebody's day: what is shown is corrected, withdrawn, merged, erased; new things come.
async fn a_day(site: &Site, day: usize) {
    let client = &site.client;
    for number in 0..4 {
        shown(client, &actor(&format!("day-{day}-{number}"))).await;
    }
    let now = on_desk(client, &format!("actors/day-{day}-0")).await;
    let now = one(client, correct(&saying(&now, "better"), &[], "said better")).await;
    if day > 0 {
        let before = on_desk(client, &format!("actors/day-{}-1", day - 1)).await;
        one(client, retract(&before, "wrong", false)).await;
        let twin = on_desk(client, &format!("actors/day-{}-2", day - 1)).await;
        one(client, merge(&twin, &now)).await;
        let erased = on_desk(client, &format!("actors/day-{}-3", day - 1)).await;
        done(client, vec![purge(&erased, false)]).await;
    }
}

#[tokio::test]
async fn e5_a_full_export_and_its_deltas_applied_are_the_full_export_of_the_last_night() {
    let site = base().await;
    let mut day = 0;
    for how in [
        &[
            "--format",
            "protobuf,parquet,followthemoney",
            "--file-records",
            "3",
        ][..],
        &["--view", "desk", "--tombstones", "--compress", "zstd"],
        &["--type", "group"],
        &["--view", "metadata", "--format", "ndjson"],
    ] {
        let (_keep, directory) = scratch();
        let (deltas, fulls) = (directory.join("deltas"), directory.join("fulls"));
        export(&site.address, &deltas, how).await.ok();
        let first = only(&deltas);
        for night in 0..3 {
            // One night nothing has happened.
            if night != 1 {
                a_day(&site, day).await;
                day += 1;
            }
            let since = [how, &["--since", "latest"]].concat();
            export(&site.address, &deltas, &since).await.ok();
        }
        export(&site.address, &fulls, how).await.ok();
        let mut nights: Vec<_> = fs::read_dir(&deltas)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().contains("-since-"))
            .collect();
        nights.sort();
        let applied = directory.join("applied");
        let mut words = vec!["apply", first.to_str().unwrap()];
        words.extend(nights.iter().map(|night| night.to_str().unwrap()));
        words.extend(["--out", applied.to_str().unwrap()]);
        let done = dateline("127.0.0.1:1", &words).await.ok();
        let is_proved = !how.contains(&"--type");
        assert_eq!(
            done.stderr.contains("it is what the feed showed"),
            is_proved,
            "{how:?}: {}",
            done.stderr
        );
        let (one, other) = (only(&applied), only(&fulls));
        if is_proved {
            same(&one, &other);
        } else {
            assert_eq!(manifest(&one)["digest"], manifest(&other)["digest"]);
        }
        verify(&one).await.ok();
        // In the wrong order they do not fit.
        let wrong = [
            "apply",
            nights[0].to_str().unwrap(),
            first.to_str().unwrap(),
            "--out",
            "/tmp",
        ];
        assert_eq!(dateline("127.0.0.1:1", &wrong).await.code, 1);
    }
}

#[tokio::test]
async fn e5_a_delta_is_not_taken_across_histories() {
    let site = site().await;
    import_gold(&site.address).await;
    let (_keep, directory) = scratch();
    export(&site.address, &directory, &[]).await.ok();
    dateline(&site.address, &["feed", "fork", "--yes"])
        .await
        .ok();
    let refused = export(&site.address, &directory, &["--since", "latest"]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("take a full one"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn keep_leaves_the_newest_full_exports_and_what_builds_on_them() {
    let site = base().await;
    let (_keep, directory) = scratch();
    for (day, more) in [
        &[][..],
        &["--since", "latest"],
        &[],
        &["--since", "latest"],
        &[],
    ]
    .iter()
    .enumerate()
    {
        let how = [more, &["--keep", "2"][..]].concat();
        export(&site.address, &directory, &how).await.ok();
        a_day(&site, day).await;
    }
    let mut kept: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    kept.sort();
    let deltas = kept
        .iter()
        .filter(|it| it.to_str().unwrap().contains("-since-"));
    assert_eq!((kept.len(), deltas.count()), (3, 1), "{kept:?}");
    for place in kept {
        verify(&place).await.ok();
    }
}

#[tokio::test]
async fn a_schedule_exports_until_it_is_told_to_stop() {
    let site = base().await;
    let (_keep, directory) = scratch();
    let out = directory.to_str().unwrap();
    let words = ["export", "--out", out, "--schedule", "* * * * * *"];
    let mut child = program(&site.address, &words).spawn().unwrap();
    for round in 1..=2 {
        let is_there = || fs::read_dir(&directory).unwrap().count() >= round;
        let waiting = async {
            while !is_there() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("an export comes");
        shown(&site.client, &actor(&format!("round-{round}"))).await;
    }
    kill(pid(child.id().unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0));
}

#[tokio::test]
async fn f10_an_export_of_the_metadata_view_has_no_text_of_others_and_the_wire_no_drafts() {
    let site = site().await;
    import_gold(&site.address).await;
    let secret = make(
        &site.client,
        &[saying(&crate::feed::actor("secret"), "nobody knows")],
    )
    .await;
    assert_eq!(secret.len(), 1);
    let (_keep, directory) = scratch();
    let how = [
        "--format",
        "ndjson,protobuf,csv,ninjs,ftm,schemaorg",
        "--view",
        "metadata",
    ];
    export(&site.address, &directory, &how).await.ok();
    for (name, bytes) in files(&only(&directory)) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in [
            "nobody knows",
            "strengthened relations with NATO and United States Central",
            "They discussed cooperation between Kazakhstan and NATO",
        ] {
            assert!(!text.contains(secret), "{name} holds {secret:?}");
        }
    }
    let done = verify(&only(&directory)).await.ok();
    assert!(
        done.stderr.contains("without their content"),
        "{}",
        done.stderr
    );
}

/// What both views of a feed show, as `dateline feed` tells it.
async fn shows(server: &str) -> Vec<(Value, Value)> {
    let feeds = dateline(server, &["feed", "-o", "json"]).await.ok().json();
    let feeds = feeds.as_array().unwrap().iter();
    feeds
        .map(|feed| (feed["digest"].clone(), feed["kinds"].clone()))
        .collect()
}

#[tokio::test]
async fn e1_a_database_loses_nothing_by_export_and_import_into_an_empty_one() {
    let site = site().await;
    import_gold(&site.address).await;
    let client = &site.client;
    let mut names = Vec::new();
    for name in [
        "corrected",
        "retracted",
        "merged",
        "purged",
        "draft",
        "review",
        "hidden",
    ] {
        names.push(
            make(client, &[crate::feed::actor(name)])
                .await
                .swap_remove(0),
        );
    }
    let public = show(client, &names[..4]).await;
    one(
        client,
        correct(&saying(&public[0], "better"), &[], "said better"),
    )
    .await;
    one(client, retract(&public[1], "wrong", false)).await;
    let into = on_desk(client, "actors/nato").await;
    one(client, merge(&public[2], &into)).await;
    done(client, vec![purge(&public[3], false)]).await;
    one(client, submit(&names[5])).await;
    one(client, publish_at(&names[6], Some(in_ms(3_600_000)))).await;
    let (_keep, directory) = scratch();
    for format in ["protobuf", "ndjson"] {
        let out = directory.join(format);
        let how = [
            "--view",
            "desk",
            "--tombstones",
            "--format",
            format,
            "--compress",
            "zstd",
        ];
        export(&site.address, &out, &how).await.ok();
        let place = only(&out);
        let words = ["import", place.to_str().unwrap()];
        let empty = crate::rig::site().await;
        let dry = dateline(&empty.address, &[&words[..], &["--dry-run"]].concat())
            .await
            .ok();
        assert!(dry.stderr.contains("nothing was written"), "{}", dry.stderr);
        assert_eq!(heads(&empty.url).await, (0, 0));
        let first = dateline(&empty.address, &words).await.ok();
        assert!(
            first.stderr.contains("the digests are equal"),
            "{}",
            first.stderr
        );
        assert_eq!(shows(&empty.address).await, shows(&site.address).await);
        let after = heads(&empty.url).await;
        let again = dateline(&empty.address, &words).await.ok();
        assert!(
            again.stderr.contains("were there already"),
            "{}",
            again.stderr
        );
        assert_eq!(heads(&empty.url).await, after, "nothing twice");
        for name in [
            "corrected",
            "retracted",
            "merged",
            "purged",
            "draft",
            "review",
            "hidden",
        ] {
            let name = format!("actors/{name}");
            let (mut here, mut there) = (
                on_desk(&empty.client, &name).await,
                on_desk(client, &name).await,
            );
            for record in [&mut here, &mut there] {
                let body = record.kind.as_mut().unwrap();
                let mut meta = body.take_meta().unwrap();
                meta.sequence = 0;
                body.put_meta(Some(meta));
            }
            assert_eq!(here, there, "meta and all");
        }
        // And life goes on there.
        let draft = on_desk(&empty.client, "actors/draft").await;
        one(&empty.client, publish(&draft)).await;
        dateline(&empty.address, &["verify", "--view", "desk"])
            .await
            .ok();
        dateline(&empty.address, &["verify"]).await.ok();
        // What is there in another revision is not overwritten.
        let clash = dateline(&empty.address, &words).await;
        assert!(
            clash.code == 1 && clash.stderr.contains("NAME_TAKEN"),
            "{}",
            clash.stderr
        );
    }
}

#[tokio::test]
async fn an_import_of_an_export_that_is_killed_is_completed_by_the_same_command() {
    let site = site().await;
    dateline_reading(&site.address, &["import", "-"], &drafts("record"))
        .await
        .ok();
    let (_keep, directory) = scratch();
    export(
        &site.address,
        &directory,
        &["--view", "desk", "--format", "protobuf"],
    )
    .await
    .ok();
    let place = only(&directory);
    let words = ["import", place.to_str().unwrap()];
    let empty = crate::rig::site().await;
    for due in [1, 1500] {
        let mut client = program(&empty.address, &words).spawn().unwrap();
        let waiting = async {
            while heads(&empty.url).await.0 < due {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("records come in");
        kill(pid(client.id().unwrap()), Signal::SIGKILL).unwrap();
        client.wait().await.unwrap();
    }
    let done = dateline(&empty.address, &words).await.ok();
    assert!(
        done.stderr.contains("the digests are equal"),
        "{}",
        done.stderr
    );
    assert_eq!(shows(&empty.address).await, shows(&site.address).await);
    assert_eq!(
        heads(&empty.url).await.0,
        i64::try_from(crate::crash::RECORDS).unwrap()
    );
}
