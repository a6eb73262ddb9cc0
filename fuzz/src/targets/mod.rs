//! What each target does with an input. It fails by a panic.

mod crypto;
mod eip;
mod files;
mod messages;
mod restaking;
mod stores;

use std::fmt::Debug;

use ashlar_proto::api::SignedQuorum;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Target;

pub(crate) use eip::FUNCTIONS;
pub(crate) use messages::requests;

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target::new("payload", crypto::payload),
    Target::new("rows", crypto::rows),
    Target::new("points", crypto::points),
    Target::new("merkle", crypto::merkle),
    Target::new("recover", crypto::slices),
    Target::new("eip", eip::beside_peers),
    Target::new("keystore", crypto::keystore),
    Target::new("certificate", messages::certificate),
    Target::new("headers", messages::headers),
    Target::new("wire_request", messages::wire_request),
    Target::new("wire_response", messages::wire_response),
    Target::new("wire_memory", messages::wire_memory),
    Target::new("frame", messages::frame),
    Target::new("put_blob", messages::put_blob),
    Target::new("auth_headers", messages::auth_headers),
    Target::new("disperser_json", messages::disperser_json),
    Target::new("ledger_request", restaking::request),
    Target::new("ledger_answer", restaking::answer),
    Target::new("ledger_log", restaking::log),
    Target::new("ledger_transaction", restaking::transaction),
    Target::new("evidence", restaking::evidence),
    Target::new("risk_graph", restaking::risk_graph),
    Target::new("operators_file", files::operators_file),
    Target::new("node_config", files::node_config),
    Target::new("disperser_config", files::disperser_config),
    Target::new("ledger_config", files::ledger_config),
    Target::new("protection_file", files::protection_file),
    Target::new("node_store", stores::node),
    Target::new("drives", stores::drives),
    Target::new("disperser_store", stores::disperser),
    Target::new("ledger_files", stores::ledger),
];

/// Percents are for people. Those that we write have two digits; of any others JSON may lose the last bit.
fn no_percents(signed: &mut [SignedQuorum]) {
    signed.iter_mut().for_each(|quorum| quorum.percent = 0.0);
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// JSON that is read is written again, and means the same.
fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    json_without(|_| {}, data)
}

/// The same, without something that need not be kept.
fn json_without<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    drop: impl FnOnce(&mut T),
    data: &[u8],
) -> Option<T> {
    let mut read: T = serde_json::from_slice(data).ok()?;
    drop(&mut read);
    let written = serde_json::to_vec(&read).expect("it has a JSON form");
    let again: T = serde_json::from_slice(&written).expect("it was just written");
    assert_eq!(again, read);
    Some(read)
}
