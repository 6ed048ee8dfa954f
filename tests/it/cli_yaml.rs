//! YAML of records: our output read by `PyYAML`, a reader of YAML 1.1, and hostile input for our own reader.

use std::{collections::BTreeSet, fmt::Write, process::Stdio, time::Instant};

use dateline::{fuzz_targets, json};
use dateline_proto::v1::{Actor, Name, Record, record::Kind as Body};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    cli::{actor, dateline, dateline_reading},
    server::{PROGRAM, TIMEOUT, start_server, temp_dir},
    tools::{or_skip, python_environment, repo_path, run_tool},
};

/// Plain words that YAML 1.1 or 1.2 does not read as text.
const WORDS: &str = "y Y yes Yes YES n N no No NO true True TRUE false False FALSE on On ON off Off OFF null Null NULL ~ = << \
    0 1 12 007 0o7 0o14 0b1 0b 0x1F 0x 0X1f 1_000 1__0 _1 1_ +1 -1 +12 1e3 1E3 1e+3 1.5 .5 5. -.5 +.5 1.5e3 1.5e+3 1.e+3 .e5 \
    1_0.5 ._5 .inf .Inf .INF -.inf +.inf .nan .NaN .NAN inf nan Infinity NaN 1:30 1:30:45 190:20:30 01:30 0:30 1:60 1:5 \
    1:30.5 -1:30 +1:30 12:30:45.67 1949 1984/2004 2021-22 2024-10-12 2024-1-1 2024-10 2001-12-14t21:59:43.10-05:00 \
    2001-12-15T2:59:43.10 2001-12-14T21:59:43Z 2024-13-45 0.1 00 0_ 0b_ 0x_ 0x_1 0b1_0 0777 0888 089 1e 1e5_ 1_e5 \
    12345678901234567890 1.7976931348623157e309 -0 +0 0.0 -0.0 1,000 1% 1- 1+ 1a 0xg 1..2 1.2.3 ..1 .1. 10.0.0.1 ::1 a:1 1:a \
    - ? : # * & ! | > % @ ` , [ ] { } . .. ... --- -- + %YAML @a `a !a !!str &a *a |- >- {a a} [a a] a, a: :a -a ?a a#b";

/// Texts with white space and indicator characters at critical positions.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "\t",
    "- a",
    "? a",
    ": a",
    "# a",
    "a # b",
    "a: b",
    " a",
    "a ",
    "\ta",
    "a\t",
    "'a'",
    "\"a\"",
    "it's",
    "\\n",
    "--- a",
    "... a",
    "a\nb",
    "a\n",
    "\na",
    "a\n\n\nb\n\n",
    " a\n  b",
    "\ta\nb",
    "a\n\tb",
    "a\r\nb",
    "a\u{85}b",
    "a\u{2028}b",
    "\u{feff}a",
    "2001-12-14 21:59:43.10 -5",
    "1 000",
    "2001-12-14 \t 21:59:43",
    "=\n<<",
];

const SIGNS: &str = "yYnNoOfFtTrRuUeEsSlL~0123456789_.:-+eEbBxXoO#?!&*|>%@`,[]{}'\"=< \t\n";
const DIGITS: &str = "0123456789_.:-+eExob ";

