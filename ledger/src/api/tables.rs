//! Operator tables: heads, roots, whole tables, witnesses.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::{Block, OperatorId, SignedHead, TableAccess as _};
use ashlar_restaking::{ServiceId, TableQueryError};
use ashlar_service::ApiError;
use ashlar_service::extract::{InPath, InQuery};
use ashlar_service::listener::Sender;
use ashlar_stake::{TableError, TableRecord};
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, ApiState, KeptTable, Shared, TABLES, WaitMs, found, internal_error};
use crate::service::signer::Newest;
use crate::types::{HeadKeysView, TableHead, TableRootView, TableView, WitnessView};

fn refused(error: TableQueryError) -> ApiError {
    match error {
        TableQueryError::Future { block, head } => future(block, head),
        TableQueryError::Service { service } => {
            ApiError::not_found(format_args!("service {service}"))
        }
        error @ TableQueryError::Table(TableError::NoOperators) => ApiError::coded(404, &error),
        error if error.blame() == ashlar_crypto::Blame::Us => ApiError::ours(&error),
        error => ApiError::coded(422, &error),
    }
}

fn future(block: Block, head: Block) -> ApiError {
    ApiError::new(
        404,
        "table.future",
        format!("block {block} is not over: the ledger is in block {head}"),
    )
    .with(block, head.saturating_sub(1))
}

impl ApiState {
    /// The table at the end of a block that is over: it never changes any more.
    async fn table(
        self: &Arc<Self>,
        service: ServiceId,
        block: Block,
    ) -> Result<KeptTable, ApiError> {
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

    /// The signed head of a block.
    async fn signed(
        self: &Arc<Self>,
        service: ServiceId,
        block: Block,
    ) -> Result<Option<SignedHead>, ApiError> {
        let heads = self.opened()?.heads.clone();
        self.blocking(&self.queries, move || {
            heads
                .get(service, block)
                .map_err(|error| ApiError::ours(&error))
        })
        .await
    }
}

/// From which block on.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HeadQuery {
    /// Wait for a block after this one.
    #[param(inline)]
    after: Option<Block>,
    /// At most so long, in milliseconds.
    #[param(inline)]
    wait_ms: Option<WaitMs>,
}

/// The signed head of the newest block in which somebody has stake. With `after`, waits for a newer one.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/head",
    params(("service" = u32, Path, description = "Service"), HeadQuery),
    responses(
        (status = 200, description = "The head and its signature", body = TableHead),
        (status = 404, description = "No such service, or no head of it is signed yet"),
    ),
    tag = "tables"
)]
pub(crate) async fn head(
    State(state): Shared,
    Extension(sender): Extension<Sender>,
    InPath(service): InPath<ServiceId>,
    InQuery(asked): InQuery<HeadQuery>,
) -> Answer<TableHead> {
    let heads = state.opened()?.heads.clone();
    let unsigned = move || {
        ApiError::new(
            404,
            "table.unsigned",
            format!("no head of service {service} is signed yet"),
        )
    };
    if let Some(after) = asked.after {
        let newer = |newest: &Newest| newest.get(&service).is_some_and(|block| *block > after);
        let wait = asked.wait_ms.map_or(0, WaitMs::get);
        if wait > 0 && !newer(&heads.watch().borrow()) {
            // Of a service that there is not, no block is waited for.
            state
                .look(move |ledger| ledger.service(service).map(drop).ok_or_else(unsigned))
                .await?;
            let wait = Duration::from_millis(wait);
            state.wait(sender, wait, heads.watch(), newer).await?;
        }
    }
    let block = heads.newest(service).ok_or_else(unsigned)?;
    let signed = state.signed(service, block).await?.ok_or_else(unsigned)?;
    Ok(Json(TableHead {
        service,
        signed,
        block_ms: state.config.blocks.interval_ms,
    }))
}

/// Who signs heads, and what each key signed about the next.
#[utoipa::path(
    get,
    path = "/v1/head-keys",
    responses(
        (status = 200, description = "The present key, and the successions that lead to it", body = HeadKeysView),
    ),
    tag = "tables"
)]
pub(crate) async fn head_keys(State(state): Shared) -> Answer<HeadKeysView> {
    let genesis = state.opened()?.genesis;
    state
        .show(move |ledger| {
            Ok(HeadKeysView {
                genesis,
                key: ledger.meta().head_key,
                successions: ledger.head_key_successions(),
            })
        })
        .await
}

/// The operator table at the end of a block, with proofs of possession: whoever gets it computes the root again.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/tables/{block}",
    params(("service" = u32, Path, description = "Service"), ("block" = u64, Path, description = "Block")),
    responses(
        (status = 200, description = "The root, and the table in the form of the table file", body = TableView),
        (status = 404, description = "No such service, the block is not over, or nobody had stake"),
    ),
    tag = "tables"
)]
pub(crate) async fn table(
    State(state): Shared,
    InPath((service, block)): InPath<(ServiceId, Block)>,
) -> Answer<TableView> {
    let kept = state.table(service, block).await?;
    let signed = state.signed(service, block).await?;
    // Every operator of a ledger registered with a proof.
    let table = TableRecord::from_table(&kept.table).ok_or_else(internal_error)?;
    Ok(Json(TableView {
        service,
        root: kept.table.root(),
        signed,
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
        (status = 404, description = "No such service, the block is not over, or nobody had stake"),
    ),
    tag = "tables"
)]
pub(crate) async fn root(
    State(state): Shared,
    InPath((service, block)): InPath<(ServiceId, Block)>,
) -> Answer<TableRootView> {
    let kept = state.table(service, block).await?;
    let signed = state.signed(service, block).await?;
    Ok(Json(TableRootView {
        service,
        block,
        root: kept.table.root(),
        signed,
        changed_at: kept.changed_at,
    }))
}

/// Proves one operator of a table, with its weight, to somebody who has only the table's root.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/tables/{block}/operators/{operator}",
    params(
        ("service" = u32, Path, description = "Service"),
        ("block" = u64, Path, description = "Block"),
        ("operator" = inline(OperatorId), Path, description = "Operator id, 32 bytes"),
    ),
    responses(
        (status = 200, description = "The table's header, the operator's entry, and the Merkle path between them", body = WitnessView),
        (status = 404, description = "No such table, or the operator is not in it"),
    ),
    tag = "tables"
)]
pub(crate) async fn witness(
    State(state): Shared,
    InPath((service, block, operator)): InPath<(ServiceId, Block, OperatorId)>,
) -> Answer<WitnessView> {
    let table = state.table(service, block).await?.table;
    let what = format_args!("operator {operator} in this table");
    let index = found(table.find(&operator), what)?;
    let (entry, path) = table.witness(index).ok_or_else(internal_error)?;
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
