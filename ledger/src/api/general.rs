//! Where the ledger stands, and its events.

use std::time::Duration;

use ashlar_service::ApiError;
use ashlar_service::extract::InQuery;
use ashlar_service::listener::Sender;
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::IntoParams;

use super::{Answer, Limit, Shared, WaitMs};
use crate::service::writer::Command;
use crate::types::{EventPage, Head, MAX_PAGE, StateRoot};

/// Where the ledger stands.
#[utoipa::path(
    get,
    path = "/v1/head",
    responses(
        (status = 200, description = "Network, block, length and last link of the log", body = Head),
    ),
    tag = "ledger"
)]
pub(crate) async fn head(State(state): Shared) -> Answer<Head> {
    let opened = state.opened()?;
    let position = opened.position();
    Ok(Json(Head {
        network: opened.network.clone(),
        genesis: opened.genesis,
        block: position.block,
        table_block: position.block.saturating_sub(1),
        transactions: position.transactions,
        records: position.records,
        link: position.link,
        block_ms: state.config.blocks.interval_ms,
    }))
}

/// The state root, now: what a replay of the log gives.
#[utoipa::path(
    get,
    path = "/v1/root",
    responses(
        (status = 200, description = "The root, and the record it is the root after", body = StateRoot),
    ),
    tag = "ledger"
)]
pub(crate) async fn root(State(state): Shared) -> Answer<StateRoot> {
    let (answer, answered) = oneshot::channel();
    state.command(Command::Root(answer))?;
    Ok(Json(state.answer(answered).await?))
}

/// Which events.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Events after this record; 0 for the oldest that are kept.
    #[serde(default)]
    since: u64,
    /// Records at most.
    #[param(inline)]
    limit: Option<Limit>,
    /// If there are none, wait so long for some, in milliseconds.
    #[param(inline)]
    wait_ms: Option<WaitMs>,
}

/// Events, oldest first. Ask again with `since` = `next`.
#[utoipa::path(
    get,
    path = "/v1/events",
    params(EventsQuery),
    responses(
        (status = 200, description = "Events by record", body = EventPage),
        (status = 410, description = "Events of that long ago are not kept in memory; the log has them"),
    ),
    tag = "ledger"
)]
pub(crate) async fn events(
    State(state): Shared,
    Extension(sender): Extension<Sender>,
    InQuery(asked): InQuery<EventsQuery>,
) -> Answer<EventPage> {
    let limit = asked.limit.map_or(MAX_PAGE, |limit| limit.get() as usize);
    let wait = asked.wait_ms.map_or(0, WaitMs::get);
    let until = tokio::time::Instant::now() + Duration::from_millis(wait);
    loop {
        let opened = state.opened()?;
        let records = opened.position().records;
        let page = opened.events.page(asked.since, limit).map_err(|since| {
            ApiError::new(
                410,
                "events.gone",
                format!("events are kept after record {since}; the log has those before"),
            )
            .with(asked.since, since)
        })?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if !page.items.is_empty() || left.is_zero() || state.stop.is_cancelled() {
            return Ok(Json(page));
        }
        // A block without events is a record too: then it is waited for the next.
        let after = records.max(asked.since);
        let position = opened.position.clone();
        state
            .wait(sender, left, position, |position| position.records > after)
            .await?;
    }
}