/// Some thousand scalars; the same each time.
fn scalars() -> Vec<String> {
    let mut random = StdRng::seed_from_u64(7);
    let mut all: BTreeSet<String> = TEXTS.iter().map(ToString::to_string).collect();
    for word in WORDS.split_whitespace() {
        for around in ["", " ", "-", "- ", "+", "'", "#", ": ", "\n", "_"] {
            all.insert(format!("{around}{word}"));
            all.insert(format!("{word}{around}"));
        }
    }
    for signs in [SIGNS, DIGITS] {
        let signs: Vec<char> = signs.chars().collect();
        for _ in 0..2500 {
            let length = random.random_range(1..12);
            let text = (0..length).map(|_| *signs.choose(&mut random).unwrap());
            all.insert(text.collect());
        }
    }
    let controls = (0..0x180).chain([0x2028, 0x2029, 0xfeff, 0xe000, 0x1f600, 0x202e, 0x10_ffff]);
    for sign in controls.filter_map(char::from_u32) {
        all.insert(format!("a{sign}b"));
        all.insert(sign.to_string());
    }
    for _ in 0..1500 {
        let mut pick = |from: &[&'static str]| *from.choose(&mut random).unwrap();
        let day = [
            pick(&["1949", "2001", "24"]),
            pick(&["1", "01", "13"]),
            pick(&["1", "31", "32"]),
        ]
        .join("-");
        let time = [
            pick(&["", "T", "t", " "]),
            pick(&["1", "01", "23"]),
            pick(&[":00", ":5", ""]),
            pick(&[":59", ""]),
        ];
        all.insert(
            day + &time.concat() + pick(&["", ".1", "."]) + pick(&["", "Z", " Z", "+01:00", " -5"]),
        );
    }
    all.into_iter().collect()
}

#[tokio::test]
async fn yaml_of_records_is_read_by_pyyaml_as_what_it_is() {
    let Some(python) = or_skip(
        python_environment("tests/python/yaml_requirements.txt").await,
        "YAML",
    ) else {
        return;
    };
    let scalars = scalars();
    assert!(scalars.len() > 8000, "{}", scalars.len());
    let mut lines = String::new();
    for some in scalars.chunks(20) {
        let names = some.iter().map(|text| Name {
            text: text.clone(),
            language_code: text.clone(),
            ..Name::default()
        });
        let record = Record::from(Body::Actor(Actor {
            display_name: some[0].clone(),
            names: names.collect(),
            ..Actor::default()
        }));
        let text = fuzz_targets::document_text(&record, false).unwrap();
        let back =
            fuzz_targets::parse_document(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(back, record, "{text}");
        let line = serde_json::to_string(&(text, json::value(&record).unwrap())).unwrap();
        writeln!(lines, "{line}").unwrap();
    }
    let (_keep, directory) = temp_dir();
    let file = directory.join("lines");
    std::fs::write(&file, lines).unwrap();
    let mut script = Command::new(python);
    script
        .arg(repo_path("tests/python/yaml_read.py"))
        .stdin(std::fs::File::open(file).unwrap());
    let told = run_tool(&mut script, TIMEOUT * 4).await.unwrap();
    assert_eq!(
        told.trim(),
        format!("{} documents", scalars.len().div_ceil(20))
    );
}

#[tokio::test]
async fn what_get_and_list_print_as_yaml_is_what_they_print_as_json() {
    let Some(python) = or_skip(
        python_environment("tests/python/yaml_requirements.txt").await,
        "YAML",
    ) else {
        return;
    };
    let server = start_server().await;
    let article = json!({ "article": {
        "name": "articles/no", "headline": "2024-10-12", "body": "yes", "languageCode": "no",
    }});
    dateline_reading(&server.address, &["create", "-"], &article.to_string())
        .await
        .ok();
    let mut lines = String::new();
    for command in [
        &["get", "articles/no"][..],
        &["list"],
        &["history", "articles/no"],
    ] {
        let printed = async |form| {
            let view = [command, &["--view", "desk", "-o", form]].concat();
            dateline(&server.address, &view).await.ok().stdout
        };
        let (yaml, json) = (printed("yaml").await, printed("json").await);
        let json: Value = serde_json::from_str(&json).unwrap();
        writeln!(lines, "{}", json!([yaml, json])).unwrap();
    }
    let mut script = Command::new(python);
    script
        .arg(repo_path("tests/python/yaml_read.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = script.spawn().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes())
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.stop().await;
}

/// Texts of at most a few MB that are read in seconds, or refused.
fn bombs() -> Vec<(&'static str, String)> {
    let aliases = (1..30).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, level| {
            let before = format!("*a{}, ", level - 1).repeat(10);
            format!("{text}a{level}: &a{level} [{before}]\n")
        },
    );
    let deep = |open: &str| open.repeat(100_000);
    vec![
        ("flow lists", deep("[")),
        ("flow maps", deep("{a: ")),
        ("block lists", deep("- ")),
        ("complex keys", deep("? ")),
        (
            "indented maps",
            (0..3000)
                .map(|level| format!("{}a:\n", " ".repeat(level)))
                .collect(),
        ),
        (
            "inside of a record",
            format!("actor: {{names: {}", deep("[")),
        ),
        ("aliases", aliases),
        (
            "an alias of itself",
            "actor: &a {names: [*a, *a]}".to_owned(),
        ),
        ("a long key", format!("{}: 1", "a".repeat(1_000_000))),
        (
            "a long quoted key",
            format!("\"{}\": 1", "a".repeat(1_000_000)),
        ),
        (
            "many keys",
            (0..200_000).map(|key| format!("k{key}: 1\n")).collect(),
        ),
        (
            "many documents",
            "---\nactor: {name: actors/a}\n".repeat(100_000),
        ),
        (
            "many values",
            format!("actor: {{names: [{}]}}", "{},".repeat(500_000)),
        ),
        ("many comments", "# x\n".repeat(1_000_000)),
        (
            "a long number",
            format!("actor: {{type: {}}}", "9".repeat(1_000_000)),
        ),
        ("a merge", "actor: {<<: {name: actors/a}}".to_owned()),
        ("json lists", format!("{{\"actor\":{}", deep("["))),
        ("json maps", deep("{\"a\":")),
        (
            "json values",
            format!(
                "{{\"actor\":{{\"names\":[{}{{}}]}}}}",
                "{},".repeat(500_000)
            ),
        ),
        (
            "a long json key",
            format!("{{\"{}\": 1}}", "a".repeat(1_000_000)),
        ),
    ]
}

#[test]
fn no_text_takes_time_or_memory_out_of_proportion_or_a_screen_to_be_refused() {
    for (what, text) in bombs() {
        let began = Instant::now();
        let error = fuzz_targets::parse_document(&text)
            .expect_err(what)
            .to_string();
        assert!(
            began.elapsed() < TIMEOUT / 2,
            "{what}: {:?}",
            began.elapsed()
        );
        assert!(error.len() < 3000, "{what}: {} bytes", error.len());
    }
}

#[tokio::test]
async fn a_file_of_9_mb_takes_little_more_memory_than_that_whatever_is_in_it() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let empty = "{},".repeat(3_000_000);
    let files = [
        ("bundle.json", format!("{{\"actors\":[{empty}{{}}]}}")),
        (
            "one.json",
            format!("{{\"actors\":[{{\"names\":[{empty}{{}}]}}]}}"),
        ),
        (
            "line.ndjson",
            format!("{{\"actor\":{{\"names\":[{empty}{{}}]}}}}\n"),
        ),
        (
            "deep.json",
            format!("{{\"actors\":{}", "[".repeat(9_000_000)),
        ),
    ];
    for (name, text) in files {
        std::fs::write(directory.join(name), text).unwrap();
        for command in ["import", "create"] {
            let mut limited = Command::new("sh");
            limited
                .args(["-c", "ulimit -v 1500000 && exec \"$@\"", "sh", PROGRAM])
                .args([command, name])
                .current_dir(&directory)
                .env("DATELINE_SERVER", &server.address)
                .kill_on_drop(true)
                .stdin(Stdio::null());
            let output = tokio::time::timeout(TIMEOUT * 4, limited.output()).await;
            let output = output
                .unwrap_or_else(|_| panic!("{command} {name} ends"))
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {name}: {stderr}");
            assert!(stderr.contains("error: "), "{command} {name}: {stderr}");
            assert!(
                stderr.len() < 5000,
                "{command} {name}: {} bytes",
                stderr.len()
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_list_of_many_items_is_one_document_and_not_one_record() {
    let server = start_server().await;
    let subjects = vec![json!({ "name": "one", "uri": "urn:x:1" }); 100];
    let items: Vec<_> = (0..1000)
        .map(|number| {
            json!({
                "uri": format!("urn:dateline:test:{number}"), "type": "text", "subjects": subjects,
                "language": "en", "headlines": [{ "value": format!("Story {number}") }],
                "bodies": [{ "value": "Text.", "contentType": "text/plain" }],
            })
        })
        .collect();
    let items = serde_json::to_string(&items).unwrap();
    let import = [
        "import",
        "-",
        "--format",
        "ninjs",
        "--dry-run",
        "--on-error",
        "skip",
    ];
    let done = dateline_reading(&server.address, &import, &items).await;
    assert!(!done.stderr.contains("more values"), "{}", done.stderr);
    assert!(
        done.stderr.contains("1000 would be created"),
        "{}",
        done.stderr
    );
    server.stop().await;
}

#[tokio::test]
async fn w6_words_of_the_schema_are_taken_as_they_are_printed_and_others_are_told_which_there_are()
{
    let server = start_server().await;
    for (id, word) in [
        ("a", "organization"),
        ("b", "Organization"),
        ("c", "TYPE_ORGANIZATION"),
        ("d", "ORGANIZATION"),
    ] {
        let yaml = format!(
            "name: actors/{id}\ntype: {word}\ndisplayName: 1.10\nnames: [{{text: 1.10, languageCode: en, type: full}}]"
        );
        dateline_reading(&server.address, &["create", "-"], &yaml)
            .await
            .ok();
        let json = actor(&format!("{id}-json")).replace("TYPE_GROUP", word);
        dateline_reading(&server.address, &["create", "-"], &json)
            .await
            .ok();
        let line = actor(&format!("{id}-line")).replace("TYPE_GROUP", word);
        dateline_reading(&server.address, &["import", "-"], &line)
            .await
            .ok();
    }
    let list = [
        "list",
        "--view",
        "desk",
        "--type",
        "Organization",
        "-o",
        "ndjson",
    ];
    let all = dateline(&server.address, &list).await.ok().lines();
    assert_eq!(all.len(), 12);
    let first = &all[0]["actor"];
    assert_eq!(
        (&first["displayName"], &first["names"][0]["text"]),
        (&json!("1.10"), &json!("1.10"))
    );
    let yaml = "actor:\n  name: actors/x\n  type: grup\n";
    for command in ["create", "import"] {
        let text = if command == "create" {
            yaml.to_owned()
        } else {
            actor("x").replace("TYPE_GROUP", "grup")
        };
        let refused = dateline_reading(&server.address, &[command, "-"], &text).await;
        assert_eq!(refused.code, 1);
        for told in [
            "'grup', did you mean 'group'?; there are: ",
            "organization",
            "person",
            "line ",
        ] {
            assert!(
                refused.stderr.contains(told),
                "{command} {told}: {}",
                refused.stderr
            );
        }
    }
    server.stop().await;
}
