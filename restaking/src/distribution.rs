//! Who earns what, and how it is proven: pure functions beside the ledger.
//!
//! A distribution is a Merkle tree of two levels: over its earners, and for each earner over the tokens it earned. Leaves and
//! the root carry tags of their own, so that none can be taken for another; amounts are cumulative, so that the newest root is
//! all that an earner needs.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_crypto::merkle::{MerkleError, MerkleTree, leaf_hash, verify_path};
use ashlar_proto::Account;
use serde::{Deserialize, Serialize};

use super::{Amount, TransactionError};

const TOKEN_TAG: &[u8] = b"ashlar/reward-token/1";
const EARNER_TAG: &[u8] = b"ashlar/reward-earner/1";
const ROOT_TAG: &[u8] = b"ashlar/reward-root/1";

/// Tokens in one claim.
pub const MAX_CLAIM_TOKENS: usize = 32;
/// Nodes of a path: trees have up to 2^64 leaves.
pub(super) const MAX_PATH: usize = 64;

/// Cumulative earnings by earner and token: all that they ever earned, paid or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    earnings: BTreeMap<Account, BTreeMap<Account, Amount>>,
}

/// One token of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenClaim {
    /// The token.
    pub token: Account,
    /// Cumulative earnings.
    pub cumulative: Amount,
    /// Its place among the earner's tokens.
    pub index: u64,
    /// From its leaf to the earner's token root.
    pub path: Vec<B256>,
}

/// What an earner shows to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardClaim {
    /// Number of the root in the ledger.
    pub root: u64,
    /// Who is paid.
    pub earner: Account,
    /// Earners in the distribution.
    pub earners: u64,
    /// Root over the earners.
    pub earners_root: B256,
    /// The earner's place.
    pub index: u64,
    /// From its leaf to the root over the earners.
    pub path: Vec<B256>,
    /// Tokens that it earned.
    pub token_count: u64,
    /// Root over them.
    pub tokens_root: B256,
    /// Those that are claimed, 1 to 32.
    pub tokens: Vec<TokenClaim>,
}

impl Distribution {
    /// Adds to what an earner earned in a token.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn add(
        &mut self,
        earner: Account,
        token: Account,
        amount: Amount,
    ) -> Result<(), TransactionError> {
        if amount.is_zero() {
            return Ok(());
        }
        let earned = self
            .earnings
            .entry(earner)
            .or_default()
            .entry(token)
            .or_default();
        *earned = earned.plus(amount)?;
        Ok(())
    }

    /// All earnings: earner, token, cumulative amount; sorted.
    pub fn earnings(&self) -> impl Iterator<Item = (Account, Account, Amount)> + '_ {
        self.earnings.iter().flat_map(|(earner, tokens)| {
            tokens
                .iter()
                .map(|(token, amount)| (*earner, *token, *amount))
        })
    }

    /// The root to submit.
    pub fn root(&self) -> B256 {
        root_of(self.earnings.len() as u64, &self.tree().root().into())
    }

    fn tree(&self) -> MerkleTree {
        MerkleTree::from_leaf_hashes(
            self.earnings
                .iter()
                .map(|(earner, tokens)| {
                    let root = token_tree(tokens).root().into();
                    earner_leaf(*earner, tokens.len() as u64, &root)
                })
                .collect(),
        )
    }

    /// The claim of everything that an earner earned (the first 32 tokens); `None` if that is nothing. `root` is the number
    /// that the ledger gave this distribution's root.
    pub fn claim(&self, root: u64, earner: Account) -> Option<RewardClaim> {
        let tokens = self.earnings.get(&earner)?;
        let index = self.earnings.keys().position(|key| *key == earner)?;
        let tree = self.tree();
        let inner = token_tree(tokens);
        Some(RewardClaim {
            root,
            earner,
            earners: self.earnings.len() as u64,
            earners_root: tree.root().into(),
            index: index as u64,
            path: words(tree.path(index)?),
            token_count: tokens.len() as u64,
            tokens_root: inner.root().into(),
            tokens: tokens
                .iter()
                .enumerate()
                .take(MAX_CLAIM_TOKENS)
                .map(|(index, (token, cumulative))| {
                    Some(TokenClaim {
                        token: *token,
                        cumulative: *cumulative,
                        index: index as u64,
                        path: words(inner.path(index)?),
                    })
                })
                .collect::<Option<_>>()?,
        })
    }
}

impl RewardClaim {
    /// Checks that the claim leads to the root.
    ///
    /// # Errors
    ///
    /// [`MerkleError`].
    pub fn verify(&self, root: &B256) -> Result<(), MerkleError> {
        if root_of(self.earners, &self.earners_root) != *root {
            return Err(MerkleError::RootMismatch);
        }
        verify_path(
            &self.earners_root,
            self.earners,
            self.index,
            earner_leaf(self.earner, self.token_count, &self.tokens_root),
            &hashes(&self.path),
        )?;
        self.tokens.iter().try_for_each(|claim| {
            verify_path(
                &self.tokens_root,
                self.token_count,
                claim.index,
                token_leaf(claim.token, claim.cumulative),
                &hashes(&claim.path),
            )
        })
    }
}

