//! Ledgers for networks that live for minutes: what such a network begins with, as real transactions.
//!
//! Every operator restakes: it registers, deposits one asset itself and has another one delegated by its staker, allocates all of it
//! to the data availability service, and opts in to its quorums. Quorum 0 counts ether in its restaked forms, each by
//! its price; quorum 1 counts a token like EIGEN, further quorums one token each. Amounts are such that in every quorum the weights
//! are to each other exactly as the stakes that were asked for.

use std::borrow::Cow;

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::hash::sha256;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_proto::{
    Account, Block, DEFAULT_VERSION, Network, OperatorId, QuorumId, VERSIONS, operator_id,
};
use ashlar_restaking::{
    Action, Amount, CustodyTerms, DisperserTerms, Genesis, MAX_DISPERSERS, MAX_NOTICE, Params,
    PaymentTerms, QuorumConfig, QuorumStrategy, ServiceId, State, StrategyId, StrategyKind, Timing,
    Transaction, TransactionError, Wad,
};

use crate::service::LedgerConfig;

const KEY_TAG: &[u8] = b"ashlar/devnet-key/1";
const ACCOUNT_TAG: &[u8] = b"ashlar/devnet-account/1";
const TOKEN_TAG: &[u8] = b"ashlar/devnet-token/1";

/// The data availability service's number in a devnet's ledger.
pub const SERVICE: ServiceId = 1;
/// The quorum that counts ether.
pub const ETH_QUORUM: QuorumId = 0;
/// The first quorum that counts a token.
pub const TOKEN_QUORUM: QuorumId = 1;
/// Quorums of a devnet at most.
pub const MAX_QUORUMS: usize = 16;
/// Weight in [`ETH_QUORUM`] of a stake of one, in ether: a validator's.
pub const ETH_UNIT: u64 = 32;
/// Weight of a stake of one in the quorums from [`TOKEN_QUORUM`] on, in tokens.
pub const TOKEN_UNIT: u64 = 1000;
/// Bond of a disperser, in ether.
const DISPERSER_BOND: u64 = 10;
/// What each account has with each disperser, in ether.
pub const DEPOSIT: u64 = 100;
/// Rows a second that can be reserved: of 128 KiB each, 100 MB/s.
const CAPACITY: u32 = 800;
/// What a reserved row a second costs a block.
const ROW_PRICE: u64 = ETHER / 1_000_000;
/// Of every payment, so much goes to operators and stakers, in basis points.
const OPERATORS_BPS: u16 = 7000;
/// The largest stake of one operator in a quorum.
pub const MAX_STAKE: u64 = 1_000_000;
/// Validators of one account; what is beyond them is stETH, because each validator is a transaction.
const MAX_VALIDATORS: u64 = 16;
/// Operators of a quorum: what the default protocol version allows.
fn max_operators() -> u32 {
    VERSIONS
        .iter()
        .find(|version| version.id == DEFAULT_VERSION)
        .map_or(0, |version| version.max_operators)
}

/// An asset: its name, kind, price in ether (a share's weight, in units of 10^-18), and how much of it weighs
/// [`ETH_UNIT`] ether. Prices divide evenly, so that weights are exact.
struct Asset {
    name: Cow<'static, str>,
    kind: StrategyKind,
    price: u64,
    unit: u64,
}

const ETHER: u64 = 1_000_000_000_000_000_000;

/// Five forms of ether: name, kind, price, thousandths that weigh [`ETH_UNIT`]. The invented prices are near those of the real
/// assets.
const ETH_ASSETS: [(&str, StrategyKind, u64, u64); 5] = [
    ("native ETH", StrategyKind::NativeEth, ETHER, 32 * 1000),
    ("stETH", StrategyKind::Lst, ETHER, 32 * 1000),
    ("rETH", StrategyKind::Lst, ETHER / 100 * 125, 25_600),
    ("cbETH", StrategyKind::Lst, ETHER / 1000 * 1024, 31_250),
    ("ETH/stETH LP", StrategyKind::LpLst, ETHER * 2, 16 * 1000),
];
const NATIVE: usize = 0;
const STETH: usize = 1;

