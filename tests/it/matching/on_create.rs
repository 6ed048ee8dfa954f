//! A new actor is compared with those that have a record: the answer of the write carries them, and a retry carries the
//! same.

use dateline_proto::v1::{
    CommitRequest, MatchCandidate, View, Warning, actor::Type, match_candidate::Band,
};

use crate::support::{
    cli::dateline_reading, editing::*, matching::*, projections::wait_projected, server::temp_dir,
    terminal::Terminal,
};

fn duplicates(warnings: &[Warning]) -> Vec<&Warning> {
    let found = warnings.iter();
    found
        .filter(|it| it.reason == "POSSIBLE_DUPLICATE")
        .collect()
}

#[tokio::test]
async fn m1_a_new_actor_that_may_have_a_record_is_stored_with_a_warning_that_names_it() {
    let server = start_server_with_base().await;
    let client = &server.client;
    create_published(client, &actor_of("known", Type::Person, &["Serik Sapiyev"])).await;
    wait_projected(&server.url).await;
    let new = actor_of("new", Type::Person, &["Серик Сапиев"]);
    let other = actor_of("other", Type::Person, &["Olga Rypakova"]);
    let request = CommitRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        ..commit_request(vec![create(&other), create(&new)])
    };
    let answer = try_commit(client, request.clone()).await.unwrap();
    let [warning] = duplicates(&answer.warnings)[..] else {
        panic!("{:?}", answer.warnings);
    };
    assert_eq!(warning.field, "writes[1].create.record.actor");
    assert_eq!(warning.records, ["actors/known"]);
    assert_eq!(records(&warning.candidates), ["actors/known"]);
    // The answer is stored for retries, where a purge of the other record would not reach its words (W11).
    let expected = MatchCandidate {
        record: "actors/known".into(),
        score: 0.9,
        band: Band::Possible.into(),
        ..MatchCandidate::default()
    };
    assert_eq!(warning.candidates, [expected]);
    assert!(!warning.description.contains("Sapiyev"), "{warning:?}");
    let again = try_commit(client, request).await.unwrap();
    assert_eq!(again.warnings, answer.warnings);
    // A score changes no record: both are there.
    for name in ["actors/known", "actors/new"] {
        desk_record(client, name).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn create_on_a_terminal_shows_the_candidates_and_asks() {
    let server = start_server_with_base().await;
    let client = &server.client;
    create_published(client, &actor_of("known", Type::Person, &["Serik Sapiyev"])).await;
    wait_projected(&server.url).await;
    let (_kept, directory) = temp_dir();
    let file = directory.join("new.yaml");
    let text = "actor:
  name: actors/new
  type: TYPE_PERSON
  displayName: Серик Сапиев
  names:
  - {text: Серик Сапиев, languageCode: ru, type: TYPE_FULL}
";
    std::fs::write(&file, text).unwrap();
    let create = ["create", file.to_str().unwrap()];
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        let is_there = find_record(client, "actors/new", View::Desk)
            .await
            .is_some();
        assert!(!is_there, "{answer:?}");
        let mut terminal = Terminal::start(&server.address, &create, 80);
        terminal.type_text(answer);
        let (ended, screen, _) = terminal.end().await;
        assert_eq!(ended, code, "{screen}");
        assert!(
            screen.contains("actors/known") && screen.contains("[y/N]"),
            "{screen}"
        );
        let (question, _) = screen.split_once("[y/N]").unwrap();
        let is_narrow = question.lines().all(|line| line.chars().count() <= 80);
        assert!(is_narrow, "{screen}");
    }
    desk_record(client, "actors/new").await;
    let again = text.replace("actors/new", "actors/newer");
    std::fs::write(&file, again).unwrap();
    let unasked = [&create[..], &["--yes"]].concat();
    let (code, screen, _) = Terminal::start(&server.address, &unasked, 80).end().await;
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("[y/N]"), "{screen}");
    // Nobody is there to answer: the warning says it.
    let again = text.replace("actors/new", "actors/newest");
    let piped = dateline_reading(&server.address, &["create", "-"], &again)
        .await
        .ok();
    assert!(piped.stderr.contains("actors/known"), "{piped:?}");
    server.stop().await;
}
