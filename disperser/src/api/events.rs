//! `GET /v1/blobs/{key}/events`: server-sent events, one for each state.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::BlobId;
use ashlar_proto::api::BlobState;
use ashlar_service::ApiError;
use ashlar_service::capacity::Held;
use ashlar_service::listener::Sender;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::ApiState;
use super::blobs::find;
use crate::record::BlobRecord;

/// A comment so often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// In documents: an event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the stream is written by hand, piece by piece")]
struct StatusEvent {
    /// A number, from 0 on.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    /// The state.
    event: BlobState,
    /// The blob's status in it, a `BlobStatus` as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// Every state of the blob, past ones first, as server-sent events.
///
/// The event's name is the state, its data the blob's status in it, its id a number from 0 on. The stream ends behind `certified` or
/// `failed`. A reader that was cut off sends the last id it saw as `Last-Event-ID` and gets what came since.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}/events",
    params(
        ("key" = inline(BlobId), Path, description = "Blob id (of the 202) or blob key"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen"),
    ),
    responses(
        (status = 200, description = "Events, each with a status", body = StatusEvent, content_type = "text/event-stream"),
    ),
    tag = "blobs"
)]
pub(crate) async fn events(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + Send>, ApiError> {
    let record = find(&state, &key).await?;
    let seen = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse::<usize>().ok());
    let waiter = state.waiters.take(sender.network(), 1).await?;
    // Subscribed before the record is read again, so that nothing falls between.
    let news = state.engine()?.durable.registry.watch(&record.id);
    let feed = Feed {
        state,
        id: record.id,
        next: seen.map_or(0, |id| id.saturating_add(1)),
        news,
        record: None,
        waiter,
    };
    Ok(Sse::new(stream::unfold(feed, Feed::advance))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Feed {
    state: Arc<ApiState>,
    id: BlobId,
    next: usize,
    news: Option<watch::Receiver<()>>,
    /// As last read; nothing if it has to be read.
    record: Option<BlobRecord>,
    waiter: Held,
}

impl Feed {
    async fn advance(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if self.record.is_none() {
                // What the reading shows is seen: only later changes wake.
                if let Some(news) = &mut self.news {
                    news.mark_unchanged();
                }
                self.record = find(&self.state, &self.id.to_string()).await.ok();
            }
            let record = self.record.as_ref()?;
            if let Some(event) = record.events.get(self.next) {
                let sse = Event::default()
                    .id(self.next.to_string())
                    .event(event.state.as_str())
                    .json_data(record.status_at(event))
                    .ok()?;
                self.next += 1;
                return Some((Ok(sse), self));
            }
            if record.state.is_final() {
                return None;
            }
            self.record = None;
            let Some(news) = &mut self.news else {
                // It was not open when we subscribed and is not final: it was posted again since.
                self.news = Some(self.state.engine().ok()?.durable.registry.watch(&self.id)?);
                continue;
            };
            tokio::select! {
                changed = news.changed() => {
                    if changed.is_err() {
                        self.news = None;
                    }
                }
                // It comes back with the id of the last event.
                _ = self.waiter.wanted() => return None,
                () = self.state.stop.cancelled() => return None,
            }
        }
    }
}
