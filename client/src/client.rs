//! The client of a rollup: its dispersers, what it asks of certificates, and where it reads.

use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::VerifiedCertificate;
use ashlar_proto::api::BlobStatus;
use ashlar_retriever::{Network, Retrieved, Retriever, RetrieverConfig, Source};
use bytes::Bytes;

use crate::da::{Answer, DaClient};
use crate::{
    BlobName, Certified, ClientError, Dispersers, DispersersConfig, Failover, LocalApi,
    PayingAccount, Policy, PutOptions, Submitted,
};

/// The SDK over a network. Cheap to clone; any number of calls may run at once.
#[derive(Clone)]
pub struct Client {
    dispersers: Dispersers,
    policy: Policy,
    retriever: Retriever,
    source: Source,
    certify_deadline: Duration,
}

/// Makes a [`Client`].
pub struct ClientBuilder {
    policy: Policy,
    dispersers: DispersersConfig,
    retrieval: RetrieverConfig,
    network: Option<Arc<dyn Network>>,
    source: Source,
    certify_deadline: Duration,
}

impl Client {
    /// For a client that relies on certificates under this policy and on no others.
    pub fn builder(policy: Policy) -> ClientBuilder {
        ClientBuilder {
            policy,
            dispersers: DispersersConfig::default(),
            retrieval: RetrieverConfig::default(),
            network: None,
            source: Source::Auto,
            certify_deadline: Duration::from_secs(120),
        }
    }

    /// Its dispersers, for what needs no policy.
    #[must_use]
    pub fn dispersers(&self) -> &Dispersers {
        &self.dispersers
    }

    /// [`DaClient::wait`], with every new state.
    ///
    /// # Errors
    ///
    /// As [`Dispersers::wait_checked`].
    pub async fn wait_with(
        &self,
        submitted: &Submitted,
        progress: impl FnMut(&BlobStatus) + Send,
    ) -> Result<Certified, ClientError> {
        self.dispersers
            .wait_checked(submitted, &self.policy, self.certify_deadline, progress)
            .await
    }
}

impl ClientBuilder {
    /// Adds a disperser; the first one is preferred.
    #[must_use]
    pub fn disperser(mut self, url: impl Into<String>) -> Self {
        self.dispersers.urls.push(url.into());
        self
    }

    /// A disperser in this process, which is preferred to all others: what `Disperser::embed` of the disperser's library gives. The
    /// SDK itself has no disperser in it, and no database.
    #[must_use]
    pub fn embedded(mut self, disperser: impl LocalApi + 'static) -> Self {
        self.dispersers.embedded = Some(Arc::new(disperser));
        self
    }

    /// Signs for what is posted, and pays for it.
    #[must_use]
    pub fn account(mut self, account: PayingAccount) -> Self {
        self.dispersers.account = Some(account);
        self
    }

    /// All settings of the dispersers, their URLs among them.
    #[must_use]
    pub fn dispersers(mut self, config: DispersersConfig) -> Self {
        self.dispersers = config;
        self
    }

    /// A disperser that has accepted a blob and has no news of it for so long is watched on, and the blob goes to the next one, too.
    #[must_use]
    pub fn failover_after(mut self, silence: Duration) -> Self {
        self.dispersers.failover_after = silence;
        self
    }

    /// Asked before a blob is posted to another disperser, which may charge for it, too.
    #[must_use]
    pub fn before_failover(
        mut self,
        ask: impl Fn(&Failover) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.dispersers.before_failover = Some(Arc::new(ask));
        self
    }

    /// How long to wait for a certificate. Default 120 s.
    #[must_use]
    pub fn certify_deadline(mut self, deadline: Duration) -> Self {
        self.certify_deadline = deadline;
        self
    }

    /// Reads from the operators, too, over this network; else the dispersers' copies are all that there is.
    #[must_use]
    pub fn operators(mut self, network: Arc<dyn Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// How payloads are fetched, and from where. Relays that are named here are asked behind the dispersers.
    #[must_use]
    pub fn retrieval(mut self, config: RetrieverConfig, source: Source) -> Self {
        self.retrieval = config;
        self.source = source;
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// As [`Dispersers::new`], but for a client that only reads, from operators: it needs no disperser. [`ClientError::NoTable`] if
    /// operators are to be asked and the policy trusts a root alone.
    pub fn build(self) -> Result<Client, ClientError> {
        let config = DispersersConfig {
            domain: Some(self.policy.trust().domain()),
            ..self.dispersers
        };
        let dispersers = match self.network {
            Some(_) => Dispersers::or_none(config)?,
            None => Dispersers::new(config)?,
        };
        let mut retrieval = self.retrieval;
        let servers = dispersers.inner.servers.iter().cloned();
        retrieval.relays = servers.chain(retrieval.relays).collect();
        let retriever = match self.network {
            Some(network) => {
                let tables = self.policy.trust().tables().ok_or(ClientError::NoTable)?;
                Retriever::new(retrieval, tables, network)?
            }
            None => Retriever::relay_only(retrieval)?,
        };
        Ok(Client {
            dispersers,
            policy: self.policy,
            retriever,
            source: self.source,
            certify_deadline: self.certify_deadline,
        })
    }
}

/// Before it is posted: what its certificate would be refused for.
pub(crate) fn check_quorums(policy: &Policy, options: &PutOptions) -> Result<(), ClientError> {
    match policy.missing_quorum(&options.quorums) {
        Some(required) => Err(ClientError::QuorumNotAsked {
            required,
            got: options.quorums.clone(),
        }),
        None => Ok(()),
    }
}

impl DaClient for Client {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn put(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Submitted> {
        Box::pin(async move {
            check_quorums(&self.policy, &options)?;
            self.dispersers.put(payload, options).await
        })
    }

    fn wait<'a>(&'a self, submitted: &'a Submitted) -> Answer<'a, Certified> {
        Box::pin(self.wait_with(submitted, |_| {}))
    }

    fn find(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Option<Submitted>> {
        Box::pin(self.dispersers.find(payload, options))
    }

    fn status(&self, name: BlobName) -> Answer<'_, BlobStatus> {
        Box::pin(self.dispersers.status(name))
    }

    fn get<'a>(&'a self, certificate: &'a VerifiedCertificate) -> Answer<'a, Retrieved> {
        Box::pin(async move { Ok(self.retriever.fetch(certificate, self.source).await?) })
    }
}
