//! Keys at work: a BLS key in a process of its own, killed under load; a network key that changes while its node runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, http_get, wait_for};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a node says about itself.
fn status(http: &str) -> serde_json::Value {
    let (_, body) = http_get(&format!("{http}/v1/status")).unwrap();
    serde_json::from_str(&body).unwrap()
}

fn signed(http: &str) -> u64 {
    status(http)["signed_batches"].as_u64().unwrap()
}

fn health(http: &str) -> String {
    http_get(&format!("{http}/v1/health")).map_or(String::new(), |(_, body)| body)
}

/// A signer process that is gone with the test.
struct SignerProcess(Child);

impl SignerProcess {
    fn start(devnet: &Devnet, dir: &Path) -> Self {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(dir.join("log"))
            .unwrap();
        let config = dir.join("signer.toml");
        let child = devnet
            .command(["signer", "run", "--config", text(&config)])
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for SignerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Moves the BLS key of an operator that is stopped into a signer; gives the signer's folder.
fn move_key_to_signer(devnet: &Devnet, index: usize) -> PathBuf {
    let node = devnet.node(index).dir.clone();
    let config = node.join("node.toml");
    let dir = devnet.folder().join("signer");
    std::fs::create_dir(&dir).unwrap();
    let floors = devnet.folder().join("moving.json");
    let export = ["node", "protection", "export", text(&floors), "--config"];
    devnet
        .run(export.iter().copied().chain([text(&config)]))
        .success();
    std::fs::rename(node.join("bls.json"), dir.join("bls.json")).unwrap();
    std::fs::copy(node.join("password"), dir.join("password")).unwrap();

    let shown = devnet.run(["keys", "show", text(&node.join("network.json"))]);
    let network_key = shown.success()["public_key"].as_str().unwrap().to_owned();
    let domain = devnet.run(["operators", "show"]).success()["domain"]
        .as_str()
        .unwrap()
        .to_owned();
    let port = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let http = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    // From the environment, as the password of any command.
    let made = Outcome::of(
        devnet
            .command(["signer", "init", "--json", "--dir", text(&dir)])
            .args([
                "--node",
                &network_key,
                "--domain",
                &domain,
                "--listen",
                &port,
                "--http",
                &http,
            ])
            .env("ASHLAR_PASSWORD_FILE", dir.join("password")),
    )
    .success();
    assert_eq!(made["database"], false, "the key has a history");
    let signer_config = dir.join("signer.toml");
    let import = [
        "signer",
        "protection",
        "import",
        text(&floors),
        "--new-database",
        "--config",
        text(&signer_config),
    ];
    assert_eq!(devnet.run(import).success()["floors"], 1);

    // The node's configuration, with what init printed.
    let old = std::fs::read_to_string(&config).unwrap();
    let mut new: toml::Table = old.parse().unwrap();
    let signer = new["signer"].as_table_mut().unwrap();
    for (name, from) in [
        ("address", "address"),
        ("network_key", "network_key"),
        ("bls_public_key", "bls_public_key"),
    ] {
        let value = made[from].as_str().unwrap().to_owned();
        signer.insert(name.to_owned(), value.into());
    }
    std::fs::write(&config, new.to_string()).unwrap();
    dir
}

#[test]
fn a_remote_signer_is_killed_under_load() {
    let mut devnet = Devnet::start_with(&["--operators", "3", "--no-ledger"]);
    devnet.put("first", &payload(1, 1000));
    let http = devnet.node(2).http.clone();
    wait_for("the operator's signature", || signed(&http) > 0);
    devnet.kill_node(2);
    let dir = move_key_to_signer(&devnet, 2);

    let mut signer = SignerProcess::start(&devnet, &dir);
    devnet.restart_node(2);
    for round in 0..3 {
        let before = signed(&http);
        wait_for("signatures", || {
            devnet.put_with(&format!("before-{round}"), &payload(10 + round, 2000), &[]);
            signed(&http) > before
        });
        signer.kill();
        // The others carry on.
        devnet.put_with(&format!("without-{round}"), &payload(20 + round, 2000), &[]);
        wait_for("the cause", || health(&http).contains(r#""code":"signer""#));
        signer = SignerProcess::start(&devnet, &dir);
        wait_for("the node's health", || {
            health(&http).contains(r#""status":"ready""#)
        });
    }
    let before = signed(&http);
    wait_for("signatures at the end", || {
        devnet.put_with("last", &payload(30, 2000), &[]);
        signed(&http) > before
    });
    let (_, metrics) = http_get(&format!("{http}/metrics")).unwrap();
    assert!(!metrics.contains("sequence_conflict"), "{metrics}");
    // A second process on the same folder finds it taken.
    let config = dir.join("signer.toml");
    devnet
        .run(["signer", "run", "--config", text(&config)])
        .failure(1, "store.locked");
    signer.kill();

    // The key back in the node, without the signer: signing has ended with that database.
    devnet.kill_node(2);
    let node = devnet.node(2).dir.clone();
    std::fs::copy(dir.join("bls.json"), node.join("bls.json")).unwrap();
    let path = node.join("node.toml");
    let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    config.remove("signer");
    std::fs::write(&path, config.to_string()).unwrap();
    let mut child = devnet
        .command(["node", "run", "--config", text(&path), "--password-file"])
        .arg(node.join("password"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the node's health", || {
        health(&http).contains("database.moved")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `ashlar stake tx …` with a key of an operator of the devnet.
fn tx(devnet: &Devnet, dir: &Path, arguments: &[&str]) -> serde_json::Value {
    let (key, password) = (dir.join("account.json"), dir.join("password"));
    let mut all = vec!["stake", "tx"];
    all.extend(arguments);
    all.extend(["--key", text(&key), "--password-file", text(&password)]);
    devnet.run(all).success()
}

#[test]
fn a_network_key_changes_while_its_node_runs() {
    let mut devnet = Devnet::start_with(&["--stakes", "40,30,20"]);
    let before = payload(1, 40_000);
    let old = devnet.put("before", &before);
    let (http, dir) = (devnet.node(2).http.clone(), devnet.node(2).dir.clone());
    wait_for("the operator's signature", || signed(&http) > 0);

    // The next key lies beside the first one, and is loaded at the next start; nothing changes yet.
    let next = dir.join("network.next.json");
    let password = dir.join("password");
    let new = ["keys", "new", "network", "--light", "--out", text(&next)];
    let made = devnet
        .run(
            new.iter()
                .copied()
                .chain(["--password-file", text(&password)]),
        )
        .success();
    devnet.kill_node(2);
    devnet.restart_node(2);
    assert_eq!(status(&http)["network_keys"][1], made["public_key"]);
    let pid = devnet.node(2).pid;

    let bls = dir.join("bls.json");
    let update = [
        "update-operator",
        "--bls-key",
        text(&bls),
        "--bls-password-file",
        text(&password),
        "--network-key",
        text(&next),
    ];
    tx(&devnet, &dir, &update);
    let mut round = 0;
    wait_for("the table with the new key", || {
        round += 1;
        devnet.put(&format!("during-{round}"), &payload(100 + round, 2000));
        health(&http).contains("network_key.next")
    });
    // It signs by the new table, under the new key.
    let signed_before = signed(&http);
    let after = payload(2, 40_000);
    let mut newer = devnet.put("after", &after);
    wait_for("signatures under the new key", || {
        newer = devnet.put("after", &after);
        signed(&http) > signed_before
    });
    assert!(
        health(&http).contains(r#""status":"ready""#),
        "{}",
        health(&http)
    );
    assert_eq!(devnet.node(2).pid, pid, "it was not started again");

    // Both tables' readers get what they expect, from nobody but this operator's peers and itself.
    for (certificate, bytes) in [(&old, &before), (&newer, &after)] {
        let report = devnet.get_expecting(certificate, "operators", bytes);
        let refused = report.to_string().contains("wrong_identity");
        assert!(!refused, "{report}");
    }
}

#[test]
fn a_head_key_is_succeeded_while_everything_runs() {
    let mut devnet = Devnet::start_with(&["--stakes", "40,30"]);
    let (http, node) = (devnet.node(0).http.clone(), devnet.node(0).dir.clone());
    let ledger = devnet.file.ledger.clone().unwrap().dir;
    let (config, next) = (ledger.join("ledger.toml"), ledger.join("next.json"));
    let new = ["keys", "new", "account", "--light", "--out", text(&next)];
    let password = ledger.join("password");
    devnet
        .run(
            new.iter()
                .copied()
                .chain(["--password-file", text(&password)]),
        )
        .success();
    let configure = |change: &dyn Fn(&mut toml::Table)| {
        let mut all: toml::Table = std::fs::read_to_string(&config).unwrap().parse().unwrap();
        change(all["paths"].as_table_mut().unwrap());
        std::fs::write(&config, all.to_string()).unwrap();
    };
    // The ledger has to be started with both; nobody else notices.
    devnet.kill_ledger();
    configure(&|paths| {
        paths.insert("next_head_key".into(), "next.json".into());
    });
    devnet.restart_ledger();
    let pids = [
        devnet.node(0).pid,
        devnet.node(1).pid,
        devnet.file.disperser.pid,
    ];

    let head = || status(&http)["head"].as_u64().unwrap();
    let from = (head() + 20).to_string();
    let succeed = [
        "stake",
        "heads",
        "succeed",
        "--config",
        text(&config),
        "--from",
        &from,
    ];
    let said = devnet
        .run(succeed.iter().copied().chain(["--key", text(&next)]))
        .success();
    let field = |name: &str| said[name].as_str().unwrap().to_owned();
    tx(
        &devnet,
        &node,
        &[
            "rotate-head-key",
            "--successor",
            &field("successor"),
            "--from-block",
            &from,
            "--head-signature",
            &field("signature"),
        ],
    );
    let from: u64 = from.parse().unwrap();
    let mut round = 0;
    wait_for("heads of the new key", || {
        round += 1;
        devnet.put(&format!("during-{round}"), &payload(round, 2000));
        head() > from
    });
    // From here on the ledger has the new key alone.
    devnet.kill_ledger();
    configure(&|paths| {
        paths.insert("head_key".into(), "next.json".into());
        paths.insert("next_head_key".into(), "".into());
    });
    devnet.restart_ledger();
    let before = head();
    wait_for("more heads", || head() > before);
    let bytes = payload(99, 40_000);
    let certificate = devnet.put("after", &bytes);
    devnet.get_expecting(&certificate, "operators", &bytes);
    for http in [&http, &devnet.node(1).http] {
        assert!(
            health(http).contains(r#""status":"ready""#),
            "{}",
            health(http)
        );
    }
    let now = [
        devnet.node(0).pid,
        devnet.node(1).pid,
        devnet.file.disperser.pid,
    ];
    assert_eq!(now, pids, "nobody was started again");
}

/// `ashlar --json keys …` in a folder, with this environment.
fn keys(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    Outcome::of(
        std::process::Command::new(crate::support::binary())
            .args(["--json", "keys"])
            .args(arguments)
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stdin(Stdio::null()),
    )
}

#[test]
fn keys_go_in_and_out() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("one"), "correct horse\n").unwrap();
    std::fs::write(at.join("two"), "battery staple\n").unwrap();
    let run = |line: &str| keys(at, &line.split(' ').collect::<Vec<_>>(), &[]);
    let made = run("new bls --out bls.json --password-file one --light").success();

    // Under another password, as hexadecimal, and back in: the same key.
    let copied =
        run("export bls.json --out copy.json --light --password-file one --new-password-file two");
    assert_eq!(copied.success()["public_key"], made["public_key"]);
    run("export bls.json --out secret.hex --unencrypted --password-file one").success();
    let mode = std::fs::metadata(at.join("secret.hex"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for line in [
        "import bls --from copy.json --from-password-file two --out a.json --password-file one --light",
        "import bls --from secret.hex --out b.json --password-file one --light",
    ] {
        let imported = run(line).success();
        assert_eq!(imported["operator_id"], made["operator_id"], "{line}");
    }

    // Passwords of the environment, of which there is one.
    let show = ["show", "copy.json", "--possession"];
    for environment in [
        ("ASHLAR_PASSWORD", "battery staple"),
        ("ASHLAR_PASSWORD_FILE", "two"),
    ] {
        let shown = keys(at, &show, &[environment]).success();
        assert_eq!(shown["proof_of_possession"], made["proof_of_possession"]);
    }
    let both = [("ASHLAR_PASSWORD", "x"), ("ASHLAR_PASSWORD_FILE", "two")];
    keys(at, &show, &both).failure(2, "usage");
    keys(at, &show, &[("ASHLAR_PASSWORD", "wrong")]).failure(2, "keystore.wrong_password");
    keys(at, &show, &[]).failure(2, "keys.password_missing");

    // Nothing is overwritten, and nothing is taken for what it is not.
    run("import bls --from secret.hex --out bls.json --password-file one").failure(2, "io.exists");
    run("export bls.json --out copy.json --password-file one --new-password-file two")
        .failure(2, "io.exists");
    run("export bls.json --out x.json --password-file two --new-password-file two")
        .failure(2, "keystore.wrong_password");
    run(
        "import network --from copy.json --from-password-file two --out x.json --password-file one",
    )
    .failure(2, "keys.kind");
    run("import bls --from one --out x.json --password-file one").failure(2, "hex.digit");
    std::fs::write(at.join("zero"), "00".repeat(32)).unwrap();
    let zero = run("import bls --from zero --out x.json --password-file one --light");
    assert_eq!(zero.code, 2, "{}", zero.stderr);
    assert!(!at.join("x.json").exists());
}
