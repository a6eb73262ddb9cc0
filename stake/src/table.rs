//! The table of operators at one reference block.

use std::collections::{BTreeMap, HashMap, HashSet};

use ashlar_crypto::bls::{PublicKey, SignatureBytes, aggregate_public_keys};
use ashlar_crypto::hash::Hash;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_crypto::merkle::MerkleTree;
use ashlar_proto::api::StakeShare;
use ashlar_proto::table::{
    DisperserEntry, MAX_TABLE_VERSIONS, OperatorEntry, TableAccess, TableHeader, dispersers_tree,
    operators_tree,
};
use ashlar_proto::{
    Block, Domain, MAX_TABLE_OPERATORS, OperatorId, OperatorIndex, QuorumId, QuorumSigned, Stake,
    TableRoot, TableScope, VERSIONS, needed_stake,
};

use crate::{PossessionCache, Registration, TableError};

/// Most operators in one table, over all quorums: what a certificate's bitmap has room for.
const MAX_OPERATORS: usize = MAX_TABLE_OPERATORS as usize;

/// The operators and dispersers of a service at one reference block: sorted by id, keys decoded, with the trees behind the root.
///
/// About 700 bytes an operator. Made once a block and shared.
#[derive(Clone, Debug)]
pub struct OperatorTable {
    header: TableHeader,
    root: TableRoot,
    operators: Vec<OperatorEntry>,
    public_keys: Vec<PublicKey>,
    proofs: Vec<Option<SignatureBytes>>,
    tree: MerkleTree,
    aggregate_key: PublicKey,
    by_network_key: HashMap<NetworkPublicKey, OperatorIndex>,
    dispersers: Vec<DisperserEntry>,
}

impl OperatorTable {
    /// The table of operators whose possession of their BLS keys was checked by whoever supplies them (a contract that
    /// checks it at registration). Where that is not so, [`OperatorTable::register`] is the right function: with one
    /// unproven key in the table, its owner may sign in everybody's name.
    ///
    /// The order of the entries does not matter.
    ///
    /// # Errors
    ///
    /// [`TableError`] names the operator or disperser that breaks a rule.
    pub fn new(
        scope: TableScope,
        operators: Vec<OperatorEntry>,
        dispersers: Vec<DisperserEntry>,
    ) -> Result<Self, TableError> {
        Self::build(
            scope,
            operators
                .into_iter()
                .map(|entry| (entry, None, None))
                .collect(),
            dispersers,
        )
    }

    /// The table of operators whose keys were decoded and whose proofs were checked before, by whoever keeps both: neither is
    /// done again, which is most of what a table costs.
    ///
    /// # Errors
    ///
    /// [`TableError`] names the operator or disperser that breaks a rule. A key
    /// that is not its entry's is not used, the entry's is decoded.
    pub fn from_proven(
        scope: TableScope,
        operators: Vec<(OperatorEntry, PublicKey, SignatureBytes)>,
        dispersers: Vec<DisperserEntry>,
    ) -> Result<Self, TableError> {
        Self::build(
            scope,
            operators
                .into_iter()
                .map(|(entry, key, proof)| (entry, Some(key), Some(proof)))
                .collect(),
            dispersers,
        )
    }

    /// The table of operators that each bring their proof of possession; every proof is checked.
    ///
    /// # Errors
    ///
    /// [`TableError`] names the operator or disperser that breaks a rule.
    pub fn register(
        scope: TableScope,
        registrations: Vec<Registration>,
        dispersers: Vec<DisperserEntry>,
    ) -> Result<Self, TableError> {
        Self::register_cached(
            scope,
            registrations,
            dispersers,
            &mut PossessionCache::default(),
        )
    }

    /// [`OperatorTable::register`] with a memory of proofs checked before.
    ///
    /// # Errors
    ///
    /// [`TableError`] names the operator or disperser that breaks a rule.
    pub fn register_cached(
        scope: TableScope,
        registrations: Vec<Registration>,
        dispersers: Vec<DisperserEntry>,
        cache: &mut PossessionCache,
    ) -> Result<Self, TableError> {
        check_count(registrations.len())?;
        for registration in &registrations {
            cache.verify(registration)?;
        }
        let operators = registrations
            .into_iter()
            .map(|r| (r.entry, None, Some(r.proof_of_possession)))
            .collect();
        Self::build(scope, operators, dispersers)
    }

