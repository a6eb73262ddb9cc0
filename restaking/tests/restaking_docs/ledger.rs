//! The worked examples of the ledger: each runs on the real one, with the parameters of the preset `current`.

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_proto::{Account, OperatorId, OperatorIndex, TableAccess, operator_id};
use ashlar_restaking::*;

use super::says;

#[path = "custody.rs"]
mod custody;
#[path = "payments.rs"]
mod payments;
#[path = "rewards.rs"]
mod rewards;

const ADMIN: Account = Account([0xa0; 20]);
const ORACLE: Account = Account([0xa1; 20]);
const OWNER: Account = Account([0xb0; 20]);
const SLASHER: Account = Account([0xb1; 20]);
const RESOLVER: Account = Account([0xb2; 20]);
const HARMED: Account = Account([0xb3; 20]);
const MANAGER: Account = Account([0xc0; 20]);
const ALICE: Account = Account([0x0a; 20]);
const BOB: Account = Account([0x0b; 20]);
const OTTO: Account = Account([0x40; 20]);
const OLGA: Account = Account([0x41; 20]);
const TOKEN: Account = Account([0xe5; 20]);
const DISPERSERS: DisperserTerms = DisperserTerms {
    token: TOKEN,
    min_bond: Amount::WAD,
    max: 1024,
};
const ETH: StrategyId = 1;
const STETH: StrategyId = 2;

fn bls(operator: Account) -> SecretKey {
    SecretKey::from_ikm(&[operator.0[0]; 32])
}

fn id(operator: Account) -> OperatorId {
    operator_id(&bls(operator).public_key().to_bytes())
}

fn ether(whole: u64) -> Amount {
    Amount::ether(whole)
}

fn wei(text: &str) -> Amount {
    text.parse().unwrap()
}

/// A ledger in progress.
struct Ledger {
    state: State,
}

impl Ledger {
    fn new(params: Params) -> Self {
        let genesis = Genesis {
            network: "docs".into(),
            salt: B256::repeat_byte(1),
            head_key: ADMIN,
            block: Block(1),
            admin: ADMIN,
            reward_updater: ADMIN,
            params,
        };
        let mut ledger = Self {
            state: State::new(&genesis).unwrap(),
        };
        for (name, kind) in [
            ("ETH", StrategyKind::NativeEth),
            ("stETH", StrategyKind::Lst),
        ] {
            ledger.ok(
                ADMIN,
                Action::AddStrategy {
                    name: name.into(),
                    kind,
                    asset: Account([kind as u8; 20]),
                    oracle: ORACLE,
                },
            );
        }
        ledger
    }

    /// With the operator Otto, who has 100 stETH, and service 1.
    fn market(params: Params) -> Self {
        let mut ledger = Self::new(params);
        ledger.service(None, 0, Wad::ONE);
        ledger.quorum(1, 10, None);
        ledger.operator(OTTO);
        ledger
    }

    fn service(&mut self, resolver: Option<Account>, veto_window: u64, slash_cap: Wad) {
        self.ok(
            OWNER,
            Action::RegisterService {
                name: "da".into(),
                conditions: "two batches under one sequence".into(),
                slasher: SLASHER,
                resolver,
                veto_window,
                slash_cap: slash_cap.min(self.state.meta().params.slash_cap),
                ejector: OWNER,
                versions: vec![1],
                dispersers: DISPERSERS,
                custody: None,
            },
        );
    }

    fn quorum(&mut self, service: ServiceId, maximum: u32, redistribute_to: Option<Account>) {
        let part = |strategy, multiplier| QuorumStrategy {
            strategy,
            multiplier,
        };
        let steth = part(STETH, wei("1050000000000000000"));
        self.ok(
            OWNER,
            Action::AddQuorum {
                service,
                quorum: 0,
                config: QuorumConfig {
                    // Native ETH cannot be handed to anybody: it is on the beacon chain.
                    strategies: match redistribute_to {
                        None => vec![part(ETH, ether(1)), steth],
                        Some(_) => vec![steth],
                    },
                    minimum_weight: ether(1),
                    maximum_operators: maximum,
                    churn_bps: 11_000,
                    ejection_bps: 1000,
                    ejection_window: 7200,
                    ejection_cooldown: 50_400,
                    redistribute_to,
                },
            },
        );
    }

