//! How operators are asked. A trait, so that the whole retriever can be tested without sockets.

use std::time::Duration;

use ashlar_proto::OperatorEntry;
use ashlar_proto::wire::{Request, Response};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::fault::Fault;

/// A way to ask an operator.
pub trait Network: Send + Sync + 'static {
    /// Sends one request to one operator, whose identity is pinned to the network key of its table entry, and returns
    /// the answer with its bulk part, which has at most `max_bulk` bytes. Ends within `timeout`. Nothing of the answer
    /// is trusted. Dropping the future abandons the request.
    fn ask<'a>(
        &'a self,
        operator: &'a OperatorEntry,
        request: Request,
        max_bulk: u64,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(Response, Bytes), Fault>>;
}
