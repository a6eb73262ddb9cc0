//! The worked examples of `docs/restaking.md`: what the page says is what the code computes. Here the parts "Risk" and "Faults and
//! evidence", in the module the ledger's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::version;
use ashlar_restaking::Params;
use ashlar_restaking::risk::{
    DEFAULT_SEARCH_STEPS, Graph, Shock, alpha, certify, exact_slack, find_attack, simulate, to_svg,
    to_text,
};

#[path = "restaking_docs/ledger.rs"]
mod ledger;

const PAGE: &str = include_str!("../../docs/restaking.md");

/// The block of this language behind this heading.
fn block(heading: &str, language: &str) -> &'static str {
    let section = &PAGE[PAGE.find(heading).expect("the heading is there")..];
    let fence = format!("```{language}\n");
    let begin = section.find(&fence).expect("the block is there") + fence.len();
    let length = section[begin..].find("```").expect("the block ends");
    &section[begin..begin + length]
}

fn says(text: &str) {
    // Lines are wrapped where they are wrapped.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat(PAGE).contains(&flat(text)),
        "docs/restaking.md does not say: {text}"
    );
}

fn graph() -> Graph {
    Graph::from_toml(block("## Risk", "toml")).unwrap()
}

#[test]
fn the_table_is_what_the_program_prints() {
    assert_eq!(block("## Risk", "text"), to_text(&graph()).unwrap());
    assert!(to_svg(&graph()).unwrap().contains("gamma*"));
}

#[test]
fn slack_and_attack() {
    let graph = graph();
    let gamma = certify(&graph).unwrap().gamma;
    let (exact, attack) = exact_slack(&graph, DEFAULT_SEARCH_STEPS).unwrap();
    let attack = attack.unwrap();
    println!(
        "γ* {}, exact {}, {attack:?}",
        gamma.describe(),
        exact.describe()
    );
    assert_eq!(find_attack(&graph, DEFAULT_SEARCH_STEPS), Ok(None));
    says(&format!("`{}`", exact.finite().unwrap()));
    says(&format!(
        "costs {} and gains {}",
        attack.stake, attack.profit
    ));
}

#[test]
fn a_shock_and_its_bound() {
    let graph = graph();
    let shock = Shock {
        operators: vec!["delta".to_owned()],
    };
    let cascade = simulate(&graph, &shock, DEFAULT_SEARCH_STEPS).unwrap();
    println!("{cascade:?}");
    assert!(cascade.steps.is_empty());
    says(&format!("(1 + 1/γ\\*) ψ = `{}`", cascade.bound.unwrap()));
    says(&format!(
        "ψ σ_V / (γ\\* σ_min) = `{}`",
        cascade.length_bound.unwrap()
    ));
}

#[test]
fn alpha_of_the_default_version() {
    says("55/100 − 512/(384 · 8) = 23/60");
    assert_eq!(alpha(version(1).unwrap()).unwrap().to_string(), "23/60");
}

#[test]
fn windows_of_custody() {
    let v1 = version(1).unwrap();
    Params::current().check().unwrap();
    says("9 + 1 + 1 + 2 + 1 = 14 days");
    assert_eq!(
        (v1.challenge_secs, v1.retention_secs),
        (9 * 86_400, 14 * 86_400)
    );
}
