//! Heads that contradict the ledger, and the keys that sign them.

use std::collections::BTreeSet;

use ashlar_proto::{Account, TableAccess as _, TableRoot};

use super::super::testing::*;
use super::super::*;

const WHO: u8 = 9;

/// Three blocks with a table.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.join(0, Wad::percent(50));
    lab.pass(3);
    lab
}

fn head(lab: &Lab, key: u8, block: Block, root: TableRoot) -> Action {
    World::head(&lab.state, key, 1, block, root)
}

fn next(key: u8) -> Account {
    Account(head_key(key).address())
}

const OTHER: TableRoot = TableRoot([9; 32]);

#[test]
fn a_head_for_another_root_is_held_against_its_source() {
    let mut lab = lab();
    assert!(lab.state.contradicting_head(1, Block(2), OTHER).is_none());
    let events = lab.ok(WHO, head(&lab, 0, Block(2), OTHER));
    assert_eq!(
        events,
        [Event::SourceContradicted {
            service: 1,
            block: Block(2),
            signed_root: OTHER,
            key: next(0)
        }]
    );
    let found = lab.state.contradicting_head(1, Block(2), OTHER).unwrap();
    assert_eq!((found.key, found.shown), (next(0), lab.block));
    // That very root at that very block of that service, and nothing else.
    assert!(lab.state.contradicting_head(1, Block(1), OTHER).is_none());
    assert!(lab.state.contradicting_head(2, Block(2), OTHER).is_none());
    assert!(
        lab.state
            .contradicting_head(1, Block(2), TableRoot([8; 32]))
            .is_none()
    );
    assert_eq!(lab.state.contradictions().count(), 1);
    // A block without any table contradicts every head.
    let action = World::head(&lab.state, 0, 2, Block(2), OTHER);
    lab.ok(WHO, action);
    assert!(lab.state.contradicting_head(2, Block(2), OTHER).is_some());
}

#[test]
fn keys_succeed_each_other_and_an_old_one_has_no_say_about_later_blocks() {
    let mut lab = lab();
    let rotated = lab.block;
    lab.ok(WHO, World::rotate(0, next(1), rotated));
    assert_eq!(lab.state.meta().head_key, next(1));
    lab.pass(3);
    lab.ok(WHO, head(&lab, 0, rotated.saturating_sub(1), OTHER));
    assert_eq!(lab.code(WHO, head(&lab, 0, rotated, OTHER)), "head.key");
    lab.ok(WHO, head(&lab, 1, rotated, OTHER));
    // Neither the old key nor an old statement brings the old key back.
    assert_eq!(
        lab.code(
            WHO,
            head(&lab, 1, rotated.saturating_sub(1), TableRoot([8; 32]))
        ),
        "head.key"
    );
    // Not for a block that is over: its head may be signed.
    let later = lab.block;
    for (code, action) in [
        ("head.succession", World::rotate(0, next(2), later)),
        ("head.key_used", World::rotate(1, next(0), later)),
        ("head.key_block", World::rotate(1, next(2), rotated)),
        (
            "head.key_block",
            World::rotate(1, next(2), later.saturating_sub(1)),
        ),
    ] {
        assert_eq!(lab.code(WHO, action), code);
    }
    lab.ok(WHO, World::rotate(1, next(2), later));
    let again = World::rotate(0, next(1), rotated);
    assert_eq!(lab.code(WHO, again), "head.key_used");
    let keys: Vec<_> = lab.state.head_keys().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 3);
    for (block, key) in [
        (Block(0), 0),
        (rotated.saturating_sub(1), 0),
        (rotated, 1),
        (later.saturating_sub(1), 1),
        (later, 2),
        (later + 99, 2),
    ] {
        assert_eq!(lab.state.head_key_at(block), next(key), "block {block}");
    }
    // Whoever pinned the first one can follow.
    let mut key = next(0);
    for succession in lab.state.head_key_successions() {
        succession.verify(&lab.state.meta().id, &key).unwrap();
        key = succession.successor;
    }
    assert_eq!(key, next(2));
}

/// Every refusal about heads, in directed transactions.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut expect = |code: &'static str, got: &'static str| {
        assert_eq!(code, got);
        met.insert(code);
    };
    let mut lab = lab();
    let now = lab.block;
    expect("head.early", lab.code(WHO, head(&lab, 0, now, OTHER)));
    expect("head.key", lab.code(WHO, head(&lab, 1, Block(2), OTHER)));
    let right = lab.state.table_at(1, Block(2)).unwrap().root();
    expect("head.agrees", lab.code(WHO, head(&lab, 0, Block(2), right)));
    // Signed for another service.
    let Action::SubmitHead {
        block,
        time_ms,
        table_root,
        signature,
        ..
    } = World::head(&lab.state, 0, 2, Block(2), OTHER)
    else {
        unreachable!()
    };
    let moved = Action::SubmitHead {
        service: 1,
        block,
        time_ms,
        table_root,
        signature,
    };
    expect("head.key", lab.code(WHO, moved));
    lab.ok(WHO, head(&lab, 0, Block(2), OTHER));
    expect("head.known", lab.code(WHO, head(&lab, 0, Block(2), OTHER)));
    expect(
        "head.succession",
        lab.code(WHO, World::rotate(1, next(2), Block(9))),
    );
    expect(
        "head.key_block",
        lab.code(WHO, World::rotate(0, next(1), Block(0))),
    );
    expect(
        "head.key_used",
        lab.code(WHO, World::rotate(0, next(0), Block(9))),
    );
    met
}