/// By rising number from 1 on: those of quorum 0, then one for each further quorum.
fn assets(quorums: usize) -> Vec<Asset> {
    let ether = ETH_ASSETS.map(|(name, kind, price, unit)| Asset {
        name: name.into(),
        kind,
        price,
        unit,
    });
    let tokens = (1..quorums).map(|quorum| Asset {
        name: match quorum {
            1 => "EIGEN".into(),
            _ => format!("token {quorum}").into(),
        },
        kind: StrategyKind::Other,
        price: ETHER,
        unit: TOKEN_UNIT * 1000,
    });
    ether.into_iter().chain(tokens).collect()
}

/// The places of the assets that a quorum counts.
fn assets_of(quorum: usize) -> std::ops::Range<usize> {
    match quorum {
        0 => 0..ETH_ASSETS.len(),
        _ => ETH_ASSETS.len() + quorum - 1..ETH_ASSETS.len() + quorum,
    }
}

#[expect(
    clippy::expect_used,
    reason = "there are the five assets and one for each quorum, of which there are 256 at most"
)]
fn strategy(asset: usize) -> StrategyId {
    StrategyId::try_from(asset + 1).expect("few assets")
}

/// An operator of a devnet.
#[derive(Clone, Debug)]
pub struct DevnetOperator {
    /// Its account.
    pub account: Account,
    /// Who delegates to it. May be its own account: then all of its stake is its own.
    pub staker: Account,
    /// Its BLS key: it signs what the registration needs.
    pub bls: SecretKey,
    /// Its TLS identity.
    pub network_key: NetworkPublicKey,
    /// `host:port`.
    pub address: String,
    /// Its stake in each quorum from 0 on, up to [`MAX_STAKE`]: only what it is to the others' counts. Zero, or nothing at all:
    /// it is not in that quorum.
    pub stakes: Vec<u64>,
}

impl DevnetOperator {
    fn id(&self) -> OperatorId {
        operator_id(&self.bls.public_key().to_bytes())
    }
}

/// A disperser of a devnet. The ledger numbers them from 0 on.
#[derive(Clone, Debug)]
pub struct DevnetDisperser {
    /// Its account: who puts up its bond.
    pub account: Account,
    /// Its network key: it signs what the registration needs.
    pub network: NetworkKey,
}

/// Who does what in a devnet's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevnetRoles {
    /// Adds strategies, sets parameters.
    pub admin: Account,
    /// Submits reward roots.
    pub reward_updater: Account,
    /// Reports balances of all assets.
    pub oracle: Account,
    /// Owns the data availability service.
    pub owner: Account,
    /// Slashes; the ledger's service acts in its name upon evidence.
    pub slasher: Account,
    /// Ejects.
    pub ejector: Account,
}

impl DevnetRoles {
    /// One account for everything.
    pub fn all(account: Account) -> Self {
        Self {
            admin: account,
            reward_updater: account,
            oracle: account,
            owner: account,
            slasher: account,
            ejector: account,
        }
    }
}

/// What a devnet begins with.
#[derive(Clone, Debug)]
pub struct DevnetSpec {
    /// The network's name, 1 to 64 bytes.
    pub network: String,
    /// 32 random bytes: they make it another network than any other devnet.
    pub salt: B256,
    /// The account of the key that signs heads.
    pub head_key: Account,
    /// The first block: the first that has a table.
    pub block: Block,
    /// Delays; [`devnet_params`] for short ones.
    pub params: Params,
    /// Who does what.
    pub roles: DevnetRoles,
    /// The service's dispersers.
    pub dispersers: Vec<DevnetDisperser>,
    /// Accounts that have [`DEPOSIT`] with each of them.
    pub payers: Vec<Account>,
    /// 1 to as many as the default protocol version allows.
    pub operators: Vec<DevnetOperator>,
}

impl DevnetSpec {
    /// The genesis, which does not depend on operators and dispersers: those need to know the network before they are made.
    pub fn genesis(&self) -> Genesis {
        Genesis {
            network: self.network.clone(),
            salt: self.salt,
            head_key: self.head_key,
            block: self.block,
            admin: self.roles.admin,
            reward_updater: self.roles.reward_updater,
            params: self.params.clone(),
        }
    }
}