    fn build(
        scope: TableScope,
        mut entries: Vec<(OperatorEntry, Option<PublicKey>, Option<SignatureBytes>)>,
        mut dispersers: Vec<DisperserEntry>,
    ) -> Result<Self, TableError> {
        check_count(entries.len())?;
        check_versions(&scope.versions)?;
        entries.sort_by_key(|(entry, _, _)| entry.operator_id);
        let mut operators = Vec::with_capacity(entries.len());
        let mut public_keys = Vec::with_capacity(entries.len());
        let mut proofs = Vec::with_capacity(entries.len());
        for (entry, key, proof) in entries {
            public_keys.push(check_operator(&entry, key)?);
            operators.push(entry);
            proofs.push(proof);
        }
        let by_network_key = index_operators(&operators)?;
        dispersers.sort_by_key(|disperser| disperser.id);
        check_dispersers(&dispersers)?;

        let aggregate_key =
            aggregate_public_keys(&public_keys).ok_or(TableError::NoAggregateKey)?;
        let tree = operators_tree(&operators);
        let header = TableHeader {
            domain: scope.domain,
            reference_block: scope.reference_block,
            versions: scope.versions,
            operators: operators.len() as u32, // at most MAX_OPERATORS
            operators_root: tree.root(),
            dispersers_root: dispersers_tree(&dispersers).root(),
            aggregate_key: aggregate_key.to_bytes(),
            totals: totals(&operators)?,
        };
        let root = header.root();
        Ok(Self {
            header,
            root,
            operators,
            public_keys,
            proofs,
            tree,
            aggregate_key,
            by_network_key,
            dispersers,
        })
    }

    /// The service whose operators these are.
    pub fn domain(&self) -> Domain {
        self.header.domain
    }

    /// The block at which this is the state.
    pub fn reference_block(&self) -> Block {
        self.header.reference_block
    }

    /// The protocol versions that the service uses at that block, rising.
    pub fn versions(&self) -> &[u16] {
        &self.header.versions
    }

    /// All operators, by rising id; an operator's index in every bitmap and assignment is its place here.
    pub fn operators(&self) -> &[OperatorEntry] {
        &self.operators
    }

    /// Index of the operator with this id.
    pub fn find(&self, id: &OperatorId) -> Option<OperatorIndex> {
        self.operators
            .binary_search_by(|entry| entry.operator_id.cmp(id))
            .ok()
            .map(|index| OperatorIndex(index as u32))
    }

    /// Index of the operator with this TLS identity.
    pub fn find_network_key(&self, key: &NetworkPublicKey) -> Option<OperatorIndex> {
        self.by_network_key.get(key).copied()
    }

    /// All registered dispersers, by rising number.
    pub fn dispersers(&self) -> &[DisperserEntry] {
        &self.dispersers
    }

    /// The disperser with this number.
    pub fn disperser(&self, id: u32) -> Option<&DisperserEntry> {
        self.dispersers
            .binary_search_by_key(&id, |disperser| disperser.id)
            .ok()
            .and_then(|at| self.dispersers.get(at))
    }

    /// The disperser with this TLS identity.
    pub fn disperser_by_key(&self, key: &NetworkPublicKey) -> Option<&DisperserEntry> {
        self.dispersers
            .iter()
            .find(|disperser| disperser.network_key == *key)
    }

    /// All quorums in which anybody has stake, rising.
    pub fn quorums(&self) -> impl Iterator<Item = QuorumId> + '_ {
        self.header.totals.iter().map(|&(quorum, _)| quorum)
    }

    /// Total stake of a quorum; `None` if nobody has stake in it.
    pub fn total(&self, quorum: QuorumId) -> Option<Stake> {
        self.header.total(quorum)
    }

    /// Whether one of these operators has signed each certificate of a quorum: they have more stake than those can have who did not.
    pub fn meets_every_certificate(
        &self,
        quorum: QuorumId,
        is_one: impl Fn(&OperatorId) -> bool,
    ) -> bool {
        let least = VERSIONS.iter().map(|version| version.confirmation_percent);
        let total = self.total(quorum).unwrap_or_default();
        let these = self.operators.iter();
        let these = these.filter(|operator| is_one(&operator.operator_id));
        let stake: Stake = these.map(|operator| operator.stake(quorum)).sum();
        let needed = needed_stake(total, least.min().unwrap_or(0));
        total.is_zero() || stake > total.saturating_sub(needed)
    }

    /// The stakes of an operator with their shares of the quorums, for people; none past the end.
    pub fn shares(&self, index: OperatorIndex) -> Vec<StakeShare> {
        let stakes = self.operator(index).map(|entry| &entry.stakes);
        let each = stakes.into_iter().flatten();
        each.filter_map(|&(quorum, stake)| {
            let total = self.total(quorum)?;
            let signed = stake;
            let share = QuorumSigned {
                quorum,
                signed,
                total,
            };
            let percent = share.percent();
            Some(StakeShare {
                quorum,
                stake,
                percent,
            })
        })
        .collect()
    }

    /// The proof of possession that an operator registered with; `None` past the end, or if the table was made without.
    pub fn proof_of_possession(&self, index: OperatorIndex) -> Option<&SignatureBytes> {
        self.proofs.get(index.0 as usize)?.as_ref()
    }

    /// An operator's entry and its audit path to the header's `operators_root`.
    pub fn witness(&self, index: OperatorIndex) -> Option<(OperatorEntry, Vec<Hash>)> {
        let entry = self.operators.get(index.0 as usize)?.clone();
        Some((entry, self.tree.path(index.0 as usize)?))
    }
}

impl TableAccess for OperatorTable {
    fn header(&self) -> &TableHeader {
        &self.header
    }

    fn root(&self) -> TableRoot {
        self.root
    }