fn root_of(earners: u64, earners_root: &B256) -> B256 {
    sha256(&[ROOT_TAG, &earners.to_be_bytes(), earners_root.as_slice()]).into()
}

fn token_leaf(token: Account, cumulative: Amount) -> Hash {
    let mut data = TOKEN_TAG.to_vec();
    data.extend_from_slice(token.as_bytes());
    data.extend_from_slice(&cumulative.0.to_be_bytes::<32>());
    leaf_hash(&data)
}

fn earner_leaf(earner: Account, tokens: u64, tokens_root: &B256) -> Hash {
    let mut data = EARNER_TAG.to_vec();
    data.extend_from_slice(earner.as_bytes());
    data.extend_from_slice(&tokens.to_be_bytes());
    data.extend_from_slice(tokens_root.as_slice());
    leaf_hash(&data)
}

fn token_tree(tokens: &BTreeMap<Account, Amount>) -> MerkleTree {
    MerkleTree::from_leaf_hashes(
        tokens
            .iter()
            .map(|(token, amount)| token_leaf(*token, *amount))
            .collect(),
    )
}

fn words(path: Vec<Hash>) -> Vec<B256> {
    path.into_iter().map(Into::into).collect()
}

fn hashes(path: &[B256]) -> Vec<Hash> {
    path.iter().map(|word| word.0).collect()
}

/// Shares `total` out by weight, to the last unit: part i is `⌊total · (w_0 + … + w_i) / Σw⌋` less what came before, so that
/// each part is within one of its fair share and all parts together are `total`. `None` if all weights are zero.
///
/// # Errors
///
/// [`TransactionError::Overflow`] if the weights do not add up in 256 bits.
pub fn share_out(
    total: Amount,
    weights: &[Amount],
) -> Result<Option<Vec<Amount>>, TransactionError> {
    let sum = weights
        .iter()
        .try_fold(Amount::ZERO, |sum, weight| sum.plus(*weight))?;
    if sum.is_zero() {
        return Ok(None);
    }
    let (mut seen, mut given) = (Amount::ZERO, Amount::ZERO);
    let parts = weights
        .iter()
        .map(|weight| {
            seen = seen.plus(*weight)?;
            let until = total.mul_div(seen, sum)?;
            let part = until.minus(given)?;
            given = until;
            Ok(part)
        })
        .collect::<Result<_, TransactionError>>()?;
    Ok(Some(parts))
}

/// An operator in a split of rewards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorShare {
    /// Where its own part goes.
    pub account: Account,
    /// Its weight in the quorum.
    pub weight: Amount,
    /// Its own part in basis points, 0 to 10,000.
    pub split_bps: u16,
    /// Who delegates to it, with their shares.
    pub stakers: Vec<(Account, Amount)>,
}

/// Splits a reward: over the operators by weight; of each part the operator's split first, rounded down, the rest to its
/// stakers by share (to the operator if it has none). What is given is `amount`, exactly. Empty if no operator has weight.
///
/// # Errors
///
/// [`TransactionError::Overflow`]; [`TransactionError::Split`] if a split is more than all.
pub fn split_reward(
    amount: Amount,
    operators: &[OperatorShare],
) -> Result<BTreeMap<Account, Amount>, TransactionError> {
    let mut paid: BTreeMap<Account, Amount> = BTreeMap::new();
    let weights: Vec<_> = operators.iter().map(|operator| operator.weight).collect();
    let Some(parts) = share_out(amount, &weights)? else {
        return Ok(paid);
    };
    for (operator, part) in operators.iter().zip(parts) {
        if operator.split_bps > 10_000 {
            return Err(TransactionError::Split {
                got: operator.split_bps,
                max: 10_000,
            });
        }
        let mut own = part.basis_points(operator.split_bps)?;
        let shares: Vec<_> = operator.stakers.iter().map(|(_, shares)| *shares).collect();
        match share_out(part.minus(own)?, &shares)? {
            Some(rest) => {
                for ((staker, _), part) in operator.stakers.iter().zip(rest) {
                    add(&mut paid, *staker, part)?;
                }
            }
            None => own = part,
        }
        add(&mut paid, operator.account, own)?;
    }
    Ok(paid)
}

fn add(
    paid: &mut BTreeMap<Account, Amount>,
    to: Account,
    amount: Amount,
) -> Result<(), TransactionError> {
    if amount.is_zero() {
        return Ok(());
    }
    let sum = paid.entry(to).or_default();
    *sum = sum.plus(amount)?;
    Ok(())
}
