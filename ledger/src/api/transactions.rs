//! Transactions, evidence, and what is known of who signs.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ashlar_proto::auth::Voucher;
use ashlar_proto::{Account, Network};
use ashlar_restaking::{Action, State as Ledger, Transaction, TransactionError};
use ashlar_service::ApiError;
use ashlar_service::extract::InPath;
use ashlar_service::listener::{BodyLimits, Sender, declared_length, read_body};
use axum::extract::{Request, State};
use axum::{Extension, Json, RequestPartsExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Answer, ApiState, Opened, Shared, internal_error};
use crate::auth::SignedTransaction;
use crate::service::evidence;
use crate::service::writer::{Command, refused};
use crate::types::{AccountView, AnswerBody, EvidenceBody, EvidenceReceipt, Receipt, VoucherBody};

/// The body as JSON, bounded in bytes and in time.
async fn read_json<T: DeserializeOwned>(state: &ApiState, request: Request) -> Result<T, ApiError> {
    let accept = &state.config.accept;
    let max = accept.max_body_bytes;
    let too_large = |got: u64| {
        let detail = format!("a body has at most {max} bytes");
        ApiError::new(413, "request.too_large", detail).with(got, max)
    };
    let limits = BodyLimits {
        max: max as u64,
        timeout: Duration::from_secs(accept.body_timeout_secs),
        min_rate: accept.min_body_rate,
        grace: BodyLimits::GRACE,
    };
    let declared = declared_length(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let Extension::<Sender>(sender) = parts.extract().await.map_err(|_| internal_error())?;
    let mut memory = state.bodies.open(sender.network());
    let bytes = read_body(body, declared, limits, &mut memory, too_large).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::new(400, "request.body", error.to_string()))
}

fn allowed(state: &ApiState, account: &Account) -> bool {
    let access = &state.config.access;
    access.open || access.accounts.contains(account)
}

/// Applies a signed transaction; answers when it is on disk.
///
/// Sending the same bytes again gives the same answer, for as long as answers are kept; nothing is applied twice. A transaction
/// that the ledger refuses changes nothing, but its nonce is used.
#[utoipa::path(
    post,
    path = "/v1/transactions",
    request_body = SignedTransaction,
    responses(
        (status = 200, description = "Applied, and on disk", body = Receipt),
        (status = 400, description = "Malformed, or not signed by its sender"),
        (status = 403, description = "Not this account's to send"),
        (status = 409, description = "The nonce is used"),
        (status = 422, description = "Against a rule of the ledger; nothing has changed"),
    ),
    tag = "ledger"
)]
pub(crate) async fn post_transaction(State(state): Shared, request: Request) -> Answer<Receipt> {
    let network = Network::ledger(&state.opened()?.genesis.0);
    let signed: SignedTransaction = read_json(&state, request).await?;
    let sender = signed.transaction.sender;
    if !allowed(&state, &sender) {
        return Err(ApiError::new(
            403,
            "account.not_allowed",
            format!("this ledger takes no transactions of account {sender}"),
        ));
    }
    let authorized = signed
        .verify(network)
        .map_err(|error| ApiError::coded(400, &error))?;
    let (answer, answered) = oneshot::channel();
    state.command(Command::Submit(Box::new(authorized), answer))?;
    Ok(Json(state.answer(answered).await??))
}

/// Checks evidence of a fault, of the service whose domain was signed for. If it is proven, the operator is slashed in every quorum of
/// the service in which it has stake, or asked to be where the service has a veto window; a disperser's bond is burnt. Each fault
/// once, whatever evidence shows it.
#[utoipa::path(
    post,
    path = "/v1/evidence",
    request_body = EvidenceBody,
    responses(
        (status = 200, description = "Proven, slashed, and on disk", body = EvidenceReceipt),
        (status = 404, description = "This service takes no evidence"),
        (status = 409, description = "The fault was punished before"),
        (status = 422, description = "The evidence proves nothing, or there is nothing to slash"),
    ),
    tag = "ledger"
)]
pub(crate) async fn post_evidence(
    State(state): Shared,
    request: Request,
) -> Answer<EvidenceReceipt> {
    let opened = Arc::clone(state.opened()?);
    if !state.config.evidence.is_taken() {
        return Err(ApiError::new(
            404,
            "evidence.not_configured",
            "this ledger slashes for no service: evidence.slasher is not set in its configuration",
        ));
    }
    let EvidenceBody { fault } = read_json(&state, request).await?;
    let config = state.config.evidence.clone();
    let (proven, transactions) = {
        let state_of = Arc::clone(&state);
        state
            .blocking(&state.checks, move || {
                let store = opened.store.read().unwrap_or_else(PoisonError::into_inner);
                state_of.check_storage()?;
                let (service, proven) = evidence::check(store.state(), &fault)?;
                let sender = config.slasher;
                let transactions = evidence::plan(store.state(), &config, service, &proven)?
                    .into_iter()
                    .map(|action| Transaction { sender, action })
                    .collect();
                Ok((proven, transactions))
            })
            .await?
    };
    let (answer, answered) = oneshot::channel();
    state.command(Command::Proven(transactions, answer))?;
    let (mut receipts, mut refused) = (Vec::new(), None);
    for outcome in state.answer(answered).await? {
        match outcome {
            Ok(receipt) => receipts.push(receipt),
            Err(problem) => refused = refused.or(Some(problem)),
        }
    }
    // Somebody else's proof of the same fault was faster if none was applied.
    if let Some(problem) = refused.filter(|_| receipts.is_empty()) {
        return Err(problem.into());
    }
    state.metrics.slashed.inc();
    tracing::warn!(
        accused = %proven.accused(),
        kind = %proven.kind(),
        "a fault was proven and punished"
    );
    Ok(Json(EvidenceReceipt {
        accused: proven.accused(),
        kind: proven.kind(),
        subject: proven.subject().into(),
        evidence_hash: proven.evidence_hash().into(),
        receipts,
    }))
}