/// A devnet's ledger, to be begun with [`LedgerService::found`](crate::LedgerService::found).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devnet {
    /// The genesis.
    pub genesis: Genesis,
    /// What happens in the first block. Checked: the ledger takes all of them.
    pub transactions: Vec<Transaction>,
    /// The data availability service: [`SERVICE`].
    pub service: ServiceId,
    /// Its slasher.
    pub slasher: Account,
}

impl Devnet {
    /// Sets what a service's configuration has to know: whose evidence is taken, and that everybody may send
    /// transactions.
    pub fn configure(&self, config: &mut LedgerConfig) {
        config.access.open = true;
        config.evidence.slasher = self.slasher;
    }
}

/// Why there is no such devnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "devnet", blame = Caller)]
pub enum DevnetError {
    /// Too few or too many.
    #[error("{got} operators, a devnet has 1 to {max}")]
    Operators {
        /// Given.
        got: usize,
        /// Allowed.
        max: usize,
    },
    /// More than a devnet has.
    #[error("operator {operator} has stakes in {got} quorums, a devnet has {max} at most")]
    Quorums {
        /// Whose.
        operator: OperatorId,
        /// Given.
        got: usize,
        /// Allowed.
        max: usize,
    },
    /// No stake in any quorum, or too much in one.
    #[error("operator {operator} has a stake of {got}, allowed are 1 to {max}")]
    Stake {
        /// Whose.
        operator: OperatorId,
        /// Given.
        got: u64,
        /// Allowed.
        max: u64,
    },
    /// The ledger refuses a transaction: a key is used twice, a proof or an address is none, ….
    #[error("transaction {place} ({kind}) is refused: {source}")]
    #[coded(transparent)]
    Refused {
        /// Its place, from 0 on.
        place: usize,
        /// What it does.
        kind: &'static str,
        /// Why.
        source: Box<TransactionError>,
    },
}

/// A key of a devnet: of the role or person with this name, from one secret of 32 random bytes.
pub fn devnet_key(secret: &[u8; 32], name: &str) -> NetworkKey {
    NetworkKey::from_seed(sha256(&[KEY_TAG, secret, name.as_bytes()]))
}

/// An account's key of a devnet, in the same way.
#[expect(
    clippy::expect_used,
    reason = "one hash in 2^128 is no secp256k1 key, and nobody can look for it among names"
)]
pub fn devnet_account(secret: &[u8; 32], name: &str) -> AccountKey {
    AccountKey::from_bytes(&sha256(&[ACCOUNT_TAG, secret, name.as_bytes()]))
        .expect("a hash is a key")
}

/// Delays of `escrow` blocks (5 at least) for leaving, a quarter of that for the answer to a challenge, one block for everything else,
/// and slashes of up to 100 %.
pub fn devnet_params(block_seconds: u64, escrow: u64) -> Params {
    let escrow = escrow.max(5);
    let custody = escrow - 4;
    Params {
        block_seconds: block_seconds.clamp(1, 3600),
        withdrawal_delay: escrow,
        deallocation_delay: escrow,
        allocation_delay_change: 1,
        slasher_delay: 1,
        split_delay: 1,
        root_delay: 1,
        execution_window: escrow,
        slash_cap: Wad::ONE,
        report_interval: 1,
        timing: Timing {
            open_to_challenges: custody - custody / 4,
            challenge: 1,
            response: 1 + custody / 4,
            veto: 1,
            margin: 1,
        },
    }
}

