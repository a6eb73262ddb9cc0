#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::testing::{CODES, codes, edge_rows, naive_element, polynomial, random_rows, scalars};

#[test]
fn the_table_of_the_protocol_is_accepted() {
    for (blowup, chunks) in CODES {
        let code = Code::new(blowup, chunks).unwrap();
        assert_eq!(
            code.cell_len() * chunks as usize,
            ELEMENTS_PER_ROW * blowup as usize
        );
        assert_eq!(code.cell_bytes(), code.cell_len() * 32);
        assert_eq!(code.needed() * blowup, chunks);
    }
}

#[test]
fn other_parameters_are_refused() {
    for blowup in [0, 1, 3, 6, 128, u32::MAX] {
        assert_eq!(
            Code::new(blowup, 512),
            Err(CodeError::Blowup { got: blowup })
        );
    }
    // Not a power of two, cells too long, cells of less than an element.
    for got in [0, 1, 100, 256, 65536, 1 << 31, u32::MAX] {
        assert_eq!(Code::new(8, got), Err(CodeError::Chunks { blowup: 8, got }));
    }
}

#[test]
fn slices_hold_the_evaluations_of_the_definition() {
    for code in codes() {
        let rows = edge_rows();
        let all = Rows::from_bytes(
            rows.iter()
                .flat_map(|row| row.as_bytes().to_vec())
                .collect(),
        )
        .unwrap();
        let slices = Slices::extend(code, &all);
        assert_eq!((slices.code(), slices.rows()), (code, rows.len()));
        for (at, row) in rows.iter().enumerate() {
            let polynomial = polynomial(row.as_bytes());
            for index in [
                0,
                code.needed() - 1,
                code.needed(),
                code.chunks() / 2 + 1,
                code.chunks() - 1,
            ] {
                let slice = slices.slice(index).unwrap();
                assert_eq!(slice.len(), rows.len() * code.cell_bytes());
                let cell = scalars(&slice[at * code.cell_bytes()..][..code.cell_bytes()]);
                for (element, value) in cell.iter().enumerate() {
                    let position = index as usize * code.cell_len() + element;
                    assert_eq!(
                        *value,
                        naive_element(code, &polynomial, position),
                        "{code:?} {index} {element}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_code_is_systematic() {
    for code in codes() {
        let rows = random_rows("systematic", 1);
        let slices = Slices::extend(code, &rows);
        let systematic: Vec<_> = slices
            .iter()
            .take(code.needed() as usize)
            .flatten()
            .copied()
            .collect();
        assert_eq!(systematic, rows.as_bytes());
    }
}

#[test]
fn more_rows_than_a_tile() {
    let code = Code::new(2, 128).unwrap();
    let rows = random_rows("tall", 2 * TILE + 1);
    let slices = Slices::extend(code, &rows);
    for at in [0, TILE - 1, TILE, 2 * TILE] {
        let alone = Slices::extend(
            code,
            &Rows::from_bytes(rows.row(at).unwrap().to_vec()).unwrap(),
        );
        for index in 0..code.chunks() {
            let cell = &slices.slice(index).unwrap()[at * code.cell_bytes()..][..code.cell_bytes()];
            assert_eq!(cell, alone.slice(index).unwrap());
        }
    }
}

#[test]
fn slices_outside_are_none() {
    let code = Code::new(2, 128).unwrap();
    let slices = Slices::extend(code, &random_rows("tree", 2));
    assert_eq!(slices.slice(128), None);
    assert_eq!(slices.slice(u32::MAX), None);
    assert_eq!(
        slices.slice_bytes() * 128,
        slices.clone().into_bytes().len()
    );
}
