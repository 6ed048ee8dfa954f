//! Safe defaults: the behaviour of a server without options, and secrets that the programs never print.

use std::process::{Command, Output};

use crate::support::{
    callers::{in_an_hour, start_access_servers},
    server::{PROGRAM, temp_dir},
};
use dateline_proto::v1::{CreateTokenRequest, Role};

fn dateline(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .join("\n")
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_flag_that_says_what_it_does() {
    let refused = dateline(&["serve", "--listen", "0.0.0.0:0"], &[]);
    assert!(!refused.status.success());
    let text = text(&refused);
    assert!(
        text.contains("--tls-cert") && text.contains("--allow-plaintext"),
        "{text}"
    );
}

#[test]
fn settings_of_access_that_contradict_each_other_are_refused() {
    for (args, words) in [
        (
            &["--allow-anonymous", "--require-credentials"][..],
            "cannot be used with",
        ),
        (
            &["--allow-anonymous", "--bootstrap-token-file", "x"],
            "asks nobody",
        ),
        (
            &["--jwt-issuer", "https://issuer.example"],
            "--jwt-audience",
        ),
        (&["--jwt-keys", "keys.json"], "--jwt-issuer"),
        (
            &["--jwt-issuer", "news", "--jwt-audience", "a"],
            "name --jwt-keys",
        ),
        (
            &[
                "--jwt-issuer",
                "http://issuer.example",
                "--jwt-audience",
                "a",
            ],
            "not https",
        ),
        (&["--client-roles", "roles.yaml"], "--client-ca"),
    ] {
        let args: Vec<_> = ["serve", "--listen", "127.0.0.1:0"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let refused = dateline(&args, &[]);
        let text = text(&refused);
        assert!(
            !refused.status.success() && text.contains(words),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn no_command_takes_a_secret_as_an_argument() {
    for command in ["get", "watch", "import", "export", "token"] {
        let help = text(&dateline(
            &[command, "--help"],
            &[("DATELINE_TOKEN", "dateline_shown_nowhere")],
        ));
        assert!(help.contains("--token-file"), "{command}");
        assert!(
            !help.contains("--token ") && !help.contains("shown_nowhere"),
            "{command}: {help}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_from_a_file_or_the_environment() {
    let two = start_access_servers().await;
    let request = CreateTokenRequest {
        name: "cli".into(),
        roles: vec![Role::Reader.into()],
        expire_time: Some(in_an_hour()),
        ..CreateTokenRequest::default()
    };
    let secret = two
        .open
        .client
        .clone()
        .admin
        .create_token(request)
        .await
        .unwrap()
        .into_inner()
        .secret;
    let (_scratch, directory) = temp_dir();
    let file = directory.join("token");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let server = two.closed.address.clone();
    let run = move |args: Vec<String>, environment: Vec<(&'static str, String)>| {
        let server = server.clone();
        tokio::task::spawn_blocking(move || {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let args = [&args[..], &["--server", &server]].concat();
            let environment: Vec<_> = environment
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            dateline(&args, &environment)
        })
    };
    let list = || vec!["list".to_owned()];
    let none = run(list(), vec![]).await.unwrap();
    assert!(!none.status.success());
    assert!(text(&none).contains("authorization"), "{}", text(&none));
    let by_environment = run(list(), vec![("DATELINE_TOKEN", secret.clone())])
        .await
        .unwrap();
    assert!(by_environment.status.success(), "{}", text(&by_environment));
    let args = [
        list(),
        vec!["--token-file".to_owned(), file.display().to_string()],
    ]
    .concat();
    let by_file = run(args, vec![]).await.unwrap();
    assert!(by_file.status.success(), "{}", text(&by_file));
    let missing = [
        list(),
        vec!["--token-file".to_owned(), "/nowhere/token".to_owned()],
    ]
    .concat();
    let missing = run(missing, vec![]).await.unwrap();
    assert!(
        !missing.status.success() && text(&missing).contains("/nowhere/token"),
        "{}",
        text(&missing)
    );
    // A refusal names the role that is required; the feed returns what the reader may see.
    let token = run(
        vec!["token".into(), "list".into()],
        vec![("DATELINE_TOKEN", secret.clone())],
    )
    .await
    .unwrap();
    assert!(text(&token).contains("role admin"), "{}", text(&token));
    let feed = run(
        vec!["feed".into()],
        vec![("DATELINE_TOKEN", secret.clone())],
    )
    .await
    .unwrap();
    assert!(feed.status.success(), "{}", text(&feed));
    for output in [&none, &by_environment, &by_file, &token, &feed] {
        assert!(!text(output).contains(&secret[20..]));
    }
}

async fn asks_for_the_schema(client: &dateline_client::Client, token: &str) -> tonic::Result<()> {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut request = tonic::Request::new(stream_of(asked));
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let mut reflection = ServerReflectionClient::new(client.channel());
    let mut answers = reflection
        .server_reflection_info(request)
        .await?
        .into_inner();
    answers.message().await.map(drop)
}

fn stream_of<T: Send + 'static>(item: T) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::once(std::future::ready(item))
}

#[tokio::test]
async fn health_is_told_to_everybody_and_the_schema_to_callers_or_to_nobody() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let two = start_access_servers().await;
    let nobody = dateline_client::Client::connect(&two.closed.address)
        .await
        .unwrap();
    let mut health = HealthClient::new(nobody.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();
    let refused = asks_for_the_schema(&nobody, "").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let (_, secret) =
        crate::support::callers::create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    asks_for_the_schema(&nobody, &secret).await.unwrap();
    // Without reflection, the service is unknown.
    let quiet =
        crate::support::callers::start_access_servers_with(|config| config.reflection = false)
            .await;
    let nobody = dateline_client::Client::connect(&quiet.closed.address)
        .await
        .unwrap();
    let (_, secret) =
        crate::support::callers::create_token_with(&quiet.open.client, &[Role::Admin], &[]).await;
    let refused = asks_for_the_schema(&nobody, &secret).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
}
