//! Answers: the right record first, with its reasons; pairs once; mentions where they stand.

use dateline_proto::v1::{
    ActorExample, ExternalId, FindDuplicatesRequest, FindDuplicatesResponse, View, actor::Type,
    match_candidate::Band, match_reason,
};

use crate::support::{
    cli::import_gold, editing::*, matching::*, projections::wait_projected, records::as_actor,
    server::start_server,
};

#[tokio::test]
async fn the_right_record_is_first_for_other_spellings_scripts_and_orders_of_words() {
    let server = start_server().await;
    import_gold(&server.address).await;
    wait_projected(&server.url).await;
    let mut missed = Vec::new();
    let queries = [
        ("Stoltenberg, Jens", "actors/jens-stoltenberg"),
        ("Йенс Столтенберг", "actors/jens-stoltenberg"),
        ("Jens Stoltenbergh", "actors/jens-stoltenberg"),
        ("Маргулан Баймухан", "actors/margulan-baimukhan"),
        ("Margulan Baymukhan", "actors/margulan-baimukhan"),
        ("General Timur Dandybayev", "actors/timur-dandybayev"),
        ("Тимур Дандыбаев", "actors/timur-dandybayev"),
        ("Vice Admiral James Malloy", "actors/james-malloy"),
        ("United Nations Interim Force in Lebanon", "actors/unifil"),
        ("NATO", "actors/nato"),
        ("United States Central Command", "actors/us-central-command"),
        (
            "North Atlantic Cooperation Council",
            "actors/north-atlantic-cooperation-council",
        ),
        ("Казахстан", "actors/kazakhstan"),
    ];
    for (query, expected) in queries {
        let found = matched(&server.client, query, View::Published).await;
        if found.first().map(String::as_str) != Some(expected) {
            missed.push(format!("{query}: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    for other in [
        "Jens Weidmann",
        "James Mattis",
        "Timur Kulibayev",
        "Kyrgyzstan",
    ] {
        let found = matched(&server.client, other, View::Published).await;
        assert_eq!(found, Vec::<String>::new(), "{other}");
    }
    server.stop().await;
}

#[tokio::test]
async fn equal_identifiers_decide_and_the_reasons_say_so() {
    let server = start_server_with_base().await;
    let mut record = actor_of(
        "old-name",
        Type::Organization,
        &["Bureau of Maritime Affairs"],
    );
    as_actor(&mut record).external_ids = vec![ExternalId {
        scheme: "wikidata".into(),
        value: "Q42424242".into(),
    }];
    create_published(&server.client, &record).await;
    let by_id = ActorExample {
        names: vec![a_name("Shipping Directorate")],
        external_ids: as_actor(&mut record).external_ids.clone(),
        ..ActorExample::default()
    };
    let found = matches(&server.client, by_id.clone(), View::Published).await;
    assert_eq!(records(&found.candidates), ["actors/old-name"]);
    assert_eq!(found.resolved, "actors/old-name");
    let candidate = &found.candidates[0];
    assert_eq!((candidate.score, candidate.band()), (1.0, Band::VeryLikely));
    let reason = candidate
        .reasons
        .iter()
        .find(|it| it.r#type() == match_reason::Type::Feature && it.class == "identifier")
        .unwrap();
    assert!(reason.agrees && reason.detail == "wikidata", "{reason:?}");
    let mut of_another = by_id;
    of_another.names = vec![a_name("Bureau of Maritime Affairs")];
    of_another.external_ids[0].value = "Q1".into();
    let found = matches(&server.client, of_another, View::Published).await;
    assert_eq!(records(&found.candidates), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn m4_each_pair_of_duplicates_is_found_once_newest_first_page_by_page() {
    let server = start_server_with_base().await;
    let of = |id: &str, name: &str| actor_of(id, Type::Person, &[name]);
    for (id, name) in [
        ("first", "Serik Sapiyev"),
        ("other", "Olga Rypakova"),
        ("second", "Серик Сапиев"),
        ("third", "Sapiyev Serik"),
        ("olga", "Ольга Рыпакова"),
    ] {
        create_published(&server.client, &of(id, name)).await;
    }
    let mut request = FindDuplicatesRequest {
        types: vec![Type::Person.into()],
        page_size: 1,
        min_sequence: head(&server.client, View::Published).await,
        ..FindDuplicatesRequest::default()
    };
    let mut pairs = Vec::new();
    loop {
        let page = server
            .client
            .clone()
            .matching
            .find_duplicates(request.clone())
            .await;
        let FindDuplicatesResponse {
            pairs: page,
            next_page_token,
        } = page.unwrap().into_inner();
        let names = page.into_iter().map(|pair| {
            let candidate = pair.candidate.unwrap();
            assert!(candidate.score >= 0.75 && !candidate.reasons.is_empty());
            (pair.record, candidate.record)
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        pairs.extend(names);
        request.page_token = next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let expected = [
        ("olga", "other"),
        ("third", "first"),
        ("third", "second"),
        ("second", "first"),
    ];
    let expected = expected.map(|(one, two)| (format!("actors/{one}"), format!("actors/{two}")));
    assert_eq!(pairs, expected);
    let types = vec![Type::Organization.into()];
    let bodies = FindDuplicatesRequest {
        types,
        ..FindDuplicatesRequest::default()
    };
    let found = server.client.clone().matching.find_duplicates(bodies).await;
    assert_eq!(found.unwrap().into_inner().pairs, []);
    server.stop().await;
}

#[tokio::test]
async fn mentions_stand_where_the_text_has_them_and_ambiguous_ones_name_all() {
    let server = start_server_with_base().await;
    for (id, names) in [
        (
            "port-aktau",
            &["Port Authority of Aktau", "Port Authority"][..],
        ),
        ("port-poti", &["Port Authority of Poti", "Port Authority"]),
        ("tokayev", &["Kassym-Jomart Tokayev", "Токаев"]),
    ] {
        let record = actor_of(id, Type::Organization, names);
        create_published(&server.client, &record).await;
    }
    let text =
        "😀 The Port Authority of Aktau told the Port Authority;\r\nвизит Токаева. Port-au-Prince.";
    let found = mentioned(&server.client, text, View::Published).await;
    let of = |ids: &[&str]| {
        ids.iter()
            .map(|id| format!("actors/{id}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found,
        [
            ("Port Authority of Aktau".to_owned(), of(&["port-aktau"])),
            (
                "Port Authority".to_owned(),
                of(&["port-aktau", "port-poti"])
            ),
            ("Токаева".to_owned(), of(&["tokayev"])),
        ]
    );
    let answer = suggest(&server.client, text, View::Published).await;
    assert_eq!(answer.sequence, head(&server.client, View::Published).await);
    assert_eq!((answer.omitted, answer.names_omitted), (0, false));
    let exact: Vec<_> = answer.mentions.iter().map(|it| it.exact).collect();
    assert_eq!(exact, [true, true, false]);
    let described: Vec<_> = answer
        .actors
        .iter()
        .map(|it| it.display_name.as_str())
        .collect();
    let expected = [
        "Port Authority of Aktau",
        "Port Authority of Poti",
        "Kassym-Jomart Tokayev",
    ];
    assert_eq!(described, expected);
    server.stop().await;
}

#[tokio::test]
async fn the_commands_print_tables_and_lines_and_say_when_nothing_is_found() {
    use crate::support::cli::{dateline, dateline_reading};
    let server = start_server().await;
    import_gold(&server.address).await;
    wait_projected(&server.url).await;
    let table = dateline(&server.address, &["match", "Stoltenberg Jens"])
        .await
        .ok();
    let row = table.stdout.lines().nth(1).unwrap();
    assert!(
        row.contains("actors/jens-stoltenberg") && row.contains("person"),
        "{table:?}"
    );
    let explained = ["match", "Stoltenberg Jens", "--explain"];
    let explained = dateline(&server.address, &explained).await.ok();
    assert!(explained.stdout.contains("name: "), "{explained:?}");
    let lines = ["match", "-f", "-", "-o", "ndjson"];
    let lines = dateline_reading(
        &server.address,
        &lines,
        "Jens Stoltenberg\n\nNobody Atall\n",
    )
    .await;
    assert_eq!(lines.code, 0);
    let lines = lines.lines();
    assert_eq!(lines[0]["example"], "Jens Stoltenberg");
    assert_eq!(
        lines[0]["candidates"][0]["record"],
        "actors/jens-stoltenberg"
    );
    assert_eq!(
        (lines.len(), &lines[1]["example"]),
        (2, &"Nobody Atall".into())
    );
    let suggest = ["suggest", crate::support::cli::ARTICLE_FILE];
    let suggest = dateline(&server.address, &suggest).await.ok();
    assert!(suggest.stdout.contains("actors/nato"), "{suggest:?}");
    for (arguments, input) in [
        (&["match", "Nobody Atall"][..], ""),
        (&["duplicates", "--type", "person"], ""),
        (&["suggest", "-"], "nobody is named here"),
    ] {
        let answer = dateline_reading(&server.address, arguments, input).await;
        assert_eq!(answer.code, 3, "{arguments:?}: {answer:?}");
        assert!(
            answer.stdout.is_empty() && !answer.stderr.is_empty(),
            "{answer:?}"
        );
    }
    let wrong = dateline(&server.address, &["match", "X", "--type", "persn"]).await;
    assert!(
        wrong.code == 2 && wrong.stderr.contains("government_body"),
        "{wrong:?}"
    );
    server.stop().await;
}