/// Answers an open custody challenge. Anybody may, and nobody signs: an answer proves itself. The bond is the operator's.
#[utoipa::path(
    post,
    path = "/v1/answers",
    request_body = AnswerBody,
    responses(
        (status = 200, description = "The challenge is closed, and that is on disk", body = Receipt),
        (status = 422, description = "It is no answer to an open challenge; nothing has changed"),
    ),
    tag = "ledger"
)]
pub(crate) async fn post_answer(State(state): Shared, request: Request) -> Answer<Receipt> {
    let opened = Arc::clone(state.opened()?);
    let AnswerBody { challenge, answer } = read_json(&state, request).await?;
    let answer = answer.to_bytes();
    apply_proven(&state, opened, move |ledger| {
        let sender = ledger.check_answer(challenge, &answer)?;
        let action = Action::AnswerChallenge { challenge, answer };
        Ok(Transaction { sender, action })
    })
    .await
}

/// Hands in an account's voucher. Anybody may, and nobody signs beside the account: a voucher proves itself. What it says beyond the
/// highest one before is paid, the service's share to operators and stakers, the rest to the disperser.
#[utoipa::path(
    post,
    path = "/v1/vouchers",
    request_body = VoucherBody,
    responses(
        (status = 200, description = "Paid, and that is on disk", body = Receipt),
        (status = 422, description = "It pays nothing: not signed by the account, not covered, or not above the highest one; nothing has changed"),
    ),
    tag = "ledger"
)]
pub(crate) async fn post_voucher(State(state): Shared, request: Request) -> Answer<Receipt> {
    let opened = Arc::clone(state.opened()?);
    let VoucherBody {
        service,
        disperser,
        account,
        cumulative,
        signature,
    } = read_json(&state, request).await?;
    apply_proven(&state, opened, move |ledger| {
        let voucher = Voucher {
            account,
            disperser_id: disperser,
            cumulative: cumulative.0,
        };
        ledger.check_voucher(service, voucher, &signature)?;
        Ok(Transaction {
            sender: account,
            action: Action::RedeemVoucher {
                service,
                disperser,
                account,
                cumulative,
                signature,
            },
        })
    })
    .await
}

/// Applies what proves itself, in the name of whom it is for. It is checked before it reaches the log: what proves nothing leaves no
/// trace there.
async fn apply_proven(
    state: &Arc<ApiState>,
    opened: Arc<Opened>,
    check: impl FnOnce(&Ledger) -> Result<Transaction, TransactionError> + Send + 'static,
) -> Answer<Receipt> {
    let checking = Arc::clone(state);
    let transaction = state
        .blocking(&state.checks, move || {
            let store = opened.store.read().unwrap_or_else(PoisonError::into_inner);
            checking.check_storage()?;
            check(store.state()).map_err(|refusal| ApiError::from(refused(&refusal)))
        })
        .await?;
    let (answer, answered) = oneshot::channel();
    state.command(Command::Proven(vec![transaction], answer))?;
    let outcome = state.answer(answered).await?.into_iter().next();
    Ok(Json(outcome.ok_or_else(internal_error)??))
}

/// The last nonce of an account, and whether its transactions are taken.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}",
    params(("account" = inline(Account), Path, description = "Account, 20 bytes")),
    responses(
        (status = 200, description = "Also for an account that never signed", body = AccountView),
    ),
    tag = "ledger"
)]
pub(crate) async fn account(
    State(state): Shared,
    InPath(account): InPath<Account>,
) -> Answer<AccountView> {
    let (answer, answered) = oneshot::channel();
    state.command(Command::Nonce(account, answer))?;
    Ok(Json(AccountView {
        account,
        nonce: state.answer(answered).await?,
        allowed: allowed(&state, &account),
    }))
}
