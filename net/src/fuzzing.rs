//! Messages out of memory, for fuzz targets. No part of the API.

use std::sync::Arc;

use ashlar_crypto::NetworkPublicKey;
use ashlar_proto::wire::{AnswerLimit, Request, Response};
use bytes::Bytes;
use tokio::time::Instant;

use crate::client::{AnswerMemory, read_answer};
use crate::frame::{Account, Reader, Recv, Wait};
use crate::server::read_request;
use crate::shares::{Claim, Shares, User};
use crate::{Budget, BulkReader, NetError, NetLimits};

/// Longer messages are only slower.
const MAX_BULK: u64 = 1 << 20;

fn reader(message: &Bytes, limits: &NetLimits) -> (Reader, Wait) {
    let wait = Wait {
        total: Instant::now() + limits.request_timeout,
        stall: limits.stall_timeout,
        min_rate: 0,
    };
    let recv = Recv::Memory(message.clone());
    (Reader::new(recv, wait, "memory".into()), wait)
}

fn limits() -> NetLimits {
    NetLimits {
        max_bulk: MAX_BULK,
        ..NetLimits::default()
    }
}

/// Reads a request as a server does, and all of its bulk part.
///
/// # Errors
/// As a server refuses it.
pub async fn request(message: &Bytes) -> Result<(Request, Bytes), NetError> {
    let limits = limits();
    let (mut reader, _) = reader(message, &limits);
    let claim = Claim::new(User::Known(NetworkPublicKey([0; 32])));
    let envelopes = Shares::new(limits.envelope_memory);
    let max = limits.max_envelope;
    let (request, len) = read_request(&mut reader, max, &limits, &envelopes, &claim).await?;
    let account = Account {
        claim: Arc::clone(&claim),
        memory: Shares::new(limits.max_bulk),
    };
    let bulk = BulkReader::new(reader, len, account).read_to_end().await?;
    Ok((request, bulk))
}

/// Reads an answer as a client does.
///
/// # Errors
/// As a client refuses it.
pub async fn answer(to: &Request, message: &Bytes) -> Result<(Response, Bytes), NetError> {
    let limits = limits();
    let (reader, wait) = reader(message, &limits);
    let limit = AnswerLimit {
        bulk: to.answer_limit().bulk.min(limits.max_bulk),
        ..to.answer_limit()
    };
    let memory = AnswerMemory {
        envelopes: Budget::new(limits.envelope_memory),
        bulk: Budget::new(limits.answer_memory),
    };
    let answer = read_answer(reader, to, limit, wait, &memory).await?;
    Ok((answer.response, answer.bulk))
}