    fn operator(&mut self, operator: Account) {
        self.operator_with(operator, 0);
    }

    fn operator_with(&mut self, operator: Account, allocation_delay: u64) {
        let key = bls(operator);
        let statement = OperatorStatement {
            network: self.state.meta().id,
            account: operator,
            network_key: NetworkKey::from_seed([operator.0[0]; 32]).public(),
            address: "node.example.org:7400".into(),
            sequence: 0,
        };
        self.ok(
            operator,
            Action::RegisterOperator {
                bls_public_key: key.public_key().to_bytes(),
                proof_of_possession: key.prove_possession().to_bytes(),
                network_key: statement.network_key,
                statement: statement.sign(&key),
                address: statement.address,
                allocation_delay,
            },
        );
        self.deposit(operator, ether(100));
    }

    fn send(&mut self, sender: Account, action: Action) -> Result<Vec<Event>, TransactionError> {
        let block = self.state.meta().block;
        let result = self.state.apply(block, &Transaction { sender, action });
        self.state.check_books().unwrap();
        result
    }

    fn ok(&mut self, sender: Account, action: Action) -> Vec<Event> {
        self.send(sender, action).unwrap()
    }

    fn code(&mut self, sender: Account, action: Action) -> &'static str {
        self.send(sender, action).unwrap_err().code()
    }

    fn pass(&mut self, blocks: u64) {
        let block = self.state.meta().block + blocks;
        self.state.advance(block).unwrap();
    }

    fn deposit(&mut self, staker: Account, amount: Amount) -> Amount {
        let strategy = STETH;
        let events = self.ok(staker, Action::Deposit { strategy, amount });
        let Event::Deposited { shares, .. } = &events[0] else {
            panic!("{events:?}")
        };
        *shares
    }

    fn delegate(&mut self, staker: Account, operator: Account) {
        self.ok(
            staker,
            Action::Delegate {
                operator: id(operator),
            },
        );
    }

    fn allocate(&mut self, operator: Account, service: ServiceId, strategy: StrategyId, part: Wad) {
        self.ok(
            operator,
            Action::Allocate {
                service,
                quorum: 0,
                strategy,
                magnitude: part,
            },
        );
    }

    fn opt_in(&mut self, operator: Account, service: ServiceId) {
        self.ok(operator, Action::OptIn { service, quorum: 0 });
    }

    fn join(&mut self, operator: Account, part: Wad) {
        self.allocate(operator, 1, STETH, part);
        self.opt_in(operator, 1);
    }

    fn slash(&mut self, service: ServiceId, wad: Wad) -> (Wad, Amount) {
        let events = self.ok(SLASHER, slash(service, wad));
        let Event::Slashed {
            magnitude, shares, ..
        } = &events[0]
        else {
            panic!("{events:?}")
        };
        (*magnitude, *shares)
    }

    fn withdraw_all(&mut self, staker: Account) -> u64 {
        let events = self.ok(
            staker,
            Action::QueueWithdrawal {
                strategy: STETH,
                shares: None,
            },
        );
        let Event::WithdrawalQueued { withdrawal, .. } = &events[0] else {
            panic!("{events:?}")
        };
        *withdrawal
    }

    fn worth(&self, staker: Account) -> PositionView {
        self.state.positions(staker).unwrap()[0]
    }

    fn weight(&self) -> Amount {
        let block = self.state.meta().block;
        self.state.weight_at(1, 0, &id(OTTO), block)
    }
}

fn slash(service: ServiceId, wad: Wad) -> Action {
    Action::Slash {
        service,
        quorum: 0,
        operator: id(OTTO),
        parts: vec![SlashPart {
            strategy: STETH,
            wad,
        }],
        reason: "two batches under one sequence".into(),
    }
}

fn complete(withdrawal: u64) -> Action {
    Action::CompleteWithdrawal {
        withdrawal,
        as_shares: false,
    }
}

