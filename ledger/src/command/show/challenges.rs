//! Custody challenges, for people.

use super::super::text::{pairs, table};
use super::super::units::{short, whole};
use crate::types::{ChallengeDetail, ChallengeView};

pub(super) fn challenges(list: &[ChallengeView]) -> String {
    if list.is_empty() {
        return "no challenge is open\n".to_owned();
    }
    let rows = list
        .iter()
        .map(|view| {
            let c = &view.challenge;
            vec![
                view.id.to_string(),
                c.service.to_string(),
                short(c.operator),
                short(c.blob_key),
                c.row.to_string(),
                c.element.to_string(),
                c.deadline.to_string(),
                whole(c.bond),
            ]
        })
        .collect();
    table(
        &[
            "challenge",
            "service",
            "operator",
            "blob",
            "row",
            "element",
            "until block",
            "bond",
        ],
        rows,
    )
}

pub(super) fn challenge(one: &ChallengeDetail) -> String {
    let c = &one.challenge;
    let left = (c.deadline + 1).saturating_sub(one.block);
    pairs(&[
        ("challenge", one.id.to_string()),
        ("service", c.service.to_string()),
        ("operator", c.operator.to_string()),
        ("blob", c.blob_key.to_string()),
        ("batch", c.batch_digest.to_string()),
        ("row", c.row.to_string()),
        ("element", c.element.to_string()),
        ("opened", format!("block {}", c.opened)),
        (
            "answer until",
            format!("block {}, {left} blocks are left", c.deadline),
        ),
        ("bond", format!("{} of token {}", whole(c.bond), c.token)),
        ("challenger", c.challenger.to_string()),
    ])
}
