//! Memory mode: what is to go wrong can be switched at run time.

use std::sync::Arc;
use std::time::Duration;

use ashlar_client::memory::{Certificates, MemoryNetwork, Switches};
use ashlar_service::ApiError;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Certificates that are made from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// True ones.
    #[default]
    True,
    /// Of a batch that operators no longer have to hold.
    Expired,
    /// Too few operators have signed.
    TooFewSigners,
    /// The signature is over something else.
    Forged,
    /// For another blob.
    OtherBlob,
}

/// What is to go wrong, and how slow it all is. What a POST leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memstore {
    /// Milliseconds from a post to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    put_latency_ms: Option<u64>,
    /// Milliseconds from there to the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certify_latency_ms: Option<u64>,
    /// Milliseconds for a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    get_latency_ms: Option<u64>,
    /// So many posts are refused: with op.failover = "503" each is a reason to fail over.
    #[serde(skip_serializing_if = "Option::is_none")]
    refuse_puts: Option<u32>,
    /// So many posts are accepted, and the answer is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lose_answers: Option<u32>,
    /// So many blobs fail: too few operators sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_blobs: Option<u32>,
    /// So many reads fail: too few operators answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_gets: Option<u32>,
    /// Nothing is certified.
    #[serde(skip_serializing_if = "Option::is_none")]
    stall: Option<bool>,
    /// Which certificates are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Kind>,
}

fn set<T: Copy>(place: &mut T, value: Option<T>) {
    *place = value.unwrap_or(*place);
}

impl Memstore {
    fn of(switches: &Switches) -> Self {
        let ms = |time: Duration| Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            put_latency_ms: ms(switches.put_latency),
            certify_latency_ms: ms(switches.certify_latency),
            get_latency_ms: ms(switches.get_latency),
            refuse_puts: Some(switches.refuse_puts),
            lose_answers: Some(switches.lose_answers),
            fail_blobs: Some(switches.fail_blobs),
            fail_gets: Some(switches.fail_gets),
            stall: Some(switches.stall),
            certificates: Some(match switches.certificates {
                Certificates::True => Kind::True,
                Certificates::Expired => Kind::Expired,
                Certificates::TooFewSigners => Kind::TooFewSigners,
                Certificates::Forged => Kind::Forged,
                Certificates::OtherBlob => Kind::OtherBlob,
            }),
        }
    }

    fn apply(&self, switches: &mut Switches) {
        let time = |ms: Option<u64>| ms.map(Duration::from_millis);
        set(&mut switches.put_latency, time(self.put_latency_ms));
        set(&mut switches.certify_latency, time(self.certify_latency_ms));
        set(&mut switches.get_latency, time(self.get_latency_ms));
        set(&mut switches.refuse_puts, self.refuse_puts);
        set(&mut switches.lose_answers, self.lose_answers);
        set(&mut switches.fail_blobs, self.fail_blobs);
        set(&mut switches.fail_gets, self.fail_gets);
        set(&mut switches.stall, self.stall);
        let kind = self.certificates.map(|kind| match kind {
            Kind::True => Certificates::True,
            Kind::Expired => Certificates::Expired,
            Kind::TooFewSigners => Certificates::TooFewSigners,
            Kind::Forged => Certificates::Forged,
            Kind::OtherBlob => Certificates::OtherBlob,
        });
        set(&mut switches.certificates, kind);
    }
}

fn look(network: &MemoryNetwork) -> Json<Memstore> {
    let mut seen = Memstore::default();
    network.set(|switches| seen = Memstore::of(switches));
    Json(seen)
}

/// The switches of memory mode.
#[utoipa::path(
    get,
    path = "/memstore/config",
    responses((status = 200, description = "As they are", body = Memstore)),
    tag = "memory"
)]
pub(crate) async fn show(State(network): State<Arc<MemoryNetwork>>) -> Json<Memstore> {
    look(&network)
}

/// Sets switches of memory mode.
#[utoipa::path(
    post,
    path = "/memstore/config",
    request_body = Memstore,
    responses((status = 200, description = "As they are now", body = Memstore)),
    tag = "memory"
)]
pub(crate) async fn change(
    State(network): State<Arc<MemoryNetwork>>,
    body: Bytes,
) -> Result<Json<Memstore>, ApiError> {
    let asked: Memstore = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(400, "memstore.config", error.to_string()))?;
    network.set(|switches| asked.apply(switches));
    Ok(look(&network))
}
