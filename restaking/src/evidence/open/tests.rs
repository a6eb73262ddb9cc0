#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Coded, Encoding};

use super::super::testing::*;
use super::*;

#[test]
fn whoever_has_the_rows_can_answer_in_either_form() {
    let (world, duty) = (world(), world().duty(3));
    let setup = Setup::ethereum();
    for seed in 0..4 {
        let at = duty.random_position(&[seed; 32]);
        let opening = CustodyAnswer::from_rows(setup, world.blob(), &world.rows, at).unwrap();
        assert_eq!(opening, world.opening(at));
        opening.check(setup, world.blob(), at).unwrap();
        let slice = CustodyAnswer::slice_from_rows(setup, world.blob(), &world.rows, at).unwrap();
        slice.check(setup, world.blob(), at).unwrap();
        assert!(matches!(slice, CustodyAnswer::Slice { .. }));
        assert!(opening.to_bytes().len() < 1024);
    }
}

#[test]
fn other_rows_make_no_answer() {
    let world = world();
    let setup = Setup::ethereum();
    let at = world.duty(3).random_position(&[1; 32]);
    let code = |rows: &Rows, at| {
        [
            CustodyAnswer::from_rows(setup, world.blob(), rows, at),
            CustodyAnswer::slice_from_rows(setup, world.blob(), rows, at),
        ]
        .map(|made| made.unwrap_err().code())
    };
    let mut payload = world
        .rows
        .to_payload(Encoding::Packed31, world.blob().payload_len)
        .unwrap();
    payload[77] ^= 1;
    let other = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
    let row_of_byte = Position {
        row: 0,
        element: at.element,
    };
    assert_eq!(
        code(&other, row_of_byte),
        ["custody.commitment_path", "custody.slice_path"]
    );
    let shorter = Rows::from_payload(&payload[..1000], Encoding::Packed31).unwrap();
    let beyond = Position {
        row: 1,
        element: at.element,
    };
    assert_eq!(
        code(&shorter, beyond),
        ["custody.row", "custody.slice_length"]
    );
    let outside = Position {
        row: 0,
        element: u32::MAX,
    };
    assert_eq!(code(&other, outside), ["custody.not_assigned"; 2]);
}
