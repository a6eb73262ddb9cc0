//! What is signed of a transaction: hashes, and the document that a wallet shows and signs.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use alloy_sol_types::SolStruct;
use ashlar_proto::Network;
use ashlar_proto::eip712::{eip712_domain, signing_hash};
use serde::Serialize;
use serde_json::{Value, json};

use super::Action;

/// As in [`ashlar_proto::eip712`], for wallets, which want it spelt out.
const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,bytes32 salt)";

/// What can be done with any of the structs that are signed.
pub(super) trait Visit {
    type Output;

    fn visit<S: SolStruct + Serialize>(self, signed: &S) -> Self::Output;
}

struct StructHash;

impl Visit for StructHash {
    type Output = B256;

    fn visit<S: SolStruct + Serialize>(self, signed: &S) -> B256 {
        signed.eip712_hash_struct()
    }
}

struct SigningHash(Network);

impl Visit for SigningHash {
    type Output = [u8; 32];

    fn visit<S: SolStruct + Serialize>(self, signed: &S) -> [u8; 32] {
        signing_hash(self.0, signed)
    }
}

struct TypedData(Network);

impl Visit for TypedData {
    type Output = Result<Value, serde_json::Error>;

    fn visit<S: SolStruct + Serialize>(self, signed: &S) -> Self::Output {
        let mut types = types_of(&S::eip712_encode_type());
        types.extend(types_of(DOMAIN_TYPE));
        let domain = eip712_domain(self.0.0);
        let mut message = serde_json::to_value(signed)?;
        numbers_to_text(&mut message);
        Ok(json!({
            "types": types,
            "primaryType": S::NAME,
            "domain": { "name": domain.name, "version": domain.version, "salt": domain.salt },
            "message": message,
        }))
    }
}

impl Action {
    /// What the sender's key signs: the action and the sender's nonce, for one network.
    pub fn signing_hash(&self, network: Network, nonce: u64) -> [u8; 32] {
        self.visit(nonce, SigningHash(network))
    }

    /// The same as the JSON document that wallets take (`eth_signTypedData_v4`).
    ///
    /// # Errors
    ///
    /// What the JSON library says; no action makes it fail.
    pub fn typed_data(&self, network: Network, nonce: u64) -> Result<Value, serde_json::Error> {
        self.visit(nonce, TypedData(network))
    }

    /// The EIP-712 hash of the action alone: what tells it from any other.
    pub(super) fn struct_hash(&self) -> B256 {
        self.visit(0, StructHash)
    }
}

/// The fields of each struct in `Name(type field,…)Other(…)`.
fn types_of(encoded: &str) -> BTreeMap<String, Vec<Value>> {
    encoded
        .split_terminator(')')
        .filter_map(|one| one.split_once('('))
        .map(|(name, fields)| {
            let fields = fields
                .split_terminator(',')
                .filter_map(|field| field.split_once(' '))
                .map(|(kind, field)| json!({ "name": field, "type": kind }))
                .collect();
            (name.to_owned(), fields)
        })
        .collect()
}

/// Wallets read numbers as floating point, which loses digits beyond 2^53; as text they do not.
fn numbers_to_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_text),
        Value::Object(fields) => fields.values_mut().for_each(numbers_to_text),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