#[test]
fn shares_of_a_strategy() {
    let mut ledger = Ledger::new(Params::current());
    assert_eq!(ledger.deposit(ALICE, ether(100)), ether(100));
    ledger.ok(
        ORACLE,
        Action::Rebase {
            strategy: STETH,
            balance: ether(105),
        },
    );
    let shares = ledger.deposit(BOB, ether(21));
    says(&format!("Bob's 21 stETH become `{shares}` shares"));
    let tokens = ledger.worth(BOB).tokens;
    says(&format!("worth `{tokens}` wei at once"));
    says(&format!(
        "Alice's 100 shares are worth `{}` wei",
        ledger.worth(ALICE).tokens
    ));
}

#[test]
fn the_first_depositor_cannot_rob_the_second() {
    let mut ledger = Ledger::new(Params::current());
    ledger.deposit(BOB, wei("1"));
    ledger.ok(
        BOB,
        Action::Donate {
            strategy: STETH,
            amount: ether(1),
        },
    );
    let shares = ledger.deposit(ALICE, ether(1));
    says(&format!("Alice's 1 stETH still becomes {shares} shares"));
    says(&format!("worth `{}` wei", ledger.worth(ALICE).tokens));
    says(&format!(
        "of the `1000000000000000001` wei that the attacker spent it can get `{}` back",
        ledger.worth(BOB).tokens
    ));
}

#[test]
fn validators_and_the_beacon_factor() {
    let mut ledger = Ledger::new(Params::current());
    let validator = |validator| Action::AddValidator {
        strategy: ETH,
        validator,
    };
    let report = |balance| Action::BeaconBalance {
        strategy: ETH,
        staker: ALICE,
        balance,
    };
    ledger.ok(ALICE, validator(7));
    ledger.ok(ORACLE, report(wei("31500000000000000000")));
    let factor = ledger.state.staker(ALICE).unwrap().pod.clone().unwrap();
    says(&format!("the beacon factor falls to `{}`", factor.factor));
    assert_eq!(ledger.worth(ALICE).tokens, wei("31500000000000000000"));
    says("her 32 shares are worth `31500000000000000000` wei");
    ledger.ok(ALICE, validator(8));
    says(&format!(
        "With a second validator it is `{}`",
        ledger.worth(ALICE).tokens
    ));
    ledger.ok(ORACLE, report(wei("64000000000000000000")));
    says(&format!(
        "and after a report of 64 ETH `{}`",
        ledger.worth(ALICE).tokens
    ));
}

#[test]
fn a_slash_and_who_comes_later() {
    let mut ledger = Ledger::market(Params::current());
    ledger.deposit(ALICE, ether(50));
    ledger.delegate(ALICE, OTTO);
    ledger.join(OTTO, Wad::percent(40));
    assert_eq!(
        ledger.slash(1, Wad::percent(50)),
        (Wad::percent(20), ether(30))
    );
    assert_eq!(ledger.worth(ALICE).withdrawable, ether(40));
    says("The magnitude falls by ⌈40 % · 50 %⌉ = 20 % to `800000000000000000`");
    says("30 of the 150 shares are gone, 10 of them Alice's: her 50 are worth 40");
    ledger.deposit(ALICE, ether(10));
    let position = ledger.worth(ALICE);
    says(&format!("her k becomes `{}`", position.scaling));
    says(&format!(
        "her 60 deposit shares are worth `{}`",
        position.withdrawable
    ));
    ledger.deposit(BOB, ether(8));
    ledger.delegate(BOB, OTTO);
    let position = ledger.worth(BOB);
    assert_eq!(position.withdrawable, ether(8));
    says(&format!("Bob comes with 8 and k = `{}`", position.scaling));
}

