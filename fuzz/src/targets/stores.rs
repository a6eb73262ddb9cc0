//! What daemons read back from their disks.

use ashlar_disperser::record::{BatchRecord, BlobRecord};
use ashlar_restaking::State;

use super::{json_without, no_percents, text};
use crate::samples;

/// Values and keys of a node's database.
pub(crate) fn node(data: &[u8]) {
    let (header, _) = samples::batch();
    ashlar_node::fuzzing::value(&header, data);
}

/// What lies on drives, and beside keystores.
pub(crate) fn drives(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 5 {
        0 => ashlar_node::fuzzing::drive_frame(data),
        1 => ashlar_node::fuzzing::stripes(data),
        2 => ashlar_node::fuzzing::drive_record(data),
        3 => ashlar_node::fuzzing::tally(data),
        _ => {
            let Some(text) = text(data) else { return };
            ashlar_node::fuzzing::drive_label(text);
            ashlar_node::fuzzing::marker(text);
        }
    }
}

/// Records of a disperser's database.
pub(crate) fn disperser(data: &[u8]) {
    let without = |blob: &mut BlobRecord| {
        if let Some(batch) = &mut blob.batch {
            no_percents(&mut batch.signed);
        }
    };
    if let Some(blob) = json_without(without, data) {
        for event in &blob.events {
            let _ = blob.status_at(event);
        }
    }
    if let Some(batch) = json_without(
        |batch: &mut BatchRecord| no_percents(&mut batch.signed),
        data,
    ) {
        let _ = batch.digest();
    }
}

/// What lies beside a ledger's log, and with its followers.
pub(crate) fn ledger(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => ashlar_ledger::fuzzing::head_record(&samples::table().domain(), data),
        1 => ashlar_ledger::fuzzing::signing_floor(data),
        2 => ashlar_ledger::fuzzing::follower_files(data),
        _ => {
            if let Ok(Ok(mut state)) = serde_json::from_slice::<State>(data).map(State::with_keys) {
                let _ = (state.root(), state.check_books());
            }
        }
    }
}
