//! Operator tables: heads, roots, whole tables, witnesses.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::api::Problem;
use ashlar_proto::{OperatorId, TableView as _};
use ashlar_stake::ledger::{ServiceId, TableQueryError};
use ashlar_stake::{TableError, TableRecord};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::general::query;
use super::problem::Refusal;
use super::{ApiState, KeptTable, TABLES, parse};
use crate::types::{TableHead, TableRootView, TableView, WitnessView};

fn refused(error: TableQueryError) -> Refusal {
    match error {
        TableQueryError::Future { block, head } => future(block, head),
        TableQueryError::Service { service } => {
            Refusal::not_found(format_args!("service {service}"))
        }
        error @ TableQueryError::Table(TableError::NoOperators) => Refusal::bad(404, &error),
        error if error.blame() == ashlar_crypto::Blame::Us => Refusal::ours(&error),
        error => Refusal::bad(422, &error),
    }
}

fn future(block: u64, head: u64) -> Refusal {
    Refusal::new(
        404,
        "table.future",
        format!("block {block} is not over: the ledger is in block {head}"),
    )
    .with(block, head.saturating_sub(1))
}

impl ApiState {
    /// The table at the end of a block that is over: it never changes any more.
    async fn table(self: &Arc<Self>, service: ServiceId, block: u64) -> Result<KeptTable, Refusal> {
        let opened = Arc::clone(self.opened()?);
        let kept = opened
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(block, service))
            .cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = self
            .look(move |state| {
                let now = state.meta().block;
                if block >= now {
                    return Err(future(block, now));
                }
                Ok(KeptTable {
                    table: Arc::new(state.table_at(service, block).map_err(refused)?),
                    changed_at: state.table_changed_at(service, block),
                })
            })
            .await?;
        let mut tables = opened.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.insert((block, service), made.clone());
        while tables.len() > TABLES {
            tables.pop_first();
        }
        Ok(made)
    }
}

/// From which block on.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HeadQuery {
    /// Wait for a block after this one.
    after: Option<u64>,
    /// At most so long, and at most 30000 ms.
    #[serde(default)]
    wait_ms: u64,
}

/// The newest block that is over, and its table's root. With `after`, waits for a newer one.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/head",
    params(("service" = u32, Path, description = "Service"), HeadQuery),
    responses(
        (status = 200, description = "Without a root if nobody has stake", body = TableHead),
        (status = 404, description = "No such service, or no block is over yet", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many wait; see Retry-After", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "tables"
)]
pub(crate) async fn head(
    State(state): State<Arc<ApiState>>,
    Path(service): Path<String>,
    asked: Result<Query<HeadQuery>, QueryRejection>,
) -> Result<Json<TableHead>, Refusal> {
    let service = parse("service", &service)?;
    let asked = query(asked)?;
    if let Some(after) = asked.after {
        let newest = state.opened()?.position().block.saturating_sub(1);
        if newest <= after && asked.wait_ms > 0 {
            let wait = Duration::from_millis(asked.wait_ms);
            state
                .wait(wait, |position| position.block.saturating_sub(1) > after)
                .await?;
        }
    }
    let now = state.opened()?.position().block;
    let block = now.checked_sub(1).ok_or_else(|| future(0, 0))?;
    let (root, changed_at) = match state.table(service, block).await {
        Ok(kept) => (Some(kept.table.root()), kept.changed_at),
        Err(refusal) if refusal.code() == TableError::NoOperators.code() => (None, None),
        Err(refusal) => return Err(refusal),
    };
    Ok(Json(TableHead {
        service,
        block,
        root,
        changed_at,
        block_ms: state.config.blocks.interval_ms,
    }))
}

/// The operator table at the end of a block, with proofs of possession: whoever gets it computes the root again.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/tables/{block}",
    params(("service" = u32, Path, description = "Service"), ("block" = u64, Path, description = "Block")),
    responses(
        (status = 200, description = "The root, and the table in the form of the table file", body = Object),
        (status = 404, description = "No such service, the block is not over, or nobody had stake", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "tables"
)]
pub(crate) async fn table(
    State(state): State<Arc<ApiState>>,
    Path((service, block)): Path<(String, String)>,
) -> Result<Json<TableView>, Refusal> {
    let (service, block) = (parse("service", &service)?, parse("block", &block)?);
    let kept = state.table(service, block).await?;
    // Every operator of a ledger registered with a proof.
    let table = TableRecord::from_table(&kept.table).ok_or_else(Refusal::internal)?;
    Ok(Json(TableView {
        service,
        root: kept.table.root(),
        changed_at: kept.changed_at,
        table,
    }))
}

/// The root of the table at the end of a block.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/tables/{block}/root",
    params(("service" = u32, Path, description = "Service"), ("block" = u64, Path, description = "Block")),
    responses(
        (status = 200, description = "The root", body = TableRootView),
        (status = 404, description = "No such service, the block is not over, or nobody had stake", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "tables"
)]
pub(crate) async fn root(
    State(state): State<Arc<ApiState>>,
    Path((service, block)): Path<(String, String)>,
) -> Result<Json<TableRootView>, Refusal> {
    let (service, block) = (parse("service", &service)?, parse("block", &block)?);
    let kept = state.table(service, block).await?;
    Ok(Json(TableRootView {
        service,
        block,
        root: kept.table.root(),
        changed_at: kept.changed_at,
    }))
}

/// What shows somebody who has a table's root only that an operator is in it, and with which weight.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/tables/{block}/operators/{operator}",
    params(
        ("service" = u32, Path, description = "Service"),
        ("block" = u64, Path, description = "Block"),
        ("operator" = String, Path, description = "Operator id, 32 bytes"),
    ),
    responses(
        (status = 200, description = "The table's header, the operator's entry, and the Merkle path between them", body = WitnessView),
        (status = 404, description = "No such table, or the operator is not in it", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "tables"
)]
pub(crate) async fn witness(
    State(state): State<Arc<ApiState>>,
    Path((service, block, operator)): Path<(String, String, String)>,
) -> Result<Json<WitnessView>, Refusal> {
    let (service, block) = (parse("service", &service)?, parse("block", &block)?);
    let operator: OperatorId = parse("operator", &operator)?;
    let table = state.table(service, block).await?.table;
    let index = table
        .find(&operator)
        .ok_or_else(|| Refusal::not_found(format_args!("operator {operator} in this table")))?;
    let (entry, path) = table.witness(index).ok_or_else(Refusal::internal)?;
    Ok(Json(WitnessView {
        service,
        block,
        root: table.root(),
        header: table.header().abi_encode().into(),
        operators: table.header().operators,
        operators_root: table.header().operators_root.into(),
        operator,
        index,
        entry: entry.abi_encode().into(),
        path: path.into_iter().map(Into::into).collect(),
    }))
}
