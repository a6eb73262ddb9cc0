use std::collections::BTreeMap;

use ashlar_crypto::account::{AccountSignature, keccak256};
use ashlar_proto::{Account, Network, OperatorId};
use serde_json::Value;

use super::super::distribution::{RewardClaim, TokenClaim};
use super::super::*;
use alloy_primitives::{B256, U256};

fn network() -> Network {
    Network::ledger(&[7; 32])
}

/// EIP-712 once more, of nothing but the document that a wallet gets.
struct Wallet<'a>(&'a serde_json::Map<String, Value>);

impl Wallet<'_> {
    fn fields(&self, name: &str) -> Vec<(&str, &str)> {
        self.0[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| {
                (
                    field["type"].as_str().unwrap(),
                    field["name"].as_str().unwrap(),
                )
            })
            .collect()
    }

    fn collect(&self, name: &str, into: &mut BTreeMap<String, String>) {
        let fields = self.fields(name);
        let text: Vec<_> = fields
            .iter()
            .map(|(kind, name)| format!("{kind} {name}"))
            .collect();
        into.insert(name.to_owned(), format!("{name}({})", text.join(",")));
        for (kind, _) in fields {
            let inner = kind.trim_end_matches("[]");
            if self.0.contains_key(inner) {
                self.collect(inner, into);
            }
        }
    }

    fn type_hash(&self, name: &str) -> [u8; 32] {
        let mut all = BTreeMap::new();
        self.collect(name, &mut all);
        let mut text = all.remove(name).unwrap();
        text.extend(all.into_values());
        keccak256(text.as_bytes())
    }

    fn word(&self, kind: &str, value: &Value) -> [u8; 32] {
        if let Some(inner) = kind.strip_suffix("[]") {
            let words: Vec<u8> = value
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|value| self.word(inner, value))
                .collect();
            return keccak256(&words);
        }
        if self.0.contains_key(kind) {
            return self.hash(kind, value);
        }
        let bytes = |text: &str| hex::decode(text.strip_prefix("0x").unwrap()).unwrap();
        match (kind, value) {
            ("string", Value::String(text)) => keccak256(text.as_bytes()),
            ("bytes", Value::String(text)) => keccak256(&bytes(text)),
            ("bytes32", Value::String(text)) => bytes(text).try_into().unwrap(),
            ("bool", Value::Bool(value)) => U256::from(u8::from(*value)).to_be_bytes(),
            ("address", Value::String(text)) => {
                let mut word = [0; 32];
                word[12..].copy_from_slice(&bytes(text));
                word
            }
            (_, Value::String(text)) if kind.starts_with("uint") => {
                text.parse::<U256>().unwrap().to_be_bytes()
            }
            _ => panic!("{kind} {value}"),
        }
    }

    fn hash(&self, name: &str, value: &Value) -> [u8; 32] {
        let mut words = self.type_hash(name).to_vec();
        let fields = self.fields(name);
        assert_eq!(fields.len(), value.as_object().unwrap().len());
        for (kind, field) in fields {
            words.extend(self.word(kind, &value[field]));
        }
        keccak256(&words)
    }
}

fn by_wallet(document: &Value) -> [u8; 32] {
    let wallet = Wallet(document["types"].as_object().unwrap());
    let primary = document["primaryType"].as_str().unwrap();
    let hashes = [
        &[0x19, 0x01],
        &wallet.hash("EIP712Domain", &document["domain"])[..],
        &wallet.hash(primary, &document["message"])[..],
    ];
    keccak256(&hashes.concat())
}

/// Structs in structs, lists of structs, every kind of value, and values that are left out.
fn samples() -> Vec<Action> {
    let who = Account([0xab; 20]);
    vec![
        Action::Undelegate {},
        Action::SetParams {
            params: Params::current(),
        },
        Action::Deposit {
            strategy: 2,
            amount: Amount::ether(3),
        },
        Action::QueueWithdrawal {
            strategy: 2,
            shares: None,
        },
        Action::CompleteWithdrawal {
            withdrawal: u64::MAX,
            as_shares: true,
        },
        Action::RegisterService {
            name: "dä".into(),
            conditions: "none".into(),
            slasher: who,
            resolver: None,
            veto_window: 0,
            slash_cap: Wad::ONE,
            ejector: who,
            versions: vec![1, 3],
            dispersers: DisperserTerms {
                token: who,
                min_bond: Amount::ether(1),
                max: 7,
            },
            custody: None,
        },
        Action::AddQuorum {
            service: 1,
            quorum: 0,
            config: QuorumConfig {
                strategies: vec![QuorumStrategy {
                    strategy: 1,
                    multiplier: Amount::WAD,
                }],
                minimum_weight: Amount::ZERO,
                maximum_operators: 128,
                churn_bps: 11_000,
                ejection_bps: 1,
                ejection_window: 2,
                ejection_cooldown: 3,
                redistribute_to: Some(who),
            },
        },
        Action::SetPaymentTerms {
            service: 1,
            terms: PaymentTerms {
                token: who,
                operators_bps: 7000,
                row_price: Amount::ether(1),
                capacity: 800,
                notice: 7200,
            },
        },
        Action::AnnounceRefund {
            service: 1,
            disperser: 0,
            amount: None,
        },
        Action::RedeemVoucher {
            service: 1,
            disperser: 0,
            account: who,
            cumulative: Amount::ether(1),
            signature: AccountSignature([7; 65]),
        },
        Action::AnswerChallenge {
            challenge: 1,
            answer: vec![1, 2, 3],
        },
        Action::SetProfile {
            vault: 1,
            profile: vec![(OperatorId([1; 32]), 10_000)],
        },
        Action::ClaimReward {
            claim: RewardClaim {
                root: 1,
                earner: who,
                earners: 2,
                earners_root: B256::repeat_byte(1),
                index: 0,
                path: vec![B256::repeat_byte(2)],
                token_count: 1,
                tokens_root: B256::repeat_byte(3),
                tokens: vec![TokenClaim {
                    token: who,
                    cumulative: Amount::ether(1),
                    index: 0,
                    path: Vec::new(),
                }],
            },
        },
    ]
}

#[test]
fn a_wallet_signs_what_the_ledger_checks() {
    for action in samples() {
        let document = action.typed_data(network(), 5).unwrap();
        assert_eq!(
            by_wallet(&document),
            action.signing_hash(network(), 5),
            "{document:#}"
        );
    }
}

#[test]
fn network_nonce_and_action_are_all_in_the_hash() {
    let hash = |action: &Action, network, nonce| action.signing_hash(network, nonce);
    let mut seen = std::collections::BTreeSet::new();
    for action in samples() {
        for network in [network(), Network::ledger(&[8; 32])] {
            for nonce in [0, 1] {
                assert!(seen.insert(hash(&action, network, nonce)), "{action:?}");
            }
        }
    }
}

#[test]
fn names_are_those_of_json() {
    for action in samples() {
        let json = serde_json::to_value(&action).unwrap();
        assert_eq!(json["type"], action.name());
        assert!(Action::NAMES.contains(&action.name()));
        assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action);
    }
    for kind in [
        RewardKind::Fee,
        RewardKind::Bounty,
        RewardKind::Incentive,
        RewardKind::Points,
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    for kind in [
        StrategyKind::NativeEth,
        StrategyKind::Lst,
        StrategyKind::LpEth,
        StrategyKind::LpLst,
        StrategyKind::Other,
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
}
