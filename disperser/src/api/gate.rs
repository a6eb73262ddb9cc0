//! Who posts, and whether the account may: what can be told from the headers, before a byte of the body is read.

use std::str::FromStr;
use std::sync::Arc;

use ashlar_proto::api::{AccountMode, BlobState};
use ashlar_proto::auth::header::{
    AUTHORIZATION_HEADER, AuthError, Authorized, SignedAuthorization, SignedVoucher, VOUCHER_HEADER,
};
use ashlar_proto::{Account, BlobId};
use ashlar_service::ApiError;
use ashlar_stake::AccountTerms;
use axum::http::{HeaderMap, header};

use super::{ApiState, internal_error};
use crate::accounts::book::{Charging, PayError, Size};
use crate::compute::blocking;
use crate::engine::Engine;
use crate::record::{BlobRecord, Party};
use crate::store::StoreError;

/// An account that has signed for a submission, and what it pays with.
#[derive(Clone, Copy)]
pub(super) struct Gate {
    authorized: Authorized,
    /// The account's own.
    voucher: Option<SignedVoucher>,
    disperser_id: u32,
    mode: AccountMode,
}

/// Reads and checks the headers. Nothing if the submission is not signed and need not be.
pub(super) async fn admit(
    state: &Arc<ApiState>,
    engine: &Arc<Engine>,
    headers: &HeaderMap,
) -> Result<Option<Gate>, ApiError> {
    let mode = state.config.accounts.mode;
    let signed: Option<SignedAuthorization> = read(headers, AUTHORIZATION_HEADER)?;
    let voucher: Option<SignedVoucher> = read(headers, VOUCHER_HEADER)?;
    let Some(signed) = signed else {
        return match mode {
            AccountMode::Open => Ok(None),
            AccountMode::AllowList | AccountMode::Paid => Err(refused(&AuthError::Missing)),
        };
    };
    let (state, engine) = (Arc::clone(state), Arc::clone(engine));
    let work = move || check(&state, &engine, &signed, voucher);
    let gate = blocking(work).await.ok_or_else(internal_error)??;
    Ok(Some(gate))
}

fn check(
    state: &ApiState,
    engine: &Engine,
    signed: &SignedAuthorization,
    voucher: Option<SignedVoucher>,
) -> Result<Gate, ApiError> {
    let (accounts, domain) = (&state.config.accounts, engine.stake.domain());
    let disperser_id = disperser_id(state, engine)?;
    let now_secs = engine.durable.clock.wall_ms() / 1000;
    let authorized = signed.verify(domain, disperser_id, now_secs);
    let authorized = authorized.map_err(|error| refused(&error))?;
    let account = authorized.account();
    let gate = Gate {
        authorized,
        voucher: voucher.filter(|_| accounts.mode == AccountMode::Paid),
        disperser_id,
        mode: accounts.mode,
    };
    match gate.mode {
        AccountMode::Open => {}
        AccountMode::AllowList => {
            if !accounts.allow.contains(&account) {
                return Err(unpaid(&PayError::NotListed { account }));
            }
        }
        AccountMode::Paid => {
            if let Some(voucher) = gate.voucher {
                let verified = voucher.verify(domain, account, disperser_id);
                verified.map_err(|error| refused(&error))?;
            }
            if known(engine, authorized.submission())?.is_none() {
                let record = account_record(engine, account)?;
                let least = accounts.least_price();
                let terms = terms(state, engine, disperser_id, account)?;
                let checked = record.check(&terms, least);
                checked.map_err(|error| unpaid(&error))?;
            }
        }
    }
    Ok(gate)
}

impl Gate {
    /// Who signed.
    pub(super) fn account(&self) -> Account {
        self.authorized.account()
    }

    /// Whose share of the disperser the blob takes: where everybody can have an account, none stands for itself.
    pub(super) fn party(&self) -> Option<Party> {
        (self.mode != AccountMode::Open).then(|| Party::Account(self.account()))
    }