/// The genesis and the first transactions of a devnet: assets, the service with its quorums, and operators with the stakes asked
/// for. All of them are applied once here, so that a ledger takes them.
///
/// # Errors
///
/// [`DevnetError`].
pub fn devnet_genesis(spec: &DevnetSpec) -> Result<Devnet, DevnetError> {
    let (got, max) = (spec.operators.len(), max_operators() as usize);
    if got == 0 || got > max {
        return Err(DevnetError::Operators { got, max });
    }
    for operator in &spec.operators {
        let id = operator.id();
        if operator.stakes.len() > MAX_QUORUMS {
            return Err(DevnetError::Quorums {
                operator: id,
                got: operator.stakes.len(),
                max: MAX_QUORUMS,
            });
        }
        let most = operator.stakes.iter().copied().fold(0, u64::max);
        if most == 0 || most > MAX_STAKE {
            return Err(DevnetError::Stake {
                operator: id,
                got: most,
                max: MAX_STAKE,
            });
        }
    }
    let genesis = spec.genesis();
    let quorums = spec.operators.iter().map(|operator| operator.stakes.len());
    let quorums = quorums.fold(0, usize::max);
    let mut script = Script {
        network: genesis.id(),
        assets: assets(quorums),
        transactions: Vec::new(),
        validators: 0,
    };
    script.market(spec, quorums);
    for (number, disperser) in (0u32..).zip(&spec.dispersers) {
        script.disperser(disperser);
        for payer in &spec.payers {
            script.push(
                *payer,
                Action::FundAccount {
                    service: SERVICE,
                    disperser: number,
                    amount: Amount::ether(DEPOSIT),
                },
            );
        }
    }
    for (place, operator) in spec.operators.iter().enumerate() {
        script.operator(place, operator);
    }
    let transactions = script.transactions;
    let refused = |place, kind| {
        move |source| DevnetError::Refused {
            place,
            kind,
            source: Box::new(source),
        }
    };
    let mut state = State::new(&genesis).map_err(refused(0, "genesis"))?;
    for (place, transaction) in transactions.iter().enumerate() {
        let kind = transaction.action.name();
        state
            .apply(spec.block, transaction)
            .map_err(refused(place, kind))?;
    }
    Ok(Devnet {
        genesis,
        transactions,
        service: SERVICE,
        slasher: spec.roles.slasher,
    })
}

struct Script {
    network: Network,
    assets: Vec<Asset>,
    transactions: Vec<Transaction>,
    validators: u64,
}

impl Script {
    fn push(&mut self, sender: Account, action: Action) {
        self.transactions.push(Transaction { sender, action });
    }

    /// Assets, the service, its quorums.
    fn market(&mut self, spec: &DevnetSpec, quorums: usize) {
        let roles = &spec.roles;
        let strategies: Vec<Action> = self
            .assets
            .iter()
            .map(|asset| Action::AddStrategy {
                name: asset.name.clone().into_owned(),
                kind: asset.kind,
                asset: match asset.kind {
                    StrategyKind::NativeEth => Account([0; 20]),
                    _ => token(&asset.name),
                },
                oracle: roles.oracle,
            })
            .collect();
        for action in strategies {
            self.push(roles.admin, action);
        }
        self.push(
            roles.owner,
            Action::RegisterService {
                name: "ashlar".into(),
                conditions: "Two batches signed under one number of a disperser; \
                             a signed batch that breaks the rules; a custody challenge without an answer."
                    .into(),
                slasher: roles.slasher,
                resolver: None,
                veto_window: 0,
                slash_cap: spec.params.slash_cap,
                ejector: roles.ejector,
                versions: vec![DEFAULT_VERSION],
                dispersers: DisperserTerms {
                    token: token("stETH"),
                    min_bond: Amount::ether(DISPERSER_BOND),
                    max: MAX_DISPERSERS,
                },
                custody: Some(CustodyTerms {
                    token: token("stETH"),
                    min_bond: Amount::from(ETHER / 100),
                    wad: Wad::percent(10).min(spec.params.slash_cap),
                    max_open: 1024,
                    max_open_per_operator: 64,
                }),
            },
        );
        self.push(
            roles.owner,
            Action::SetPaymentTerms {
                service: SERVICE,
                terms: PaymentTerms {
                    token: token("stETH"),
                    operators_bps: OPERATORS_BPS,
                    row_price: ROW_PRICE.into(),
                    capacity: CAPACITY,
                    // So long the stake behind what was signed stays, too.
                    notice: spec.params.withdrawal_delay.min(MAX_NOTICE),
                },
            },
        );
        for (number, quorum) in (0..quorums).zip(0u8..) {
            let strategies = assets_of(number)
                .filter_map(|place| {
                    Some(QuorumStrategy {
                        strategy: strategy(place),
                        multiplier: self.assets.get(place)?.price.into(),
                    })
                })
                .collect();
            self.push(
                roles.owner,
                Action::AddQuorum {
                    service: SERVICE,
                    quorum,
                    config: QuorumConfig {
                        strategies,
                        minimum_weight: Amount::ZERO,
                        maximum_operators: max_operators(),
                        churn_bps: 11_000,
                        ejection_bps: 3333,
                        ejection_window: 100,
                        ejection_cooldown: 10,
                        redistribute_to: None,
                    },
                },
            );
        }
    }

