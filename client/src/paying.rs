//! Posting in an account's name: prices are asked, then signed, then paid.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::rows_for;
use ashlar_proto::api::{
    AccountMode, AccountView, CHARGED_HEADER, Prices, REFUNDED_HEADER, decimal,
};
use ashlar_proto::auth::header::{AUTHORIZATION_HEADER, VOUCHER_HEADER};
use ashlar_proto::header::check_quorums;
use ashlar_proto::{Stake, Submission};
use ashlar_service::http::Answer;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::account::{PayingAccount, Quote, Signed, To};
use crate::config::{Held, Pays};
use crate::dispersers::{Ask, Dispersers, Inner};
use crate::runtime::{blocking, now_ms};
use crate::{ClientError, PutOptions};

/// So long prices are believed.
const PRICES_LAST: Duration = Duration::from_secs(30);
/// Longest wait for the price of a disperser to which a blob goes on.
const QUOTE_PATIENCE: Duration = Duration::from_secs(3);

/// The prices of each disperser, with the time when they were asked.
pub(crate) struct KnownPrices(Mutex<Vec<Option<(Instant, Prices)>>>);

impl KnownPrices {
    pub(crate) fn new(dispersers: usize) -> Self {
        Self(Mutex::new(vec![None; dispersers]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<(Instant, Prices)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self, index: usize) -> Option<(Instant, Prices)> {
        self.lock().get(index).cloned().flatten()
    }

    fn set(&self, index: usize, prices: Option<Prices>) {
        if let Some(known) = self.lock().get_mut(index) {
            *known = prices.map(|prices| (Instant::now(), prices));
        }
    }
}

impl Dispersers {
    /// What a payload of this length costs at each disperser, in the order of the configuration, as far as they answer. Nothing is signed.
    ///
    /// # Errors
    ///
    /// The options do not fit, or no disperser answers.
    pub async fn quotes(
        &self,
        payload_len: u64,
        options: &PutOptions,
    ) -> Result<Vec<Quote>, ClientError> {
        let rows = rows_for(options.encoding, payload_len)?;
        check_quorums(&options.quorums)?;
        let (mut quotes, mut last) = (Vec::new(), None);
        for index in 0..self.inner.servers.len() {
            let prices = self.inner.prices(index).await;
            let quote = prices.and_then(|prices| {
                self.inner
                    .quote(index, &prices, options.version, rows, &options.quorums)
            });
            match quote {
                Ok(quote) => quotes.push(quote),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if quotes.is_empty() => Err(error),
            _ => Ok(quotes),
        }
    }
}

impl Inner {
    async fn document<T: DeserializeOwned>(
        &self,
        index: usize,
        path: String,
    ) -> Result<T, ClientError> {
        let server = self.servers.get(index).ok_or(ClientError::NoDisperser)?;
        let until = Instant::now() + self.config.request_timeout;
        let call = self.call(server, &Ask::document(path));
        let answer = call.once(&self.http, 1, until).await?;
        serde_json::from_slice(&answer.body).map_err(|error| ClientError::Answer {
            what: "document about accounts",
            reason: error.to_string(),
        })
    }

    /// The prices of a disperser, which is of our service.
    async fn prices(&self, index: usize) -> Result<Prices, ClientError> {
        let known = self.prices.last(index);
        if let Some((_, prices)) = known.filter(|(at, _)| at.elapsed() < PRICES_LAST) {
            return Ok(prices);
        }
        let prices: Prices = self.document(index, "v1/prices".to_owned()).await?;
        match self.config.domain {
            Some(expected) if expected != prices.domain => {
                return Err(ClientError::OtherService {
                    disperser: self.url(index),
                    got: prices.domain,
                    expected,
                });
            }
            _ => {}
        }
        self.prices.set(index, Some(prices.clone()));
        Ok(prices)
    }

    fn quote(
        &self,
        index: usize,
        prices: &Prices,
        version: u16,
        rows: u32,
        quorums: &[u8],
    ) -> Result<Quote, ClientError> {
        let price = prices
            .of(version, rows, quorums)
            .ok_or_else(|| ClientError::Answer {
                what: "list of prices",
                reason: format!("it has none for the protocol version {version}"),
            })?;
        Ok(Quote {
            disperser: self.url(index),
            mode: prices.mode,
            price,
        })
    }

    fn quote_of(
        &self,
        index: usize,
        prices: &Prices,
        submission: &Submission,
    ) -> Result<Quote, ClientError> {
        let rows = rows_for(submission.encoding, submission.payload_len)?;
        self.quote(index, prices, submission.version, rows, &submission.quorums)
    }

    /// What it costs that a blob goes on.
    pub(crate) async fn pays(
        &self,
        submission: &Submission,
        from: usize,
        to: usize,
        held: Held,
    ) -> Option<Pays> {
        self.config.account.as_ref().filter(|of| of.pays())?;
        let already = match (held, self.prices.last(from)) {
            (Held::Maybe | Held::Yes, Some((_, prices))) => {
                self.quote_of(from, &prices, submission).ok()?.price
            }
            _ => Stake::ZERO,
        };
        // What cannot be asked is not paid: the post asks again, and fails then.
        let prices = timeout(QUOTE_PATIENCE, self.prices(to)).await.ok()?.ok()?;
        let price = self.quote_of(to, &prices, submission).ok()?.price;
        (price > Stake::ZERO).then_some(Pays { price, already })
    }

    /// One attempt at one disperser, signed if there is an account: the answer's body, and what may have been charged.
    pub(crate) async fn post_once(
        &self,
        index: usize,
        ask: &Ask<'_>,
        submission: &Submission,
        attempt: u32,
        until: Instant,
    ) -> Result<(Bytes, Stake), ClientError> {
        let server = self.servers.get(index).ok_or(ClientError::NoDisperser)?;
        let Some(account) = &self.config.account else {
            let answer = self
                .call(server, ask)
                .once(&self.http, attempt, until)
                .await?;
            return Ok((answer.body.into(), Stake::ZERO));
        };
        let mut first = true;
        loop {
            let (signed, price) = self.sign(index, account, submission).await?;
            let mut call = self.call(server, ask);
            let authorization = signed.authorization.to_string();
            call.signed.push((AUTHORIZATION_HEADER, authorization));
            let voucher = signed.voucher.map(|voucher| voucher.to_string());
            call.signed
                .extend(voucher.map(|text| (VOUCHER_HEADER, text)));
            let error = match call.once(&self.http, attempt, until).await {
                Ok(answer) => {
                    let paid = if signed.voucher.is_some() {
                        price
                    } else {
                        Stake::ZERO
                    };
                    if let (Some(under_way), Some((charged, refunded))) =
                        (signed.under_way, totals(&answer))
                    {
                        under_way.accepted(charged, refunded);
                    }
                    return Ok((answer.body.into(), paid));
                }
                Err(error) => error,
            };
            let Some(problem) = error.problem() else {
                return Err(error);
            };
            signed.under_way.into_iter().for_each(|of| of.refused());
            let stale = problem.code.starts_with("voucher.")
                || matches!(problem.code.as_str(), "auth.domain" | "auth.disperser");
            if !stale || !first {
                return Err(error);
            }
            tracing::debug!(disperser = %server, %error, "what is owed is asked again");
            first = false;
            if let Some((_, prices)) = self.prices.last(index) {
                account.lose(To::from(&prices));
            }
            self.prices.set(index, None);
        }
    }

    /// What the account signs for a submission, and the price.
    async fn sign(
        &self,
        index: usize,
        account: &PayingAccount,
        submission: &Submission,
    ) -> Result<(Signed, Stake), ClientError> {
        let prices = self.prices(index).await?;
        let (of, quote) = (
            To::from(&prices),
            self.quote_of(index, &prices, submission)?,
        );
        if quote.mode == AccountMode::Paid && account.pays() && account.is_lost(of) {
            let path = format!("v1/accounts/{}", account.account());
            let view: AccountView = self.document(index, path).await?;
            account.reconcile(of, &quote.disperser, &view)?;
        }
        let (id, price, now_ms) = (submission.id(), quote.price, now_ms()?);
        let account = account.clone();
        let signing = move || account.sign(of, id, &quote, now_ms);
        Ok((blocking(signing).await??, price))
    }
}

fn totals(answer: &Answer) -> Option<(Stake, Stake)> {
    let read = |name| answer.header(name).and_then(decimal::parse);
    Some((read(CHARGED_HEADER)?, read(REFUNDED_HEADER)?))
}