#[test]
fn a_withdrawal_is_slashable_through_its_last_block() {
    let delay = Params::current().withdrawal_delay;
    let paid = |wait: u64| {
        let mut ledger = Ledger::market(Params::current());
        ledger.deposit(ALICE, ether(50));
        ledger.delegate(ALICE, OTTO);
        ledger.join(OTTO, Wad::ONE);
        ledger.pass(1000 - ledger.state.meta().block.0);
        let withdrawal = ledger.withdraw_all(ALICE);
        ledger.pass(wait);
        ledger.slash(1, Wad::percent(50));
        if wait <= delay {
            assert_eq!(ledger.code(ALICE, complete(withdrawal)), "withdrawal.early");
            ledger.pass(delay + 1 - wait);
        }
        ledger.ok(ALICE, complete(withdrawal));
        ledger.state.strategy(STETH).unwrap().paid
    };
    assert_eq!((paid(0), paid(delay)), (ether(25), ether(25)));
    assert_eq!(paid(delay + 1), ether(50));
    says(&format!(
        "queued in block 1,000, it can be slashed through block {} and completed from block {} on",
        thousands(1000 + delay),
        thousands(1000 + delay + 1)
    ));
    says(&format!(
        "A slash of one half in block {} pays Alice 25, one in block {} 50",
        thousands(1000 + delay),
        thousands(1000 + delay + 1)
    ));
}

#[test]
fn weights_of_a_quorum() {
    let mut ledger = Ledger::market(Params::current());
    ledger.ok(
        OTTO,
        Action::AddValidator {
            strategy: ETH,
            validator: 9,
        },
    );
    ledger.allocate(OTTO, 1, STETH, Wad::percent(40));
    ledger.allocate(OTTO, 1, ETH, Wad::percent(50));
    ledger.opt_in(OTTO, 1);
    assert_eq!(ledger.weight(), ether(58));
    says("⌊100 · 0.4 · 1.05⌋ + ⌊32 · 0.5 · 1⌋ = 42 + 16 = 58");
}

#[test]
fn a_full_quorum_and_an_ejection() {
    for (part, allowed) in [(54, false), (55, true)] {
        let mut ledger = Ledger::new(Params::current());
        ledger.service(None, 0, Wad::ONE);
        ledger.quorum(1, 1, None);
        ledger.operator(OTTO);
        ledger.operator(OLGA);
        ledger.join(OTTO, Wad::percent(50));
        ledger.allocate(OLGA, 1, STETH, Wad::percent(part));
        let opt_in = Action::OptIn {
            service: 1,
            quorum: 0,
        };
        let result = ledger.send(OLGA, opt_in);
        assert_eq!(result.is_ok(), allowed, "{result:?}");
    }
    says(
        "the smallest weighs `52500000000000000000`, so the newcomer needs `57750000000000000000`: with 55 stETH \
         allocated it gets in, with 54 (`56700000000000000000`) it is refused with `service.quorum_full`",
    );
    // Ten members of the same weight: a tenth may be ejected in a window, so one.
    let mut ledger = Ledger::new(Params::current());
    ledger.service(None, 0, Wad::ONE);
    ledger.quorum(1, 10, None);
    let members: Vec<Account> = (0..10).map(|n| Account([0x50 + n; 20])).collect();
    for member in &members {
        ledger.operator(*member);
        ledger.join(*member, Wad::ONE);
    }
    ledger.pass(10);
    let eject = |member: Account| Action::Eject {
        service: 1,
        quorum: 0,
        operator: id(member),
    };
    ledger.ok(OWNER, eject(members[0]));
    assert_eq!(
        ledger.code(OWNER, eject(members[1])),
        "service.ejection_rate"
    );
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 0,
    };
    // Whoever leaves is slashable for the deallocation delay first; here that is longer than the cool-down.
    ledger.pass(50_400);
    assert_eq!(
        ledger.code(members[0], opt_in.clone()),
        "service.still_slashable"
    );
    ledger.pass(50_400);
    assert_eq!(
        ledger.code(members[0], opt_in.clone()),
        "service.still_slashable"
    );
    ledger.pass(1);
    ledger.ok(members[0], opt_in);
    says("of ten operators of 105 each, one can be ejected in 7,200 blocks");
    says("it is back after 100,801 blocks");
}