    fn disperser(&mut self, disperser: &DevnetDisperser) {
        let (account, network_key) = (disperser.account, disperser.network.public());
        let statement = DisperserStatement {
            domain: self.network.domain(u64::from(SERVICE)),
            account,
            network_key,
        };
        self.push(
            account,
            Action::RegisterDisperser {
                service: SERVICE,
                network_key,
                statement: statement.sign(&disperser.network),
                bond: Amount::ether(DISPERSER_BOND),
            },
        );
    }

    /// An operator: half of its ether in one asset of its own, half in the next one from its staker, and the staker's tokens.
    fn operator(&mut self, place: usize, operator: &DevnetOperator) {
        let account = operator.account;
        let statement = OperatorStatement {
            network: self.network,
            account,
            network_key: operator.network_key,
            address: operator.address.clone(),
            sequence: 0,
        };
        self.push(
            account,
            Action::RegisterOperator {
                bls_public_key: operator.bls.public_key().to_bytes(),
                proof_of_possession: operator.bls.prove_possession().to_bytes(),
                network_key: operator.network_key,
                address: operator.address.clone(),
                statement: statement.sign(&operator.bls),
                allocation_delay: 0,
            },
        );
        // What is in the pools in the end, by quorum.
        let mut used = Vec::new();
        for (number, &stake) in operator.stakes.iter().enumerate() {
            let mut assets = Vec::new();
            if number == 0 {
                let of_staker = stake / 2;
                let count = ETH_ASSETS.len();
                self.deposit(account, place % count, stake - of_staker, &mut assets);
                self.deposit(operator.staker, (place + 1) % count, of_staker, &mut assets);
            } else {
                let token = assets_of(number).start;
                self.deposit(operator.staker, token, stake, &mut assets);
            }
            assets.sort_unstable();
            assets.dedup();
            used.push(assets);
        }
        if operator.staker != account {
            let operator_id = operator.id();
            self.push(
                operator.staker,
                Action::Delegate {
                    operator: operator_id,
                },
            );
        }
        for (quorum, assets) in (0u8..).zip(used) {
            if assets.is_empty() {
                continue;
            }
            for asset in assets {
                self.push(
                    account,
                    Action::Allocate {
                        service: SERVICE,
                        quorum,
                        strategy: strategy(asset),
                        magnitude: Wad::ONE,
                    },
                );
            }
            self.push(
                account,
                Action::OptIn {
                    service: SERVICE,
                    quorum,
                },
            );
        }
    }

    /// So many units of an asset.
    fn deposit(&mut self, who: Account, asset: usize, units: u64, used: &mut Vec<usize>) {
        if units == 0 {
            return;
        }
        used.push(asset);
        if asset == NATIVE {
            let validators = units.min(MAX_VALIDATORS);
            for _ in 0..validators {
                self.validators += 1;
                let validator = self.validators;
                let strategy = strategy(NATIVE);
                self.push(
                    who,
                    Action::AddValidator {
                        strategy,
                        validator,
                    },
                );
            }
            self.deposit(who, STETH, units - validators, used);
            return;
        }
        let unit = self.assets.get(asset).map_or(0, |asset| asset.unit);
        // In thousandths of a token.
        let amount = u128::from(unit) * u128::from(units) * u128::from(ETHER / 1000);
        self.push(
            who,
            Action::Deposit {
                strategy: strategy(asset),
                amount: amount.into(),
            },
        );
    }
}

/// An invented token's contract.
fn token(name: &str) -> Account {
    let mut account = [0; 20];
    let digest = sha256(&[TOKEN_TAG, name.as_bytes()]);
    let (first, _) = digest.split_at(account.len());
    account.copy_from_slice(first);
    Account(account)
}

#[cfg(test)]
mod tests;
