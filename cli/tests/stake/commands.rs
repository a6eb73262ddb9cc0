//! Every command parses, every action can be reached, and what is wrong is refused.

use std::collections::BTreeSet;
use std::path::Path;

use ashlar_cli::Cli;
use ashlar_crypto::keystore::KeyKind;
use ashlar_ledger::service::LedgerConfig;
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_proto::{Account, Block, HeadKeySuccession};
use ashlar_restaking::{Action, Genesis, Params};
use clap::Parser;
use serde_json::{Value, json};

use crate::{Failure, keystores, run};

fn parse(line: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["ashlar", "stake"].iter().chain(line))
}

/// What a command line prints.
fn ashlar(line: &[&str]) -> Result<String, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let words: Vec<&str> = ["stake"].iter().chain(line).copied().collect();
    run(folder.path(), &words)
}

fn json_of(line: &[&str]) -> Value {
    let mut line = line.to_vec();
    line.push("--json");
    let text = ashlar(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The kinds of transactions as `tx --list` knows them.
fn kinds() -> Vec<Value> {
    let list = json_of(&["tx", "--list"]);
    list["kinds"].as_array().unwrap().clone()
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

/// The words of an example, with what its placeholders stand for.
fn words(example: &str, folder: &Path) -> Vec<String> {
    let account = format!("0x{}", "11".repeat(20));
    let hash = format!("0x{}", "22".repeat(32));
    let file = |name: &str| folder.join(name).display().to_string();
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in example.split(' ').filter(|word| !word.is_empty()) {
        match (words.last_mut(), quoted) {
            (Some(last), true) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        if word.matches('\'').count() == 1 {
            quoted = !quoted;
        }
    }
    assert!(!quoted, "{example}");
    words
        .iter()
        .map(|word| {
            let word = word
                .replace('\'', "")
                .replace("$ACCOUNT", &account)
                .replace("$TOKEN", &account)
                .replace("$OPERATOR", &hash)
                .replace("$NETWORK_KEY", &hash)
                .replace("$SIGNATURE", &format!("0x{}", "44".repeat(65)))
                .replace("$HASH", &hash);
            match word.as_str() {
                "@conditions.txt" => format!("@{}", file("conditions.txt")),
                "bls.json" | "network.json" | "password" | "claim.json" | "blob.cert"
                | "answer.bin" => file(&word),
                _ => word,
            }
        })
        .collect()
}

/// What makes a transaction without asking a service.
fn offline(folder: &Path) -> Vec<String> {
    let key = folder.join("account.json").display().to_string();
    let network = format!("0x{}", "55".repeat(32));
    let words = ["--dry-run", "--key", &key, "--network", &network];
    words.map(str::to_owned).to_vec()
}

fn examples_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    keystores::write(&file("bls.json"), KeyKind::Bls, 7);
    keystores::write(&file("network.json"), KeyKind::Network, 8);
    keystores::write(&file("account.json"), KeyKind::Account, 9);
    std::fs::write(file("password"), format!("{}\n", keystores::PASSWORD)).unwrap();
    std::fs::write(file("conditions.txt"), "two batches under one sequence\n").unwrap();
    let hash = format!("0x{}", "33".repeat(32));
    let claim = json!({
        "root": 1,
        "earner": format!("0x{}", "44".repeat(20)),
        "earners": 1,
        "earners_root": hash,
        "index": 0,
        "path": [],
        "token_count": 1,
        "tokens_root": hash,
        "tokens": [],
    });
    std::fs::write(file("claim.json"), claim.to_string()).unwrap();
    std::fs::write(file("blob.cert"), [1, 2, 3]).unwrap();
    std::fs::write(file("answer.bin"), [4, 5, 6]).unwrap();
    folder
}

#[test]
fn every_action_has_a_command_and_nothing_else_has() {
    let all: BTreeSet<&str> = Action::NAMES.iter().copied().collect();
    let kinds = kinds();
    let reached: BTreeSet<&str> = kinds.iter().map(|kind| text_of(kind, "type")).collect();
    assert_eq!(reached, all);
    assert_eq!(kinds.len(), Action::NAMES.len());
}

#[test]
fn the_example_of_every_kind_makes_its_action() {
    let folder = examples_folder();
    for kind in kinds() {
        let name = text_of(&kind, "type");
        let mut line = vec!["tx".to_owned(), text_of(&kind, "command").to_owned()];
        line.extend(words(text_of(&kind, "example"), folder.path()));
        line.extend(offline(folder.path()));
        if name == "update_operator" {
            line.extend(words(
                "--sequence 1 --network-key network.json",
                folder.path(),
            ));
        }
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let transaction = json_of(&line);
        let action: Action = serde_json::from_value(transaction["action"].clone())
            .unwrap_or_else(|error| panic!("{name}: {error}: {transaction}"));
        assert_eq!(action.name(), name);
        // What the options made is what the action is: no option got lost, none was made up.
        let again = serde_json::to_value(&action).unwrap();
        for (field, value) in transaction["action"].as_object().unwrap() {
            assert_eq!(&again[field], value, "{name}: {field}");
        }
    }
}

#[test]
fn every_option_of_every_kind_reaches_its_place() {
    let folder = examples_folder();
    for kind in kinds() {
        let fields = kind["fields"].as_array().unwrap();
        let sample = |field: &Value| -> String {
            let choice = field["choices"].as_array().unwrap().last();
            let sample = match (text_of(field, "value"), text_of(field, "option")) {
                ("AMOUNT", _) => "3eth",
                ("PART", _) => "25%",
                ("BPS", _) => "1234",
                ("NUMBER", _) => "9",
                ("ACCOUNT", _) => "$ACCOUNT",
                ("OPERATOR", _) => "$OPERATOR",
                ("HASH", _) => "$HASH",
                ("TEXT", _) => "words",
                ("TEXT|@FILE", _) => "@conditions.txt",
                ("KIND", _) => choice.unwrap().as_str().unwrap(),
                ("", _) => "",
                ("OPERATOR=PART", _) => "$OPERATOR=100%",
                ("STRATEGY=MULTIPLIER", _) => "2=1.5",
                ("STRATEGY=PART", _) => "2=75%",
                ("0x…", _) => "$SIGNATURE",
                ("PRESET[/N]|FILE", _) => "classic",
                ("FILE", "bls-key") => "bls.json",
                (_, "network-key") => "network.json",
                ("FILE", "bls-password-file" | "network-password-file") => "password",
                ("FILE", _) => "claim.json",
                (value, option) => panic!("--{option} {value}"),
            };
            sample.to_owned()
        };
        let mut example = String::new();
        for field in fields {
            example.push_str(&format!(
                " --{} {}",
                text_of(field, "option"),
                sample(field)
            ));
        }
        let mut line = vec!["tx".to_owned(), text_of(&kind, "command").to_owned()];
        line.extend(words(&example, folder.path()));
        line.extend(offline(folder.path()));
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let transaction = json_of(&line);
        for field in fields {
            let (path, option) = (text_of(field, "path"), text_of(field, "option"));
            if path.is_empty() {
                continue;
            }
            let pointer = format!("/action/{}", path.replace('.', "/"));
            let value = transaction.pointer(&pointer);
            assert!(
                value.is_some_and(|value| !value.is_null() && *value != json!(false)),
                "{} --{option}: {transaction}",
                kind["type"]
            );
        }
    }
}

#[test]
fn the_list_names_every_kind_and_option() {
    let text = ashlar(&["tx", "--list"]).unwrap();
    for kind in kinds() {
        let command = text_of(&kind, "command");
        assert!(text.contains(&format!("\n  {command} ")), "{command}");
        for field in kind["fields"].as_array().unwrap() {
            let option = format!("--{} ", text_of(field, "option"));
            assert!(text.contains(&option), "{command} {option}");
        }
    }
}

#[test]
fn any_action_can_come_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("action.json");
    let file = path.display().to_string();
    for name in ["undelegate", "retire_operator"] {
        std::fs::write(&path, json!({ "type": name }).to_string()).unwrap();
        let transaction = json_of(&["tx", "--action", &file, "--dry-run"]);
        assert_eq!(transaction["action"]["type"], name);
    }
    for (text, code) in [
        ("{", "io.not_json"),
        ("{}", "tx.action"),
        (r#"{"type": "steal"}"#, "tx.action"),
        (r#"{"type": "undelegate", "all": true}"#, "tx.action"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = ashlar(&["tx", "--action", &file, "--dry-run"]).unwrap_err();
        assert_eq!(error.code, code, "{text}");
    }
}

#[test]
fn a_dry_run_says_who_would_send() {
    let folder = examples_folder();
    let key = folder.path().join("account.json").display().to_string();
    let account = ashlar(&["account", &key]).unwrap();
    let transaction = json_of(&["tx", "undelegate", "--key", &key, "--dry-run"]);
    assert_eq!(transaction["sender"], account.trim());
}

#[test]
fn every_command_parses() {
    let account = format!("0x{}", "11".repeat(20));
    let id = format!("0x{}", "22".repeat(32));
    for line in [
        vec!["show", "health"],
        vec!["show", "withdrawal", "7"],
        vec!["show", "head"],
        vec!["show", "root"],
        vec!["show", "params"],
        vec!["show", "strategies"],
        vec!["show", "operators"],
        vec!["show", "operator", &id],
        vec!["show", "staker", &account],
        vec!["show", "withdrawals", &account],
        vec!["show", "services"],
        vec!["show", "service", "1"],
        vec!["show", "quorums"],
        vec!["show", "quorums", "--service", "1"],
        vec!["show", "members", "1", "0"],
        vec!["show", "slash-requests"],
        vec!["show", "challenges", "--operator", &id, "--service", "1"],
        vec!["show", "challenge", "1"],
        vec!["show", "vaults"],
        vec!["show", "vault", "1", "--holder", &account],
        vec!["show", "rewards"],
        vec!["show", "rewards", "roots"],
        vec!["show", "rewards", "fund", &account],
        vec!["show", "rewards", "claimed", &account, &account],
        vec!["show", "rewards", "shares", "1", "0", "1.5eth"],
        vec!["show", "table", "--block", "7", "--service", "2"],
        vec!["show", "events", "--since", "3"],
        vec!["show", "account", &account],
        vec!["evidence", "submit", "fault.bin"],
        vec!["evidence", "show", "-"],
        vec![
            "evidence",
            "answer",
            "--challenge",
            "1",
            "--payload",
            "-",
            "--out",
            "a.bin",
            "--slice",
        ],
        vec!["risk", "--graph", "g.toml", "--shock", "a", "--psi", "1/3"],
        vec!["risk", "--profit", "1=5eth", "--alpha", "1=50%"],
        vec!["verify-log", "dir", "--root", &id, "--records", "3"],
        vec!["account", "key.json"],
        vec!["show", "table", "--witness", &id],
        vec!["init", "dir", "--preset", "current/1000", "--open"],
        vec!["init", "--print-params", "--preset", "classic"],
        vec!["serve", "--config", "ledger.toml", "--exit-with-parent"],
        vec!["tx", "--list"],
        vec!["tx", "--action", "-"],
        vec![
            "--ledger",
            "http://127.0.0.1:1",
            "show",
            "head",
            "--wait",
            "1",
        ],
        vec!["tx", "-k", "key.json", "undelegate", "--password-file", "p"],
    ] {
        parse(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    }
}

#[test]
fn what_is_wrong_on_the_line_is_refused_there() {
    for line in [
        vec!["tx", "deposit", "--strategy", "2", "--amount", "1.5"],
        vec!["tx", "deposit", "--strategy", "2", "--amount", "1.5btc"],
        vec!["tx", "deposit", "--amount", "1eth"],
        vec!["tx", "delegate", "--operator", "alice"],
        vec!["tx", "opt-in", "--service", "1", "--quorum", "256"],
        vec![
            "tx",
            "allocate",
            "--service",
            "1",
            "--quorum",
            "0",
            "--strategy",
            "1",
            "--magnitude",
            "1",
        ],
        vec!["tx", "steal"],
        vec!["show", "staker", "0x12"],
        vec!["risk", "--profit", "100"],
        vec!["risk", "--psi", "2"],
        vec!["init"],
        vec!["init", "dir", "--block-ms", "1"],
        // Secrets are never on the command line: there is no option that takes one.
        vec!["tx", "undelegate", "--password", "secret"],
        vec!["init", "dir", "--password", "secret"],
    ] {
        assert!(parse(&line).is_err(), "{line:?}");
    }
    let error = ashlar(&["tx"]).unwrap_err();
    assert!(error.next.as_ref().unwrap().contains("--list"), "{error}");
    let error = ashlar(&["tx", "undelegate"]).unwrap_err();
    assert!(error.next.as_ref().unwrap().contains("--key"), "{error}");
    let error = ashlar(&["show", "head", "--ledger", "here"]).unwrap_err();
    assert_eq!(error.exit, 2, "{error}");
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let url = format!("http://{}:19000", ashlar_testing::loopback());
    let error = ashlar(&["show", "head", "--ledger", &url, "--wait", "1"]).unwrap_err();
    assert_eq!((error.exit, error.code.as_str()), (4, "http.unreachable"));
    assert!(error.next.as_ref().unwrap().contains("ashlar stake serve"));
    assert!(error.why[0].contains(&url), "{error}");
}

#[test]
fn the_graph_of_the_guide_is_certified() {
    let page = include_str!("../../../docs/restaking.md");
    let section = &page[page.find("## Risk").unwrap()..];
    let block = |fence: &str| {
        let begin = section.find(fence).unwrap() + fence.len();
        let length = section[begin..].find("```").unwrap();
        &section[begin..begin + length]
    };
    let folder = tempfile::tempdir().unwrap();
    let (graph, svg) = (folder.path().join("g.toml"), folder.path().join("g.svg"));
    std::fs::write(&graph, block("```toml\n")).unwrap();
    let (graph, svg) = (graph.display().to_string(), svg.display().to_string());
    let text = ashlar(&["risk", "--graph", &graph, "--svg", &svg, "--shock", "delta"]).unwrap();
    assert!(text.starts_with(block("```text\n")), "{text}");
    assert!(text.contains("no attack pays, the slack is 3/2"), "{text}");
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    let report = json_of(&["risk", "--graph", &graph, "--profit", "da=1000"]);
    assert_eq!(report["certified"], false);
    let error = ashlar(&["risk", "--graph", &graph, "--profit", "nowhere=1"]).unwrap_err();
    assert!(error.next.as_ref().unwrap().contains("da, bridge, oracle"));
    let error = ashlar(&["risk", "--graph", &graph, "--shock", "nobody"]).unwrap_err();
    assert_eq!(error.code, "risk.shock_operator");
}

#[test]
fn only_serve_is_a_service() {
    for (line, expected) in [
        (vec!["serve"], true),
        (vec!["init", "dir"], false),
        (vec!["show", "head"], false),
    ] {
        let cli = parse(&line).unwrap();
        assert_eq!(cli.command.is_daemon(), expected, "{line:?}");
    }
}

#[test]
fn a_key_says_whose_it_is() {
    let folder = examples_folder();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let account = json_of(&["account", &file("account.json")]);
    assert_eq!(account["account"].as_str().unwrap().len(), 42);
    let network = json_of(&["account", &file("network.json")]);
    assert_eq!(network["network_key"].as_str().unwrap().len(), 66);
    // A network key is nobody's account.
    let network = file("network.json");
    let error = ashlar(&["tx", "undelegate", "--key", &network, "--dry-run"]).unwrap_err();
    assert_eq!(error.code, "keys.kind");
    let operator = json_of(&["account", &file("bls.json")]);
    assert_eq!(operator["operator"].as_str().unwrap().len(), 66);
    let error = ashlar(&["tx", "undelegate", "--key", &file("bls.json"), "--dry-run"]).unwrap_err();
    assert_eq!(error.code, "keys.kind");
    let error = ashlar(&["account", &file("password")]).unwrap_err();
    assert_eq!(error.exit, 2, "{error}");
}

#[test]
fn a_folder_is_made_once_and_guards_its_key() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("password"), format!("{}\n", keystores::PASSWORD)).unwrap();
    let init = |more: &[&'static str]| {
        let (dir, password) = (file("ledger"), file("password"));
        let mut line = vec![
            "init",
            &dir,
            "--light",
            "--password-file",
            &password,
            "--json",
        ];
        line.extend(more);
        ashlar(&line)
    };
    // What is refused leaves nothing behind.
    let error = init(&["--network", ""]).unwrap_err();
    assert_eq!((error.exit, error.code.as_str()), (2, "ledger.text"));
    let error = init(&["--preset", "gentle"]).unwrap_err();
    assert_eq!(error.code, "io.not_found", "{error}");
    std::fs::write(file("password"), "\n").unwrap();
    assert_eq!(init(&[]).unwrap_err().code, "keys.password_empty");
    std::fs::write(file("password"), format!("{}\n", keystores::PASSWORD)).unwrap();
    assert!(!folder.path().join("ledger").exists());
    let made: Value = serde_json::from_str(&init(&["--preset", "classic/100"]).unwrap()).unwrap();
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("ledger"), 0o700);
    assert_eq!(mode("ledger/admin.json"), 0o600);
    let config = LedgerConfig::load(&folder.path().join("ledger/ledger.toml")).unwrap();
    assert_eq!(config.blocks.interval_ms, 12_000);
    assert!(!config.access.open);
    assert_eq!(
        json!(config.access.accounts),
        json!([made["admin"].clone()])
    );
    let genesis = std::fs::read_to_string(file("ledger/genesis.json")).unwrap();
    let genesis: Genesis = serde_json::from_str(&genesis).unwrap();
    assert_eq!(genesis.params, Params::classic().faster(100));
    assert_eq!(json!(genesis.hash()), made["genesis_hash"]);
    let key = file("ledger/admin.json");
    assert_eq!(json_of(&["account", &key])["account"], made["admin"]);
    // The same key can be another ledger's admin.
    let (other, key) = (file("other"), file("ledger/admin.json"));
    let password = file("password");
    let again = json_of(&[
        "init",
        &other,
        "--light",
        "--password-file",
        &password,
        "--admin-key",
        &key,
    ]);
    assert_eq!(again["admin"], made["admin"]);
    assert!(!folder.path().join("other/admin.json").exists());
    // The key that signs heads is each ledger's own, and has signed nothing yet.
    assert_eq!(mode("ledger/head.json"), 0o600);
    let head = file("ledger/head.json");
    assert_eq!(json_of(&["account", &head])["account"], made["head_key"]);
    assert_eq!(json!(genesis.head_key), made["head_key"]);
    assert_ne!(again["head_key"], made["head_key"]);
    assert_ne!(again["network_id"], made["network_id"]);
    let signed = SigningFloor::open(&config.paths.signed, genesis.hash()).unwrap();
    assert_eq!(signed.next(), Block(0));
    // A second time nothing is touched.
    let before = std::fs::read(file("ledger/admin.json")).unwrap();
    let error = init(&[]).unwrap_err();
    assert_eq!((error.exit, error.code.as_str()), (2, "io.exists"));
    assert_eq!(std::fs::read(file("ledger/admin.json")).unwrap(), before);
}

#[test]
fn the_head_key_is_handed_over_and_what_it_signed_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("password"), format!("{}\n", keystores::PASSWORD)).unwrap();
    let (dir, password) = (file("ledger"), file("password"));
    let made = json_of(&["init", &dir, "--light", "--password-file", &password]);
    let config = file("ledger/ledger.toml");
    let genesis = std::fs::read_to_string(file("ledger/genesis.json")).unwrap();
    let genesis: Genesis = serde_json::from_str(&genesis).unwrap();

    keystores::write(&folder.path().join("next.json"), KeyKind::Account, 9);
    let succeed = |key: &str| {
        let line = [
            "heads", "succeed", "--config", &config, "--key", key, "--from", "77", "--json",
        ];
        ashlar(&line)
    };
    let succession = succeed(&file("next.json")).unwrap();
    let succession: HeadKeySuccession = serde_json::from_str(&succession).unwrap();
    let key: Account = serde_json::from_value(made["head_key"].clone()).unwrap();
    succession.verify(&genesis.id(), &key).unwrap();
    assert_eq!(succession.from_block, Block(77));
    // A key does not follow itself.
    let error = succeed(&file("ledger/head.json")).unwrap_err();
    assert_eq!(error.exit, 2, "{error}");

    // What is there is never begun again.
    let reset = |above: &str| ashlar(&["heads", "reset", "--config", &config, "--above", above]);
    assert_eq!(reset("5").unwrap_err().code, "io.exists");
    std::fs::remove_file(file("ledger/signed")).unwrap();
    reset("5").unwrap();
    let signed = SigningFloor::open(Path::new(&file("ledger/signed")), genesis.hash()).unwrap();
    assert_eq!(signed.next(), Block(6));

    let accepted = json_of(&["heads", "accept-clock", "--config", &config]);
    assert!(accepted["accepted_ms"].as_u64().unwrap() > 1_600_000_000_000);
}

