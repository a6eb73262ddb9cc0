#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::{Caps, Dice, graph, random, service, share};
use super::*;

/// A small reader of the XML that we write: tags nest, attributes are quoted, `&` begins a known entity. Gives the
/// number of elements.
fn check_xml(text: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        elements += 1;
        let (tag, closed) = tag
            .strip_suffix('/')
            .map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name}");
        let pieces: Vec<&str> = attributes.split('"').collect();
        assert_eq!(pieces.len() % 2, 1, "{attributes}");
        for pair in pieces.chunks_exact(2) {
            assert!(pair[0].ends_with('='), "{attributes}");
            check_text(pair[1]);
        }
        if !closed {
            open.push(name);
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    elements
}

fn check_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(
            known.iter().any(|entity| text[at..].starts_with(entity)),
            "{text}"
        );
    }
}

#[test]
fn hostile_names_are_only_text() {
    let evil = "</text><script>alert('&\"x\"')</script>";
    let mut graph = graph(&[100, 0, 300], vec![service("s", 60, share(1, 2), "")]);
    graph.operators[0].name = evil.to_owned();
    graph.services[0].name = evil.replace("alert", "prompt");
    graph.services[0].operators = vec![super::super::Edge::Common(evil.to_owned())];
    let svg = to_svg(&graph).unwrap();
    assert!(!svg.contains("<script"));
    assert!(svg.contains("&lt;script&gt;alert(&#39;&amp;&quot;x&quot;&#39;)"));
    check_xml(&svg);
}

#[test]
fn colours_follow_the_load() {
    for (profit, class) in [(0, "idle"), (25, "low"), (40, "near"), (50, "over")] {
        let svg = to_svg(&graph(&[100], vec![service("s", profit, share(1, 2), "a")])).unwrap();
        assert!(
            svg.contains(&format!("<circle class=\"{class}")),
            "{profit}: {svg}"
        );
    }
    let bare = to_svg(&graph(&[], vec![service("s", 5, share(1, 2), "")])).unwrap();
    assert!(bare.contains("<rect class=\"over\""));
}

#[test]
fn edges_are_as_wide_as_the_stake() {
    let svg = to_svg(&graph(
        &[100, 50, 0],
        vec![service("s", 5, share(1, 2), "abc")],
    ))
    .unwrap();
    for width in ["9.00", "4.88", "0.75"] {
        assert!(
            svg.contains(&format!("stroke-width=\"{width}\"")),
            "{width}"
        );
    }
}

#[test]
fn every_graph_can_be_drawn() {
    let mut dice = Dice(8);
    for _ in 0..200 {
        let graph = random(&mut dice, 40, 40, Caps::Mixed);
        let edges: usize = graph.services.iter().map(|s| s.operators.len()).sum();
        assert!(check_xml(&to_svg(&graph).unwrap()) > edges + graph.services.len());
    }
    assert!(check_xml(&to_svg(&Graph::default()).unwrap()) > 3);
    assert!(to_svg(&graph(&[], vec![service("s", 5, share(1, 2), "a")])).is_err());
}
