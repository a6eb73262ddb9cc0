//! What operators copy, held against the code: the files of `ops/` and the tables of the guides name only metrics, causes, codes,
//! keys and options that exist. Sources are read as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between quotation marks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// A metric as it is declared: its name on the page without prefix and without the endings of a histogram's series, and whether it is
/// a histogram.
fn declared(source: &str) -> (String, BTreeMap<String, bool>) {
    let text = read(source);
    let prefix = text.lines().find(|line| line.contains("struct Metrics(\""));
    let prefix = quoted(prefix.unwrap()).next().unwrap().to_owned();
    let mut metrics = BTreeMap::new();
    let fields = text.lines().filter(|line| line.trim_end().ends_with(';'));
    for line in fields.filter(|line| line.trim_start().starts_with("pub")) {
        let Some(name) = quoted(line).next() else {
            continue;
        };
        let unit = line.trim_end_matches(';').rsplit(", ").next().unwrap();
        let unit = match unit {
            "Seconds" => "_seconds",
            "Bytes" => "_bytes",
            other => {
                assert!(other.ends_with('"'), "another unit: {line}");
                ""
            }
        };
        let total = if line.contains("Counter") {
            "_total"
        } else {
            ""
        };
        metrics.insert(format!("{name}{unit}{total}"), line.contains("Histogram"));
    }
    assert!(metrics.len() > 7, "{source}: {metrics:?}");
    (prefix, metrics)
}

/// Each has a unit and a dashboard.
const DAEMONS: [&str; 6] = ["node", "signer", "disperser", "gateway", "proxy", "ledger"];

const SOURCES: [&str; 6] = [
    "node/src/metrics.rs",
    "node/src/signer/server/metrics.rs",
    "disperser/src/metrics.rs",
    "retriever/src/gateway/metrics.rs",
    "proxy/src/metrics.rs",
    "ledger/src/service/metrics.rs",
];

/// All series that the daemons' pages have.
fn series() -> BTreeSet<String> {
    let mut series = BTreeSet::new();
    for source in SOURCES {
        let (prefix, metrics) = declared(source);
        for (name, histogram) in metrics {
            let name = format!("{prefix}_{name}");
            if histogram {
                for part in ["bucket", "sum", "count"] {
                    series.insert(format!("{name}_{part}"));
                }
            } else {
                series.insert(name);
            }
        }
    }
    series
}

/// The metrics of an expression, and the codes that it asks for.
fn check_expression(expression: &str, series: &BTreeSet<String>, guide: &str) {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut metrics = 0;
    for word in words.filter(|word| word.starts_with("ashlar_")) {
        assert!(
            series.contains(word),
            "no metric is called {word}: {expression}"
        );
        metrics += 1;
    }
    assert!(metrics > 0 || expression.starts_with("up{"), "{expression}");
    for code in expression.split("code=\"").skip(1) {
        let code = code.split('"').next().unwrap();
        assert!(
            guide.contains(&format!("`{code}`")),
            "no code is called {code}"
        );
    }
}

/// Keys of a configuration that a text names exist.
fn check_keys(text: &str) {
    let examples = [
        "node/node.example.toml",
        "node/signer.example.toml",
        "disperser/disperser.example.toml",
        "retriever/gateway.example.toml",
        "proxy/proxy.example.toml",
        "ledger/ledger.example.toml",
    ]
    .map(|example| read(example).parse::<toml::Table>().unwrap());
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '.');
    for (section, key) in words.filter_map(|word| word.trim_matches('.').split_once('.')) {
        let sections = examples.iter().filter_map(|example| example.get(section));
        let keys: Vec<_> = sections.collect();
        assert!(
            keys.is_empty() || keys.iter().any(|keys| keys.get(key).is_some()),
            "no key is called {section}.{key}: {text}"
        );
    }
}

/// Causes of health that the daemons can raise.
fn causes() -> BTreeSet<String> {
    let sources = [
        "node/src/health.rs",
        "disperser/src/health.rs",
        "retriever/src/gateway/health.rs",
        "proxy/src/health.rs",
        "ledger/src/service/health.rs",
    ];
    let mut causes = BTreeSet::new();
    for source in sources {
        let text = read(source);
        let lines = text
            .lines()
            .filter(|line| line.contains(": Cause = Cause::"));
        causes.extend(lines.flat_map(quoted).map(str::to_owned));
    }
    assert!(causes.contains("disk_space"), "{causes:?}");
    causes
}

#[test]
fn alerts_name_metrics_codes_and_causes_that_exist() {
    let (series, causes, guide) = (series(), causes(), read("docs/operator-guide.md"));
    let rules: Value = serde_yaml_ng::from_str(&read("ops/prometheus/ashlar.rules.yml")).unwrap();
    let mut names = BTreeSet::new();
    for rule in rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("{rule}"))
                .to_owned()
        };
        assert!(names.insert(text(&rule["alert"])), "twice: {rule}");
        check_expression(&text(&rule["expr"]), &series, &guide);
        let severity = text(&rule["labels"]["severity"]);
        assert!(
            ["critical", "warning"].contains(&severity.as_str()),
            "{rule}"
        );
        text(&rule["annotations"]["summary"]);
        let description = text(&rule["annotations"]["description"]);
        description.split('`').step_by(2).for_each(check_keys);
        for cause in description.split('`').skip(1).step_by(2) {
            assert!(
                causes.contains(cause),
                "no cause is called {cause}: {description}"
            );
        }
    }
    assert!(names.len() > 20, "{names:?}");
    run_if_there(
        "promtool",
        &["check", "rules", "ops/prometheus/ashlar.rules.yml"],
    );
}