#[test]
fn printed_parameters_can_be_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let text = ashlar(&["init", "--print-params", "--preset", "classic"]).unwrap();
    std::fs::write(file("params.json"), &text).unwrap();
    let again = json_of(&["init", "--print-params", "--preset", &file("params.json")]);
    assert_eq!(
        serde_json::from_value::<Params>(again).unwrap(),
        Params::classic()
    );
}

#[test]
fn a_service_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let error = ashlar(&["serve", "--config", &file("ledger.toml")]).unwrap_err();
    assert_eq!((error.exit, error.code.as_str()), (2, "config.read"));
    assert!(error.next.as_ref().unwrap().contains("ashlar stake init"));
    std::fs::write(file("ledger.toml"), "[listen]\nport = 1\n").unwrap();
    let error = ashlar(&["serve", "--config", &file("ledger.toml")]).unwrap_err();
    assert_eq!(error.code, "config.parse");
    // No key to sign heads with.
    std::fs::write(file("ledger.toml"), "[listen]\nhttp = \"127.0.0.1:0\"\n").unwrap();
    std::fs::write(file("password"), format!("{}\n", keystores::PASSWORD)).unwrap();
    let error = ashlar(&["serve", "--config", &file("ledger.toml")]).unwrap_err();
    assert_eq!(error.code, "io.not_found", "{error}");
    keystores::write(&folder.path().join("head.json"), KeyKind::Network, 1);
    let error = ashlar(&["serve", "--config", &file("ledger.toml")]).unwrap_err();
    assert_eq!(error.code, "keys.kind");
    keystores::write(&folder.path().join("head.json"), KeyKind::Account, 1);
    // No genesis to begin with.
    let error = ashlar(&["serve", "--config", &file("ledger.toml")]).unwrap_err();
    assert_eq!(error.code, "ledger.genesis");
    let error = ashlar(&["serve", "--config", &file("ledger.toml"), "--json"]).unwrap_err();
    assert_eq!(error.code, "ledger.genesis");
    assert!(error.why[0].contains("genesis.json"), "{error}");
}

#[test]
fn the_guide_names_every_command() {
    let page = include_str!("../../../docs/restaking.md");
    let table = &page[page.find("\n## The commands").unwrap()..];
    let cli = ashlar_cli::command();
    let stake = cli.find_subcommand("stake").unwrap();
    for command in stake.get_subcommands() {
        let name = format!("| `ashlar stake {} ", command.get_name());
        let alone = format!("| `ashlar stake {}` ", command.get_name());
        assert!(table.contains(&name) || table.contains(&alone), "{name}");
    }
    let row = table
        .lines()
        .find(|line| line.starts_with("| `ashlar stake show"))
        .unwrap();
    let words: Vec<&str> = row
        .split(|letter: char| !letter.is_ascii_alphabetic() && letter != '-')
        .collect();
    for command in stake.find_subcommand("show").unwrap().get_subcommands() {
        assert!(
            words.contains(&command.get_name()),
            "{}",
            command.get_name()
        );
    }
}