    /// Whether it is this that was signed for.
    pub(super) fn check(&self, id: BlobId, account: Account) -> Result<(), ApiError> {
        let checked = self.authorized.check(id, account);
        checked.map_err(|error| refused(&error))
    }

    /// How a blob of this size is paid. Blocks.
    pub(super) fn charging(
        &self,
        state: &ApiState,
        engine: &Engine,
        version: u16,
        quorums: usize,
        size: Size,
    ) -> Result<Option<Charging>, ApiError> {
        let mut charging = Charging {
            price: state.config.price(version, size.rows, quorums),
            voucher: self.voucher,
            terms: None,
            ahead: state.config.accounts.ahead(),
        };
        match self.mode {
            AccountMode::Open => return Ok(None),
            AccountMode::AllowList => return Ok(Some(charging)),
            AccountMode::Paid => {}
        }
        charging.terms = Some(terms(state, engine, self.disperser_id, self.account())?);
        Ok(Some(charging))
    }
}

fn read<T: FromStr<Err = AuthError>>(
    headers: &HeaderMap,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    let malformed = |why: &str| {
        refused(&AuthError::Malformed {
            header: name,
            why: why.to_owned(),
        })
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed("it comes twice"));
    }
    let text = value.to_str().map_err(|_| malformed("it is no ASCII"))?;
    let read = text.parse().map_err(|error| refused(&error))?;
    Ok(Some(read))
}

/// The blob of this submission, if it was accepted and has not failed: posting it again costs nothing.
pub(super) fn known(engine: &Engine, id: BlobId) -> Result<Option<BlobRecord>, ApiError> {
    let registry = &engine.durable.registry;
    let found = match registry.live(&id) {
        Some(record) => Some(record),
        None => registry.store().blob(&id).map_err(|error| ours(&error))?,
    };
    Ok(found.filter(|record| record.state != BlobState::Failed))
}

pub(super) fn account_record(
    engine: &Engine,
    account: Account,
) -> Result<crate::accounts::book::AccountRecord, ApiError> {
    let store = engine.durable.registry.store();
    store.account(account).map_err(|error| ours(&error))
}

fn ours(error: &StoreError) -> ApiError {
    ApiError::ours(error)
}

/// Our number in the newest operator table. Blocks.
pub(super) fn disperser_id(state: &ApiState, engine: &Engine) -> Result<u32, ApiError> {
    let id = engine
        .disperser_id()
        .map_err(|error| state.busy("stake.unavailable", error))?;
    let why = "this disperser is not in the newest operator table";
    id.ok_or_else(|| state.busy("service.not_registered", why))
}

/// What an account has on the ledger. Blocks.
pub(super) fn terms(
    state: &ApiState,
    engine: &Engine,
    disperser_id: u32,
    account: Account,
) -> Result<AccountTerms, ApiError> {
    // A disperser that asks to be paid does not start without one.
    let payment = engine.payment.as_ref().ok_or_else(internal_error)?;
    let asked = payment.terms(disperser_id, account);
    asked.map_err(|error| state.busy("payment.unavailable", error))
}

/// Why a signature is refused, as its caller hears it.
pub(super) fn refused(error: &AuthError) -> ApiError {
    let refusal = ApiError::coded(error.status(), error);
    match refusal.status() {
        401 => refusal.header(header::WWW_AUTHENTICATE, "Ashlar"),
        _ => refusal,
    }
}

/// Why an account cannot post, as its caller hears it.
pub(super) fn unpaid(error: &PayError) -> ApiError {
    let mut refusal = ApiError::coded(error.status(), error);
    if let Some((got, expected)) = error.numbers() {
        refusal = refusal.with(got, expected);
    }
    match error {
        PayError::ReservationExceeded {
            retry_after_secs, ..
        } => refusal.retry_after(*retry_after_secs),
        _ => refusal,
    }
}