#[test]
fn an_increase_waits_for_the_allocation_delay() {
    let mut ledger = Ledger::market(Params::current());
    ledger.operator_with(OLGA, 7200);
    ledger.pass(1000 - ledger.state.meta().block.0);
    ledger.allocate(OLGA, 1, STETH, Wad::percent(30));
    let pool = ledger.state.pools(id(OLGA)).next().unwrap().1;
    assert_eq!(pool.encumbered, Wad::percent(30));
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 0,
    };
    ledger.pass(7199);
    assert_eq!(ledger.code(OLGA, opt_in.clone()), "service.below_minimum");
    ledger.pass(1);
    assert_eq!(ledger.state.meta().block, Block(8200));
    ledger.ok(OLGA, opt_in);
    let key = (id(OLGA), STETH, 1, 0);
    assert_eq!(ledger.state.slashable_shares(&key).unwrap(), ether(30));
    says(
        "encumbered from that block on, and 30 shares are slashable from block 8,200 on, in block 8,199 none",
    );
}

#[test]
fn a_decrease_takes_its_time() {
    let delay = Params::current().deallocation_delay;
    for (wait, expected) in [(delay, 30), (delay + 1, 5)] {
        let mut ledger = Ledger::market(Params::current());
        ledger.join(OTTO, Wad::percent(60));
        ledger.pass(1000 - ledger.state.meta().block.0);
        ledger.allocate(OTTO, 1, STETH, Wad::percent(10));
        assert_eq!(ledger.weight(), wei("10500000000000000000"));
        ledger.pass(wait);
        let (magnitude, _) = ledger.slash(1, Wad::percent(50));
        assert_eq!(magnitude, Wad::percent(expected));
    }
    says(&format!(
        "its weight falls from 63 to 10.5 at once, but through block {} a slash of one half takes 30 % of its stake, \
         and from block {} on 5 %",
        thousands(1000 + delay),
        thousands(1000 + delay + 1)
    ));
}

#[test]
fn a_service_cannot_touch_what_is_allocated_to_another() {
    let mut ledger = Ledger::market(Params::current());
    ledger.service(None, 0, Wad::ONE);
    ledger.quorum(2, 10, None);
    ledger.join(OTTO, Wad::percent(40));
    ledger.allocate(OTTO, 2, STETH, Wad::percent(60));
    ledger.opt_in(OTTO, 2);
    ledger.slash(1, Wad::ONE);
    let key = |service| (id(OTTO), STETH, service, 0);
    assert_eq!(
        ledger.state.slashable_shares(&key(1)).unwrap(),
        Amount::ZERO
    );
    assert_eq!(ledger.state.slashable_shares(&key(2)).unwrap(), ether(60));
    says(
        "service 1 slashes all of its 40: 60 shares are left, and all 60 are service 2's as before",
    );
    assert_eq!(
        ledger.code(
            OTTO,
            Action::Allocate {
                service: 1,
                quorum: 0,
                strategy: STETH,
                magnitude: Wad(1),
            }
        ),
        "allocation.magnitude"
    );
}

#[test]
fn presets() {
    let mut ledger = Ledger::market(Params::classic());
    ledger.join(OTTO, Wad::percent(40));
    let refused = ledger
        .send(SLASHER, slash(1, Wad::percent(51)))
        .unwrap_err();
    assert_eq!(refused.code(), "slash.wad");
    ledger.slash(1, Wad::percent(50));
    for (name, params, days) in [
        ("classic", Params::classic(), "3 + 1 + 1 + 1 + 1 = 7"),
        ("current", Params::current(), "9 + 1 + 1 + 2 + 1 = 14"),
    ] {
        assert_eq!(params.timing.total(), params.withdrawal_delay);
        says(&format!(
            "| `{name}` | {days} days | {} blocks | {} % |",
            thousands(params.withdrawal_delay),
            params.slash_cap.0 / (WAD / 100)
        ));
    }
    let mut late = Params::current();
    late.timing.margin += 1;
    says(&format!("`{}`", late.check().unwrap_err().code()));
    says(&late.check().unwrap_err().to_string());
}

#[test]
fn slashes_round_up() {
    let mut ledger = Ledger::market(Params::current());
    ledger.join(OTTO, Wad(WAD / 3));
    let (magnitude, shares) = ledger.slash(1, Wad::percent(50));
    says(&format!(
        "half of an allocation of `{}` is `{magnitude}`, which takes `{shares}` of 100 shares",
        WAD / 3
    ));
}