    fn operator(&self, index: OperatorIndex) -> Option<&OperatorEntry> {
        self.operators.get(index.0 as usize)
    }

    fn public_key(&self, index: OperatorIndex) -> Option<&PublicKey> {
        self.public_keys.get(index.0 as usize)
    }

    fn aggregate_key(&self) -> &PublicKey {
        &self.aggregate_key
    }
}

fn check_count(operators: usize) -> Result<(), TableError> {
    match operators {
        0 => Err(TableError::NoOperators),
        got if got > MAX_OPERATORS => Err(TableError::TooManyOperators {
            got,
            max: MAX_OPERATORS,
        }),
        _ => Ok(()),
    }
}

fn check_versions(versions: &[u16]) -> Result<(), TableError> {
    let fits = (1..=MAX_TABLE_VERSIONS).contains(&versions.len());
    if fits && versions.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(TableError::Versions {
        got: versions.to_vec(),
    })
}

/// The rules of one entry; gives its key, decoded here if it was not before.
fn check_operator(
    entry: &OperatorEntry,
    decoded: Option<PublicKey>,
) -> Result<PublicKey, TableError> {
    let operator = entry.operator_id;
    entry
        .validate()
        .map_err(|source| TableError::Entry { operator, source })?;
    if entry.stakes.is_empty() {
        return Err(TableError::NoStake { operator });
    }
    entry
        .network_key
        .check_strength()
        .map_err(|source| TableError::NetworkKey {
            who: format!("operator {operator}"),
            source,
        })?;
    if let Some(key) = decoded.filter(|key| key.to_bytes() == entry.bls_public_key) {
        return Ok(key);
    }
    PublicKey::from_bytes(&entry.bls_public_key)
        .map_err(|source| TableError::BlsKey { operator, source })
}

/// Operators by network key; refuses an operator or a network key that is there twice. The operators are sorted.
fn index_operators(
    operators: &[OperatorEntry],
) -> Result<HashMap<NetworkPublicKey, OperatorIndex>, TableError> {
    let mut by_network_key: HashMap<NetworkPublicKey, OperatorIndex> =
        HashMap::with_capacity(operators.len());
    let mut previous: Option<OperatorId> = None;
    for (index, entry) in (0..).map(OperatorIndex).zip(operators) {
        let operator = entry.operator_id;
        if previous == Some(operator) {
            return Err(TableError::DuplicateOperator { operator });
        }
        previous = Some(operator);
        if let Some(other) = by_network_key.insert(entry.network_key, index) {
            #[expect(clippy::expect_used, reason = "the index of an earlier operator")]
            let first = operators.get(other.0 as usize).expect("it was looked at");
            let first = first.operator_id;
            return Err(TableError::DuplicateNetworkKey {
                first,
                second: operator,
            });
        }
    }
    Ok(by_network_key)
}

/// Refuses weak keys, numbers or keys that are there twice, and bonds that cannot be compared. The dispersers are sorted.
fn check_dispersers(dispersers: &[DisperserEntry]) -> Result<(), TableError> {
    let mut by_key: HashMap<NetworkPublicKey, u32> = HashMap::with_capacity(dispersers.len());
    let (mut previous, mut bonds) = (None, Stake::ZERO);
    for &DisperserEntry {
        id,
        network_key,
        bond,
        ..
    } in dispersers
    {
        if bond.is_zero() {
            return Err(TableError::ZeroBond { id });
        }
        bonds = bonds.checked_add(bond).ok_or(TableError::BondOverflow)?;
        network_key
            .check_strength()
            .map_err(|source| TableError::NetworkKey {
                who: format!("disperser {id}"),
                source,
            })?;
        if previous == Some(id) {
            return Err(TableError::DuplicateDisperser { id });
        }
        previous = Some(id);
        if let Some(first) = by_key.insert(network_key, id) {
            return Err(TableError::DuplicateDisperserKey { first, second: id });
        }
    }
    Ok(())
}

fn totals(operators: &[OperatorEntry]) -> Result<Vec<(QuorumId, Stake)>, TableError> {
    let mut totals: BTreeMap<QuorumId, Stake> = BTreeMap::new();
    for &(quorum, stake) in operators.iter().flat_map(|entry| &entry.stakes) {
        let total = totals.entry(quorum).or_default();
        *total = total
            .checked_add(stake)
            .ok_or(TableError::TotalOverflow { quorum })?;
    }
    Ok(totals.into_iter().collect())
}

impl PossessionCache {
    /// Forgets every proof but those of these tables' operators, so that the cache is no larger than what is in use.
    pub fn retain<'a>(&mut self, tables: impl IntoIterator<Item = &'a OperatorTable>) {
        let used: HashSet<_> = tables
            .into_iter()
            .flat_map(|table| (0..).zip(table.operators()).map(move |of| (table, of)))
            .filter_map(|(table, (index, entry))| {
                Some((
                    entry.bls_public_key,
                    *table.proof_of_possession(OperatorIndex(index))?,
                ))
            })
            .collect();
        self.proven.retain(|proof| used.contains(proof));
    }
}

#[cfg(test)]
mod tests;
