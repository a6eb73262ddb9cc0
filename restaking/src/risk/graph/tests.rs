#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::super::testing::{Caps, Dice, graph, random, service, share, unique};
use super::*;

const TOML: &str = r#"
[[operators]]
name = "a"
stake = "100000000000000000000"
[[operators]]
name = "b"
stake = 50

[[services]]
name = "da"
profit = 30
alpha = "30%"
operators = ["a", "b"]

[[services]]
name = "bridge"
profit = 10
alpha = "1/2"
slash_cap = "0.5"
operators = [{ name = "a", unique = "7" }]
"#;

#[test]
fn toml_and_json_say_the_same() {
    let graph = Graph::from_toml(TOML).unwrap();
    assert_eq!(
        graph.operators[0].stake.to_string(),
        "100000000000000000000"
    );
    assert_eq!(graph.services[1].slash_cap, Some(share(1, 2)));
    assert_eq!(graph.services[1].operators, [unique("a", 7)]);
    let json = serde_json::to_string(&graph).unwrap();
    assert_eq!(Graph::from_json(&json).unwrap(), graph);
    let text = toml::to_string(&graph).unwrap();
    assert_eq!(Graph::from_toml(&text).unwrap(), graph);
}

#[test]
fn each_rule_has_its_error() {
    let half = share(1, 2);
    let code = |graph: Graph| graph.validate().unwrap_err().code();
    let service = |operators: &str| service("s", 1, half, operators);

    let mut bad = graph(&[1, 1], vec![]);
    bad.operators[1].name = "a".to_owned();
    assert_eq!(code(bad), "risk.duplicate");
    assert_eq!(
        code(graph(&[1], vec![service("a"), service("a")])),
        "risk.duplicate"
    );
    assert_eq!(code(graph(&[1], vec![service("aa")])), "risk.duplicate");
    assert_eq!(
        code(graph(&[1], vec![service("ab")])),
        "risk.unknown_operator"
    );

    let mut mixed = service("ab");
    mixed.operators[1] = unique("b", 1);
    assert_eq!(code(graph(&[1, 1], vec![mixed])), "risk.mixed_edges");

    let mut greedy = service("");
    greedy.operators = vec![unique("a", 6)];
    let mut other = greedy.clone();
    other.name = "t".to_owned();
    assert_eq!(
        graph(&[12], vec![greedy.clone(), other.clone()]).validate(),
        Ok(())
    );
    assert_eq!(
        code(graph(&[11], vec![greedy, other])),
        "risk.over_allocated"
    );

    for name in [
        "",
        "line\nbreak",
        "\u{7f}",
        "\u{ffff}",
        &"x".repeat(MAX_NAME_BYTES + 1),
    ] {
        let mut bad = graph(&[1], vec![]);
        bad.operators[0].name = name.to_owned();
        assert_eq!(code(bad), "risk.name", "{name:?}");
    }
    assert_eq!(
        code(Graph {
            operators: vec![graph(&[1], vec![]).operators[0].clone(); MAX_OPERATORS + 1],
            services: vec![]
        }),
        "risk.too_many"
    );
    assert_eq!(
        code(graph(&[], vec![service(""); MAX_SERVICES + 1])),
        "risk.too_many"
    );
    let long = " ".repeat(MAX_GRAPH_BYTES + 1);
    assert_eq!(
        Graph::from_json(&long).unwrap_err().code(),
        "risk.too_large"
    );
    assert_eq!(
        Graph::from_toml(&long).unwrap_err().code(),
        "risk.too_large"
    );
}

#[test]
fn allocations_that_overflow_are_refused() {
    let mut s = service("s", 1, share(1, 2), "");
    s.operators = vec![Edge::Unique {
        name: "a".to_owned(),
        unique: Stake::MAX,
    }];
    let mut t = s.clone();
    t.name = "t".to_owned();
    let error = graph(&[5], vec![s, t]).validate().unwrap_err();
    assert!(matches!(
        error,
        GraphError::OverAllocated {
            allocated: Stake::MAX,
            ..
        }
    ));
}

#[test]
fn malformed_files_are_refused() {
    for text in [
        "",
        "[]",
        r#"{"operators":[]}"#,
        r#"{"operators":[],"services":[],"more":1}"#,
        r#"{"operators":[{"name":"a","stake":-1}],"services":[]}"#,
        r#"{"operators":[{"name":"a","stake":1.5}],"services":[]}"#,
        r#"{"operators":[{"name":"a","stake":"0x10"}],"services":[]}"#,
        r#"{"operators":[{"name":"a","stake":""}],"services":[]}"#,
        r#"{"operators":[{"name":"a","stake":"115792089237316195423570985008687907853269984665640564039457584007913129639936"}],"services":[]}"#,
        r#"{"operators":[],"services":[{"name":"s","profit":1,"alpha":"0","operators":[]}]}"#,
    ] {
        assert_eq!(
            Graph::from_json(text).unwrap_err().code(),
            "risk.malformed",
            "{text}"
        );
    }
    assert_eq!(
        Graph::from_toml("operators = 5").unwrap_err().code(),
        "risk.malformed"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Graph::from_json(&text);
        let _ = Graph::from_toml(&text);
    }

    #[test]
    fn random_graphs_come_back(seed: u64) {
        let graph = random(&mut Dice(seed), 50, 50, Caps::Mixed);
        prop_assert_eq!(graph.validate(), Ok(()));
        prop_assert_eq!(Graph::from_json(&serde_json::to_string(&graph).unwrap()).unwrap(), graph);
    }
}