#[test]
fn a_veto_window_and_who_gets_slashed_stake() {
    let mut ledger = Ledger::new(Params::current());
    let day = 7200;
    ledger.service(Some(RESOLVER), 2 * day, Wad::ONE);
    ledger.quorum(1, 10, Some(HARMED));
    ledger.operator(OTTO);
    ledger.join(OTTO, Wad::percent(40));
    ledger.pass(1000 - ledger.state.meta().block.0);
    let events = ledger.ok(SLASHER, slash(1, Wad::percent(50)));
    let Event::SlashRequested {
        request,
        veto_until,
        ..
    } = events[0]
    else {
        panic!("{events:?}")
    };
    let execute = Action::ExecuteSlash { request };
    ledger.pass(veto_until - Block(1000));
    assert_eq!(ledger.code(SLASHER, execute.clone()), "slash.early");
    ledger.pass(1);
    let events = ledger.ok(SLASHER, execute);
    let Event::Slashed {
        tokens,
        redistributed_to,
        ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*tokens, *redistributed_to), (ether(20), Some(HARMED)));
    says(&format!(
        "asked for in block 1,000: it can be vetoed through block {}, and executed from block {} through block {}; \
         20 stETH go to the harmed",
        thousands(veto_until.0),
        thousands(veto_until.0 + 1),
        thousands(veto_until.0 + day)
    ));
}

#[test]
fn tables_of_past_blocks() {
    let mut ledger = Ledger::market(Params::current());
    ledger.join(OTTO, Wad::percent(50));
    ledger.pass(1000 - ledger.state.meta().block.0);
    ledger.slash(1, Wad::percent(10));
    ledger.pass(1);
    let total = |block| ledger.state.table_at(1, block).unwrap().total(0).unwrap();
    says(&format!(
        "the table of block 999 says `{}`, that of block 1,000 `{}`",
        total(Block(999)),
        total(Block(1000))
    ));
    let table = ledger.state.table_at(1, Block(1000)).unwrap();
    let (entry, path) = table.witness(OperatorIndex(0)).unwrap();
    let header = table.header();
    ashlar_crypto::verify_path(&header.operators_root, 1, 0, entry.leaf(), &path).unwrap();
    assert_eq!(
        ledger.state.table_changed_at(1, Block(1000)),
        Some(Block(1000))
    );
}

/// `100800` as `100,800`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn a_disperser_leaves() {
    let mut ledger = Ledger::market(Params::current());
    ledger.join(OTTO, Wad::ONE);
    let key = NetworkKey::from_seed([9; 32]);
    let statement = DisperserStatement {
        domain: ledger.state.domain(1),
        account: BOB,
        network_key: key.public(),
    };
    ledger.ok(
        BOB,
        Action::RegisterDisperser {
            service: 1,
            network_key: key.public(),
            statement: statement.sign(&key),
            bond: ether(1),
        },
    );
    ledger.pass(999);
    assert_eq!(ledger.state.meta().block, Block(1000));
    ledger.ok(
        BOB,
        Action::ExitDisperser {
            service: 1,
            disperser: 0,
        },
    );
    let shown = |state: &State, block| state.table_at(1, block).unwrap().dispersers().len();
    assert_eq!(
        [999, 1000].map(|block| shown(&ledger.state, Block(block))),
        [1, 0]
    );
    ledger.pass(100_800);
    assert_eq!(ledger.state.meta().block, Block(101_800));
    let standing = |state: &State| state.disperser(1, 0).unwrap().standing;
    let slashable_until = Block(101_800);
    assert_eq!(
        standing(&ledger.state),
        Standing::Exiting { slashable_until }
    );
    ledger.pass(1);
    assert_eq!(standing(&ledger.state), Standing::Gone);
    assert_eq!(ledger.state.bonds_paid(BOB, TOKEN), ether(1));
    says(
        "A disperser that exits in block 1,000 is in the table of block 999 and not in that of block 1,000.",
    );
    says("Its bond can be burnt through block 101,800 and comes back in block 101,801.");
}
