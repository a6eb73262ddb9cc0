//! Verification of many signatures of one message: all at once, and by halves only if that fails.

use ashlar_crypto::bls::{
    BlsError, PublicKey, Signature, SignatureBytes, aggregate_public_keys, aggregate_signatures,
};
use ashlar_proto::OperatorIndex;

/// An operator's answer: index in the table, its key, and what it sent.
pub type Signed = (OperatorIndex, PublicKey, SignatureBytes);

/// One result an answer, in order. With only good signatures it costs a decoding each and one pairing check; each bad one
/// adds about `2 · log2(n)` checks.
///
/// Several operators that collude can send signatures of which none is valid alone and whose sum is. They count as
/// signers then. That is right: the sum can only be made with all their secret keys, so all of them have signed. What
/// is called good here must be aggregated together, which the certificate does.
pub fn verify_signatures(message: &[u8], answers: &[Signed]) -> Vec<Result<Signature, BlsError>> {
    let mut results: Vec<Result<Signature, BlsError>> = answers
        .iter()
        .map(|(_, _, bytes)| Signature::from_bytes(bytes))
        .collect();
    let decoded: Vec<(usize, PublicKey, Signature)> = results
        .iter()
        .zip(answers)
        .enumerate()
        .filter_map(|(at, (result, (_, key, _)))| {
            result.as_ref().ok().map(|signature| (at, *key, *signature))
        })
        .collect();
    let mut bad = Vec::new();
    bisect(message, &decoded, &mut bad);
    for at in bad {
        if let Some(result) = results.get_mut(at) {
            *result = Err(BlsError::Signature);
        }
    }
    results
}

fn bisect(message: &[u8], answers: &[(usize, PublicKey, Signature)], bad: &mut Vec<usize>) {
    if answers.is_empty() || sum_verifies(message, answers) {
        return;
    }
    if let [(at, _, _)] = answers {
        bad.push(*at);
        return;
    }
    let (left, right) = answers.split_at(answers.len() / 2);
    bisect(message, left, bad);
    bisect(message, right, bad);
}

fn sum_verifies(message: &[u8], answers: &[(usize, PublicKey, Signature)]) -> bool {
    let keys: Vec<PublicKey> = answers.iter().map(|(_, key, _)| *key).collect();
    let signatures: Vec<Signature> = answers.iter().map(|(_, _, signature)| *signature).collect();
    match (
        aggregate_public_keys(&keys),
        aggregate_signatures(&signatures),
    ) {
        (Some(key), Some(signature)) => key.verify(message, &signature).is_ok(),
        // Keys or signatures that cancel out verify nothing as a sum; the halves are looked at one by one.
        _ => false,
    }
}

#[cfg(test)]
mod tests;
