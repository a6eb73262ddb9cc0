#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use blst::min_sig::{PublicKey, Signature};

use super::*;
use crate::Setup;
use crate::eip::{load_trusted_setup, trusted_setup_to_bytes};

/// The ceremony's points in hex: lagrange, monomial, g2.
fn points() -> [Vec<String>; 3] {
    let body = &Setup::ethereum_file()[8..];
    let (g1, g2) = body.split_at(2 * 4096 * 96);
    let g1: Vec<_> = g1
        .chunks_exact(96)
        .map(|raw| hex::encode(Signature::deserialize(raw).unwrap().compress()))
        .collect();
    let g2 = g2
        .chunks_exact(192)
        .map(|raw| hex::encode(PublicKey::deserialize(raw).unwrap().compress()))
        .collect();
    let (lagrange, monomial) = g1.split_at(4096);
    [lagrange.to_vec(), monomial.to_vec(), g2]
}

fn text([lagrange, monomial, g2]: &[Vec<String>; 3]) -> String {
    let lines = lagrange.iter().chain(g2).chain(monomial);
    let lines: Vec<_> = lines.map(String::as_str).collect();
    format!("{}\n{}\n{}\n", lagrange.len(), g2.len(), lines.join("\n"))
}

fn json([lagrange, monomial, g2]: &[Vec<String>; 3]) -> String {
    let list = |points: &[String]| format!("[\n    \"0x{}\"\n  ]", points.join("\",\n    \"0x"));
    format!(
        "{{\n  \"g1_monomial\": {},\n  \"g1_lagrange\": {},\n  \"g2_monomial\": {}\n}}\n",
        list(monomial),
        list(lagrange),
        list(g2)
    )
}

#[test]
fn both_forms_are_the_embedded_file() {
    let points = points();
    assert!(trusted_setup_to_bytes(&text(&points)).unwrap() == Setup::ethereum_file());
    assert!(trusted_setup_to_bytes(&json(&points)).unwrap() == Setup::ethereum_file());
    load_trusted_setup(&json(&points)).unwrap();
}

#[test]
fn what_is_wrong_is_named() {
    let points = points();
    let refused = |change: &dyn Fn(&mut [Vec<String>; 3])| {
        let mut points = points.clone();
        change(&mut points);
        let refused = trusted_setup_to_bytes(&json(&points)).unwrap_err();
        let again = trusted_setup_to_bytes(&text(&points)).unwrap_err();
        (refused, again)
    };
    let count = |part, expected, got| SetupError::Count {
        part,
        expected,
        got,
    };
    let (json_error, text_error) = refused(&|points| drop(points[0].pop()));
    assert_eq!(json_error, count("lagrange", 4096, 4095));
    assert_eq!(text_error, count("lagrange", 4096, 4095));
    let (json_error, text_error) = refused(&|points| points[1].push("00".into()));
    assert_eq!(json_error, count("monomial", 4096, 4097));
    assert_eq!(text_error, count("monomial", 4096, 4097));
    for error in <[_; 2]>::from(refused(&|points| points[2][7] = "8".repeat(191) + "x")) {
        assert!(matches!(
            error,
            SetupError::Hex {
                part: "g2",
                index: 7,
                ..
            }
        ));
    }
    for error in <[_; 2]>::from(refused(&|points| points[1][9] = "00".repeat(48))) {
        assert!(matches!(
            error,
            SetupError::Point {
                part: "monomial",
                index: 9,
                ..
            }
        ));
    }
    // Points of their groups, but no setup.
    let mut swapped = points.clone();
    swapped[0].swap(3, 4);
    assert_eq!(
        load_trusted_setup(&text(&swapped)).unwrap_err(),
        SetupError::Lagrange
    );
}

#[test]
fn what_is_no_setup_is_refused() {
    let point = "\"0x00\"";
    for text in [
        "",
        "4096",
        "a b",
        "{",
        "{}",
        "[]",
        "{\"g1_lagrange\": 7}",
        "{\"g1_lagrange\": []}",
        "{\"g1_lagrange\": [\"a\"",
        "{\"g1_lagrange\": [\"a]}",
        "{\"g1_lagrange\": [\"a\"]}}",
        "{\"other\": [\"a\"]}",
        &format!("{{\"g1_lagrange\": [{point}], \"g1_lagrange\": [{point}]}}"),
        &format!("{{\"g1_lagrange\": [{point} {point}]}}"),
        &format!("{{{point}, \"g1_lagrange\": [{point}]}}"),
    ] {
        let error = trusted_setup_to_bytes(text).unwrap_err();
        assert!(matches!(error, SetupError::Text { .. }), "{text}: {error}");
    }
}
