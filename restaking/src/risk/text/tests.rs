#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::{graph, service, share};
use super::*;

/// The example of `docs/restaking.md`.
#[test]
fn the_table_of_the_documentation() {
    let services = vec![
        service("da", 30, share(1, 3), "ab"),
        service("bridge", 20, share(1, 2), "a"),
    ];
    let text = to_text(&graph(&[100, 100], services)).unwrap();
    let expected = "\
service  profit  alpha  cap  operators
da           30    1/3    -          2
bridge       20    1/2    -          1

operator  stake          load T  1/T - 1
a           100  17/20 = 0.8500   0.1764  worst
b           100   9/20 = 0.4500   1.2222

certified: gamma* = 3/17 = 0.1764, decided by a
";
    assert_eq!(text, expected);
}

#[test]
fn what_fails_is_said() {
    let text = to_text(&graph(&[0], vec![service("s", 5, share(1, 2), "a")])).unwrap();
    assert!(text.contains("service s has profit and no stake behind it"));
    assert!(
        text.ends_with("not certified: gamma* = -1.0000\n"),
        "{text}"
    );
    let idle = to_text(&graph(&[5], vec![])).unwrap();
    assert!(
        idle.ends_with("certified: gamma* = unbounded (no profit anywhere)\n"),
        "{idle}"
    );
    assert!(to_text(&graph(&[], vec![service("s", 5, share(1, 2), "a")])).is_err());
}
