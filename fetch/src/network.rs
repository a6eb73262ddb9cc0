//! How operators are asked. A trait, so that the whole retriever can be tested without sockets.

use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_net::{CallOptions, Client, NetError, Peer};
use ashlar_proto::OperatorEntry;
use ashlar_proto::wire::{AnswerLimit, Request, Response};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::fault::Fault;

/// A way to ask an operator.
pub trait Network: Send + Sync + 'static {
    /// Sends one request to one operator, whose identity is pinned to the network key of its table entry, and returns
    /// the answer with its bulk part; a longer one than `limit` is not read. Ends within `timeout`. Nothing of the answer
    /// is trusted. Dropping the future abandons the request.
    fn ask<'a>(
        &'a self,
        operator: &'a OperatorEntry,
        request: Request,
        limit: AnswerLimit,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(Response, Bytes), Fault>>;
}

impl Network for Client {
    fn ask<'a>(
        &'a self,
        operator: &'a OperatorEntry,
        request: Request,
        limit: AnswerLimit,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(Response, Bytes), Fault>> {
        let peer = Peer::from(operator);
        let options = CallOptions {
            deadline: timeout,
            answer: limit,
        };
        Box::pin(async move {
            match self.call(&peer, &request, &[], options).await {
                Ok(answer) => Ok((answer.response, answer.bulk)),
                Err(NetError::Remote(reply)) => {
                    Err(Fault::refused(&reply.code, reply.blame, &reply.message))
                }
                Err(error) => Err(Fault::Network {
                    code: error.code(),
                    retry: error.is_transient(),
                    reason: error.to_string(),
                }),
            }
        })
    }
}
