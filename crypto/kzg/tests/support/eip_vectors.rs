//! The public conformance vectors of EIP-4844 and EIP-7594, where they lie beside the checkout, over the kernel that the
//! test program names.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // reads the vectors

use std::path::PathBuf;

use ashlar_kzg::eip;
use ashlar_kzg::setup::Setup;
use serde_yaml_ng::Value;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hex").trim_start_matches("0x")).expect("hex digits")
}

fn list(value: &Value) -> Vec<Vec<u8>> {
    value
        .as_sequence()
        .expect("a list")
        .iter()
        .map(bytes)
        .collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    value
        .as_sequence()
        .expect("a list")
        .iter()
        .map(|number| number.as_u64().expect("a number"))
        .collect()
}

fn hex_of(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(format!("0x{}", hex::encode(bytes)))
}

fn hex_list<T: AsRef<[u8]>>(list: &[T]) -> Value {
    Value::Sequence(list.iter().map(hex_of).collect())
}

fn pair(a: Value, b: Value) -> Value {
    Value::Sequence(vec![a, b])
}

/// Runs all cases of a folder; a refusal is what `output: null` asks for.
fn run(folder: &str, operation: impl Fn(&Setup, &Value) -> Result<Value, eip::EipError>) {
    crate::choose_kernel();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !root.is_dir() {
        println!("{folder}: vectors not found, skipped ({})", root.display());
        return;
    }
    let mut cases = 0;
    for entry in std::fs::read_dir(root.join(folder)).expect("the folder of the operation") {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let case: Value =
            serde_yaml_ng::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let (input, expected) = (
            case.get("input").expect("input"),
            case.get("output").expect("output"),
        );
        let got = operation(Setup::ethereum(), input);
        match &got {
            Ok(output) => assert!(output == expected, "{}: another output", path.display()),
            Err(error) => assert!(expected.is_null(), "{}: refused: {error}", path.display()),
        }
        cases += 1;
    }
    println!("{folder}: {cases} cases");
    assert!(cases > 0, "no cases in {folder}");
}

#[test]
fn blob_to_kzg_commitment() {
    run("blob_to_kzg_commitment", |setup, input| {
        eip::blob_to_kzg_commitment(setup, &bytes(&input["blob"])).map(hex_of)
    });
}

#[test]
fn compute_kzg_proof() {
    run("compute_kzg_proof", |setup, input| {
        let (proof, y) =
            eip::compute_kzg_proof(setup, &bytes(&input["blob"]), &bytes(&input["z"]))?;
        Ok(pair(hex_of(proof), hex_of(y)))
    });
}

#[test]
fn verify_kzg_proof() {
    run("verify_kzg_proof", |setup, input| {
        let [commitment, z, y, proof] =
            ["commitment", "z", "y", "proof"].map(|name| bytes(&input[name]));
        eip::verify_kzg_proof(setup, &commitment, &z, &y, &proof).map(Value::Bool)
    });
}

#[test]
fn compute_challenge() {
    run("compute_challenge", |_, input| {
        eip::compute_challenge(&bytes(&input["blob"]), &bytes(&input["commitment"])).map(hex_of)
    });
}

#[test]
fn compute_blob_kzg_proof() {
    run("compute_blob_kzg_proof", |setup, input| {
        eip::compute_blob_kzg_proof(setup, &bytes(&input["blob"]), &bytes(&input["commitment"]))
            .map(hex_of)
    });
}

#[test]
fn verify_blob_kzg_proof() {
    run("verify_blob_kzg_proof", |setup, input| {
        let [blob, commitment, proof] =
            ["blob", "commitment", "proof"].map(|name| bytes(&input[name]));
        eip::verify_blob_kzg_proof(setup, &blob, &commitment, &proof).map(Value::Bool)
    });
}

#[test]
fn verify_blob_kzg_proof_batch() {
    run("verify_blob_kzg_proof_batch", |setup, input| {
        let [blobs, commitments, proofs] =
            ["blobs", "commitments", "proofs"].map(|name| list(&input[name]));
        eip::verify_blob_kzg_proof_batch(setup, &blobs, &commitments, &proofs).map(Value::Bool)
    });
}

#[test]
fn compute_cells() {
    run("compute_cells", |_, input| {
        Ok(hex_list(&eip::compute_cells(&bytes(&input["blob"]))?))
    });
}

#[test]
fn compute_cells_and_kzg_proofs() {
    run("compute_cells_and_kzg_proofs", |setup, input| {
        let (cells, proofs) = eip::compute_cells_and_kzg_proofs(setup, &bytes(&input["blob"]))?;
        Ok(pair(hex_list(&cells), hex_list(&proofs)))
    });
}

#[test]
fn compute_verify_cell_kzg_proof_batch_challenge() {
    run(
        "compute_verify_cell_kzg_proof_batch_challenge",
        |_, input| {
            let cells: Vec<_> = input["cosets_evals"]
                .as_sequence()
                .unwrap()
                .iter()
                .map(|cell| list(cell).concat())
                .collect();
            eip::compute_verify_cell_kzg_proof_batch_challenge(
                &list(&input["commitments"]),
                &numbers(&input["commitment_indices"]),
                &numbers(&input["cell_indices"]),
                &cells,
                &list(&input["proofs"]),
            )
            .map(hex_of)
        },
    );
}

#[test]
fn verify_cell_kzg_proof_batch() {
    run("verify_cell_kzg_proof_batch", |setup, input| {
        let [commitments, cells, proofs] =
            ["commitments", "cells", "proofs"].map(|name| list(&input[name]));
        eip::verify_cell_kzg_proof_batch(
            setup,
            &commitments,
            &numbers(&input["cell_indices"]),
            &cells,
            &proofs,
        )
        .map(Value::Bool)
    });
}

#[test]
fn recover_cells_and_kzg_proofs() {
    run("recover_cells_and_kzg_proofs", |setup, input| {
        let indices = numbers(&input["cell_indices"]);
        let (cells, proofs) =
            eip::recover_cells_and_kzg_proofs(setup, &indices, &list(&input["cells"]))?;
        Ok(pair(hex_list(&cells), hex_list(&proofs)))
    });
}
