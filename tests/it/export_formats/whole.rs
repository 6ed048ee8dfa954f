//! NDJSON and length-delimited protobuf: nothing is lost.

use dateline::json;
use dateline_export::format::Format;
use dateline_proto::v1::{Kind, Record};
use dateline_record::name::KINDS;
use tokio::process::Command;

use super::{export, kind_of, varied};
use crate::support::{
    records::name,
    server::{TIMEOUT, temp_dir},
    tools::{generate_python_stubs, python_environment, repo_path, run_tool},
};

fn of_kind(records: &[Record], kind: Kind) -> Vec<Record> {
    let mut records: Vec<_> = records.to_vec();
    records.retain(|record| kind_of(record) == kind);
    records.sort_by(|left, right| name(left).cmp(name(right)));
    records
}

#[test]
fn every_line_of_ndjson_reads_back_as_the_record() {
    let records = varied();
    let files = export(Format::Ndjson, &records);
    for kind in KINDS {
        let text = std::str::from_utf8(&files.by_kind[&kind]).unwrap();
        let read: Vec<Record> = text.lines().map(|line| json::read(line).unwrap()).collect();
        assert_eq!(read, of_kind(&records, kind));
    }
    assert!(files.losses.fields().is_empty());
}

#[tokio::test]
async fn jq_reads_ndjson() {
    let files = export(Format::Ndjson, &varied());
    let (_keep, directory) = temp_dir();
    let file = directory.join("events.ndjson");
    std::fs::write(&file, &files.by_kind[&Kind::Event]).unwrap();
    let mut jq = Command::new("jq");
    jq.arg("-r")
        .arg(r#"select(.event.participants[]?.actor == "actors/united-states") | .event.name"#)
        .arg(&file);
    let told = run_tool(&mut jq, TIMEOUT).await.unwrap();
    assert_eq!(
        told,
        "events/kazakhstan-supports-strategic-relationship-with-us\nevents/regional-cooperation\n\
         events/steppe-eagle\n"
    );
}

#[tokio::test]
async fn python_reads_length_delimited_protobuf() {
    let records = varied();
    let (_modules, modules) = {
        let python = python_environment("examples/python/requirements.txt").await;
        generate_python_stubs(&python.expect("Python with grpcio-tools is needed")).await
    };
    let python = python_environment("examples/python/requirements.txt")
        .await
        .unwrap();
    let files = export(Format::Protobuf, &records);
    let json = export(Format::Ndjson, &records);
    let (_keep, directory) = temp_dir();
    for kind in KINDS {
        let binary = directory.join(format!("{kind:?}.binpb"));
        let lines = directory.join(format!("{kind:?}.ndjson"));
        std::fs::write(&binary, &files.by_kind[&kind]).unwrap();
        std::fs::write(&lines, &json.by_kind[&kind]).unwrap();
        let mut script = Command::new(&python);
        script
            .arg(repo_path("tests/python/export_protobuf.py"))
            .args([&binary, &lines])
            .env("PYTHONPATH", &modules);
        let told = run_tool(&mut script, TIMEOUT * 2).await.unwrap();
        let count = of_kind(&records, kind).len();
        assert_eq!(told, format!("{count} records are those of the NDJSON\n"));
    }
}