#[test]
fn dashboards_show_metrics_that_exist() {
    let (series, guide) = (series(), read("docs/operator-guide.md"));
    for name in DAEMONS {
        let dashboard: Value =
            serde_json::from_str(&read(&format!("ops/grafana/{name}.json"))).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.len() > 5, "{name}");
        for target in panels
            .iter()
            .flat_map(|panel| panel["targets"].as_array().unwrap())
        {
            check_expression(target["expr"].as_str().unwrap(), &series, &guide);
        }
    }
}

/// Every command line that a unit or an image runs is one of ours, and the units agree with what the daemons promise.
#[test]
fn units_and_image_run_commands_that_exist() {
    let parses = |words: Vec<&str>| {
        ashlar_cli::Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    };
    for name in DAEMONS {
        let file = format!("ops/systemd/ashlar-{name}.service");
        let unit = read(&file);
        let value = |key: &str| {
            let line = unit
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")));
            line.unwrap_or_else(|| panic!("{file} has no {key}"))
        };
        let command = value("ExecStart");
        assert!(
            parses(command.split(' ').collect()).command.is_daemon(),
            "{command}"
        );
        assert!(!command.contains("--new-database"), "{file}");
        let stop: u64 = value("TimeoutStopSec").parse().unwrap();
        assert!(stop > ashlar_proto::times::STOP.as_secs(), "{file}");
        let wrong = ashlar_cli::error::Exit::Usage as u8;
        assert_eq!(value("RestartPreventExitStatus"), wrong.to_string());
        assert!(read("ops/systemd/ashlar.sysusers").contains(&format!("u {} ", value("User"))));
    }
    for unit in &DAEMONS.map(|name| format!("ops/systemd/ashlar-{name}.service")) {
        run_if_there("systemd-analyze", &["verify", unit]);
    }
    let image = read("ops/Containerfile");
    let list =
        |line: &str| serde_json::from_str::<Vec<String>>(&line[line.find('[').unwrap()..]).unwrap();
    let of = |key: &str| {
        let line = image.lines().find(|line| line.starts_with(key));
        list(line.unwrap_or_else(|| panic!("the image has no {key}")))
    };
    let check = of("HEALTHCHECK");
    parses(check.iter().map(String::as_str).collect());
    let run = [of("ENTRYPOINT"), of("CMD ")].concat();
    assert!(
        parses(run.iter().map(String::as_str).collect())
            .command
            .is_daemon()
    );
    let ports: Vec<&str> = image
        .lines()
        .filter_map(|line| line.strip_prefix("EXPOSE "))
        .collect();
    let listen = ashlar_node::NodeConfig::default().listen;
    assert_eq!(ports, [format!("{}/udp", listen.quic.port())]);
    assert!(check.last().unwrap().ends_with(&listen.http.to_string()));
}

/// Runs a tool over files of ours where it is installed.
fn run_if_there(tool: &str, arguments: &[&str]) {
    let done = Command::new(tool)
        .args(arguments)
        .current_dir(path(""))
        .output();
    let Ok(done) = done else {
        eprintln!("{tool} is not installed: {arguments:?} is not checked by it");
        return;
    };
    let said = String::from_utf8_lossy(&done.stderr);
    // The only thing that may be missing is the binary, which is not installed where this is tested.
    let ours = |line: &&str| !line.contains("/usr/local/bin/ashlar is not executable");
    let mut said = said
        .lines()
        .filter(|line| line.contains("ashlar"))
        .filter(ours);
    assert!(said.next().is_none(), "{tool} {arguments:?}: {done:?}");
}

/// Metrics that a guide's table names, under a prefix: the first cells of its rows.
fn documented(prefix: &str) -> BTreeSet<String> {
    let guides = [read("docs/operator-guide.md"), read("docs/restaking.md")].concat();
    let head = format!("| Metric (prefix `{prefix}_`)");
    let mut names = BTreeSet::new();
    for table in guides.split(&head).skip(1) {
        for row in table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
        {
            let cell = row.split('|').nth(1).unwrap();
            let cell = cell.split('`').skip(1).step_by(2);
            names.extend(cell.map(|name| name.split('{').next().unwrap().to_owned()));
        }
    }
    names
}

#[test]
fn the_guides_list_all_metrics_and_no_others() {
    for source in SOURCES {
        let (prefix, metrics) = declared(source);
        let exist: BTreeSet<String> = metrics.into_keys().collect();
        let documented = documented(&prefix);
        let missing: Vec<_> = exist.difference(&documented).collect();
        let invented: Vec<_> = documented.difference(&exist).collect();
        assert!(
            missing.is_empty(),
            "no guide has these of {prefix}: {missing:?}"
        );
        assert!(
            invented.is_empty(),
            "{prefix} has none of these: {invented:?}"
        );
    }
}

#[test]
fn the_guide_lists_all_causes_of_health() {
    let guide = [read("docs/operator-guide.md"), read("docs/restaking.md")].concat();
    for cause in causes() {
        assert!(
            guide.contains(&format!("`{cause}`")),
            "no guide has the cause {cause}"
        );
    }
}
