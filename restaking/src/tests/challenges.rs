//! Custody challenges: from the opening to the bond, and to the slash.

use std::collections::BTreeSet;

use ashlar_crypto::Setup;
use ashlar_proto::{Attestation, Certificate};

use super::super::log::Entry;
use super::super::testing::custody::*;
use super::super::testing::*;
use super::super::*;
use crate::evidence::{ChallengeId, CustodyAnswer, CustodyObligation, FaultKind, ProvenFault};

const WHO: u8 = 1;
const OTHER: u8 = 2;
const TOKEN: u8 = 0xe5;

fn five() -> Amount {
    Amount::from(5u64)
}

/// Operator 0 with half of its 100 allocated to quorum 0 of services 1 and 2, and of service 1 to quorum 1; block 2.
fn lab() -> Lab {
    let mut lab = Lab::new();
    for (service, quorum, percent) in [(1, 0, 50), (1, 1, 20), (2, 0, 30)] {
        lab.ok(
            0x40,
            Action::Allocate {
                service,
                quorum,
                strategy: 2,
                magnitude: Wad::percent(percent),
            },
        );
        lab.ok(0x40, Action::OptIn { service, quorum });
    }
    // Service 3 takes no challenges.
    let mut service = lab.service(None, 0);
    if let Action::RegisterService { custody, .. } = &mut service {
        *custody = None;
    }
    lab.ok(OWNER, service);
    lab.pass(1);
    lab
}

fn certificate_of(lab: &Lab, service: ServiceId, salt: u64, quorums: &[u8]) -> Certificate {
    let reference = lab.block.saturating_sub(1);
    certificate(&lab.state, service, reference, &blob(salt, quorums), &[0]).unwrap()
}

fn open_with(certificate: Vec<u8>) -> Action {
    Action::OpenChallenge {
        service: 1,
        operator: operator_key(0),
        certificate,
        bond: five(),
    }
}

fn open(lab: &Lab, salt: u64) -> Action {
    open_with(certificate_of(lab, 1, salt, &[0]).to_bytes())
}

fn reply(challenge: u64, answer: &CustodyAnswer) -> Action {
    Action::AnswerChallenge {
        challenge,
        answer: answer.to_bytes(),
    }
}

fn bonds(lab: &Lab) -> [u64; 4] {
    let fund = lab.state.bond_fund(account(TOKEN));
    [fund.paid_in, fund.held, fund.to_operators, fund.returned].map(|amount| {
        let text = amount.to_string();
        text.parse().unwrap()
    })
}

fn shares(lab: &Lab) -> Amount {
    let (_, pool) = lab.state.pools(operator_key(0)).next().unwrap();
    pool.shares
}

fn slashed(events: &[Event]) -> Vec<u8> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Slashed { quorum, .. } => Some(*quorum),
            _ => None,
        })
        .collect()
}

#[test]
fn an_answer_in_time_earns_the_bond() {
    let mut lab = lab();
    let events = lab.ok(WHO, open(&lab, 1));
    let (challenge, record) = lab.state.challenges().next().unwrap();
    let record = record.clone();
    assert_eq!(challenge, 1);
    assert_eq!((record.opened, record.deadline), (Block(2), Block(5)));
    assert_eq!(
        events,
        [Event::ChallengeOpened {
            challenge,
            service: 1,
            operator: operator_key(0),
            challenger: account(WHO),
            blob_key: blob(1, &[0]).blob_key(),
            row: record.row,
            element: record.element,
            deadline: Block(5),
            token: account(TOKEN),
            bond: five(),
        }]
    );
    assert_eq!(bonds(&lab), [5, 5, 0, 0]);
    assert_eq!(lab.state.service(1).unwrap().challenges, 1);
    // The last block for an answer, and anybody may bring it: here as an opening, made of the payload alone.
    lab.pass(3);
    let rows = &content().rows;
    let setup = Setup::ethereum();
    let answer = CustodyAnswer::from_rows(setup, &record.blob, rows, record.position()).unwrap();
    let events = lab.ok(OTHER, reply(challenge, &answer));
    assert_eq!(
        events,
        [Event::ChallengeAnswered {
            challenge,
            operator: operator_key(0),
            account: account(0x40),
            token: account(TOKEN),
            bond: five(),
        }]
    );
    assert_eq!(bonds(&lab), [5, 0, 5, 0]);
    let paid = |lab: &Lab, who| lab.state.bonds_paid(account(who), account(TOKEN));
    assert_eq!((paid(&lab, 0x40), paid(&lab, WHO)), (five(), Amount::ZERO));
    assert_eq!(lab.state.challenge(challenge), None);
    assert_eq!(lab.state.service(1).unwrap().challenges, 0);
    assert_eq!(
        lab.code(OTHER, reply(challenge, &answer)),
        "challenge.unknown"
    );
    let before = shares(&lab);
    lab.pass(20);
    assert_eq!(shares(&lab), before, "answered is answered");
}

#[test]
fn silence_costs_stake_once_for_a_blob_and_the_bond_goes_back() {
    let mut lab = lab();
    // Two ask for the same blob; they get different elements.
    let one = open(&lab, 1);
    lab.ok(WHO, one.clone());
    lab.ok(OTHER, one);
    let asked: BTreeSet<_> = lab
        .state
        .challenges()
        .map(|(_, record)| (record.row, record.element))
        .collect();
    assert_eq!(asked.len(), 2);
    lab.pass(3);
    assert_eq!(lab.state.challenges().count(), 2, "open through block 5");
    assert_eq!(shares(&lab), Amount::ether(100));
    lab.block = lab.block + 1;
    let events = lab.state.advance(lab.block).unwrap();
    assert!(matches!(
        events[..],
        [
            Event::ChallengeUnanswered { challenge: 1, .. },
            Event::Slashed { quorum: 0, .. },
            Event::ChallengeUnanswered { challenge: 2, .. },
        ]
    ));
    // 30 % of the half that is allocated to service 1's quorum 0, and nothing of the others.
    assert_eq!(shares(&lab), Amount::ether(85));
    assert_eq!(bonds(&lab), [10, 0, 0, 10]);
    let paid = |who| lab.state.bonds_paid(account(who), account(TOKEN));
    assert_eq!((paid(WHO), paid(OTHER)), (five(), five()));
    lab.state.check_books().unwrap();
    // The duty was punished: nobody needs to ask again.
    let again = certificate(&lab.state, 1, Block(1), &blob(1, &[0]), &[0]).unwrap();
    assert_eq!(
        lab.code(WHO, open_with(again.to_bytes())),
        "slash.same_fault"
    );
    // Another blob is another duty.
    let other = certificate(&lab.state, 1, Block(1), &blob(2, &[0]), &[0]).unwrap();
    lab.ok(WHO, open_with(other.to_bytes()));
    lab.block = lab.block + 4;
    let events = lab.state.advance(lab.block).unwrap();
    assert_eq!(slashed(&events), [0]);
    assert_eq!(shares(&lab), wei("74500000000000000000"));
}

#[test]
fn whoever_leaves_with_an_open_challenge_answers_it_all_the_same() {
    let mut lab = lab();
    lab.ok(WHO, open(&lab, 1));
    let leave = Action::OptOut {
        service: 1,
        quorum: 0,
    };
    lab.ok(0x40, leave);
    assert_eq!(lab.state.challenges().count(), 1);
    lab.block = lab.block + 4;
    let events = lab.state.advance(lab.block).unwrap();
    assert_eq!(slashed(&events), [0]);
    assert_eq!(shares(&lab), Amount::ether(85));
}

fn wei(text: &str) -> Amount {
    text.parse().unwrap()
}

#[test]
fn a_blob_of_two_quorums_costs_in_both_and_a_jump_over_the_deadline_is_the_same() {
    let mut lab = lab();
    let both = certificate_of(&lab, 1, 1, &[0, 1]);
    lab.ok(WHO, open_with(both.to_bytes()));
    let mut jump = lab.state.clone();
    for block in 3..=12 {
        lab.state.advance(Block(block)).unwrap();
    }
    let events = jump.advance(Block(12)).unwrap();
    assert_eq!(slashed(&events), [0, 1]);
    assert_eq!(jump.root(), lab.state.root());
    assert_eq!(shares(&lab), wei("79000000000000000000"));
    // What was slashed was slashed in the block after the deadline.
    let fault = FaultRecord {
        operator: operator_key(0),
        ..*jump.faults.iter().next().unwrap().0
    };
    assert_eq!(jump.fault(&fault), Some(Block(6)));
    assert_eq!(fault.kind, FaultKind::UnansweredChallenge.number());
}

#[test]
fn a_service_with_a_veto_window_gets_a_request() {
    let mut lab = lab();
    let action = |lab: &Lab| Action::OpenChallenge {
        service: 2,
        operator: operator_key(0),
        certificate: certificate_of(lab, 2, 1, &[0]).to_bytes(),
        bond: five(),
    };
    let first = action(&lab);
    lab.ok(WHO, first.clone());
    lab.block = lab.block + 4;
    let events = lab.state.advance(lab.block).unwrap();
    let [
        Event::ChallengeUnanswered { .. },
        Event::SlashRequested {
            request,
            veto_until: Block(9),
            ..
        },
    ] = events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(shares(&lab), Amount::ether(100));
    assert_eq!(lab.code(WHO, first.clone()), "slash.same_fault");
    // Vetoed, it can be asked for again.
    lab.ok(RESOLVER, Action::VetoSlash { request });
    lab.ok(WHO, first);
    lab.block = lab.block + 4;
    lab.state.advance(lab.block).unwrap();
    let (request, _) = lab.state.slash_requests().next().unwrap();
    assert_eq!(
        lab.code(SLASHER, Action::ExecuteSlash { request }),
        "slash.early"
    );
    lab.pass(4);
    let events = lab.ok(SLASHER, Action::ExecuteSlash { request });
    assert_eq!(slashed(&events), [0]);
    assert_eq!(shares(&lab), Amount::ether(91));
}

#[test]
fn a_wrong_answer_leaves_the_challenge_open() {
    let mut lab = lab();
    lab.ok(WHO, open(&lab, 1));
    let record = lab.state.challenge(1).unwrap().clone();
    let cell = 64;
    let wrong = slice_of((record.element / cell + 1) % 512);
    let refused = lab.code(0x40, reply(1, &wrong));
    assert_eq!(refused, "challenge.wrong_answer");
    let CustodyAnswer::Slice { mut bytes, path } = slice(&record) else {
        panic!("a slice")
    };
    bytes[7] ^= 1;
    let flipped = CustodyAnswer::Slice { bytes, path };
    assert_eq!(lab.code(0x40, reply(1, &flipped)), "challenge.wrong_answer");
    assert_eq!(bonds(&lab), [5, 5, 0, 0]);
    lab.ok(0x40, reply(1, &slice(&record)));
    assert_eq!(bonds(&lab), [5, 0, 5, 0]);
}

#[test]
fn nobody_picks_the_element() {
    let lab = lab();
    let action = open(&lab, 1);
    let asked = |lab: &Lab, sender: u8| {
        let mut state = lab.state.clone();
        let sender = account(sender);
        let action = action.clone();
        state
            .apply(lab.block, &Transaction { sender, action })
            .unwrap();
        let (_, record) = state.challenges().next().unwrap();
        record.position()
    };
    let here = asked(&lab, WHO);
    assert_eq!(asked(&lab, WHO), here, "one draw a block and account");
    assert_ne!(asked(&lab, OTHER), here);
    // What is done in the same block makes no difference, in the next one it does.
    let deposit = Action::Deposit {
        strategy: 3,
        amount: five(),
    };
    let mut busy = self::lab();
    busy.ok(9, deposit);
    assert_eq!(asked(&busy, WHO), here);
    let mut quiet = self::lab();
    quiet.pass(1);
    busy.pass(1);
    assert_ne!(asked(&quiet, WHO), here);
    assert_ne!(asked(&busy, WHO), asked(&quiet, WHO));
    // Only elements that the operator owes.
    let certificate = Certificate::from_bytes(match &action {
        Action::OpenChallenge { certificate, .. } => certificate,
        _ => panic!("an opening"),
    })
    .unwrap();
    let table = lab.state.table_at(1, Block(1)).unwrap();
    let duty = CustodyObligation::prove(&certificate, &table, &operator_key(0)).unwrap();
    duty.check(here).unwrap();
}

#[test]
fn the_form_of_the_certificate_does_not_change_the_draw_or_the_duty() {
    let mut lab = lab();
    let compact = certificate_of(&lab, 1, 1, &[0]);
    let table = lab.state.table_at(1, Block(1)).unwrap();
    let portable = compact.to_portable(&table).unwrap();
    assert!(matches!(portable.attestation, Attestation::Portable { .. }));
    let mut other = lab.state.clone();
    lab.ok(WHO, open_with(compact.to_bytes()));
    let sender = account(WHO);
    let action = open_with(portable.to_bytes());
    other
        .apply(Block(2), &Transaction { sender, action })
        .unwrap();
    assert_eq!(other.challenge(1), lab.state.challenge(1));
    let portable = open_with(portable.to_bytes());
    assert_eq!(lab.code(WHO, portable), "challenge.same");
}

#[test]
fn a_challenge_is_a_fault_as_evidence_knows_it() {
    let mut lab = lab();
    lab.ok(WHO, open(&lab, 1));
    let record = lab.state.challenge(1).unwrap().clone();
    let challenge = record.challenge();
    let fault = ProvenFault::unanswered(&challenge);
    assert_eq!(ChallengeId(fault.evidence_hash()), challenge.id());
    lab.block = lab.block + 4;
    lab.state.advance(lab.block).unwrap();
    assert_eq!(
        lab.state
            .fault(&FaultRecord::of(operator_key(0), &fault, 1, 0)),
        Some(Block(6))
    );
    assert_eq!(
        lab.state
            .fault(&FaultRecord::of(operator_key(0), &fault, 1, 1)),
        None
    );
    assert_eq!(
        lab.state
            .fault(&FaultRecord::of(operator_key(0), &fault, 2, 0)),
        None
    );
}

/// Challenges open, answered, silent: the log gives the same root, and so does a snapshot in between.
#[test]
fn the_log_and_a_snapshot_give_the_same_state() {
    let mut entries = setup_entries();
    entries.push(Entry::Block(Block(2)));
    let mut lab = with(&State::replay(&genesis(), &entries).unwrap());
    let challenges = [1, 2].map(|salt| entry(Block(2), WHO, open(&lab, salt)));
    for entry in &challenges {
        lab.state.follow(entry).unwrap();
    }
    assert_eq!(lab.state.challenges().count(), 2);
    let record = lab.state.challenge(1).unwrap().clone();
    let mut last = lab.state.clone();
    let rest = [
        Entry::Block(Block(4)),
        entry(Block(4), OTHER, reply(1, &slice(&record))),
        Entry::Block(Block(7)),
        entry(Block(7), WHO, deposit()),
    ];
    for entry in &rest {
        last.follow(entry).unwrap();
    }
    entries.extend(challenges);
    entries.extend(rest.clone());
    let root = last.root();
    assert_eq!(shares(&with(&last)), Amount::ether(85));
    let mut replayed = State::replay(&genesis(), &entries).unwrap();
    assert_eq!(replayed.root(), root);
    let mut restored = State::from_json(&replayed.to_json().unwrap()).unwrap();
    assert_eq!(restored.root(), root);
    // A snapshot with a challenge open has it.
    let mut middle = State::from_json(&lab.state.to_json().unwrap()).unwrap();
    assert_eq!(middle.challenge(1), Some(&record));
    assert_eq!(middle.root(), lab.state.root());
    for entry in &rest {
        middle.follow(entry).unwrap();
    }
    assert_eq!(middle.root(), root);
}

fn with(state: &State) -> Lab {
    Lab {
        state: state.clone(),
        block: state.meta().block,
    }
}

fn deposit() -> Action {
    Action::Deposit {
        strategy: 3,
        amount: five(),
    }
}

fn entry(block: Block, sender: u8, action: Action) -> Entry {
    let sender = account(sender);
    Entry::Transaction(block, Box::new(Transaction { sender, action }))
}

/// A ledger with the operator 0 in quorum 0 of service 1, as entries of a log.
fn setup_entries() -> Vec<Entry> {
    let lab = Lab::new();
    let mut entries = Vec::new();
    for (step, kind) in [
        StrategyKind::NativeEth,
        StrategyKind::Lst,
        StrategyKind::LpLst,
    ]
    .into_iter()
    .enumerate()
    {
        let action = Action::AddStrategy {
            name: "asset".into(),
            kind,
            asset: account([0, 0xe1, 0xe2][step]),
            oracle: account(ORACLE),
        };
        entries.push(entry(Block(1), ADMIN, action));
    }
    entries.push(entry(Block(1), OWNER, lab.service(None, 0)));
    let (service, quorum) = (1, 0);
    let config = lab.config(quorum);
    for (sender, action) in [
        (
            OWNER,
            Action::AddQuorum {
                service,
                quorum,
                config,
            },
        ),
        (0x40, World::register(0, 0)),
        (
            0x40,
            Action::Deposit {
                strategy: 2,
                amount: Amount::ether(100),
            },
        ),
        (
            0x40,
            Action::Allocate {
                service,
                quorum,
                strategy: 2,
                magnitude: Wad::percent(50),
            },
        ),
        (0x40, Action::OptIn { service, quorum }),
    ] {
        entries.push(entry(Block(1), sender, action));
    }
    entries
}

#[test]
fn transactions_have_one_form_in_json() {
    let text = r#"{"type":"answer_challenge","challenge":7,"answer":"0x00ff"}"#;
    let action: Action = serde_json::from_str(text).unwrap();
    assert_eq!(
        action,
        Action::AnswerChallenge {
            challenge: 7,
            answer: vec![0, 0xff],
        }
    );
    assert_eq!(serde_json::to_string(&action).unwrap(), text);
    for other in ["0x00FF", "00ff", "0x0", "0x00 f"] {
        let text = text.replace("0x00ff", other);
        assert!(serde_json::from_str::<Action>(&text).is_err(), "{other}");
    }
    let long = text.replace("00ff", &"0".repeat(log::MAX_PAYLOAD + 2));
    assert!(serde_json::from_str::<Action>(&long).is_err());
}

/// Every refusal of challenges and answers, in directed transactions.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut expect = |code: &'static str, got: &'static str| {
        assert_eq!(code, got);
        met.insert(code);
    };
    terms(&mut expect);
    let mut lab = lab();
    let certificate = certificate_of(&lab, 1, 1, &[0]);
    let bytes = certificate.to_bytes();

    // To whom, for how much.
    let with = |change: fn(&mut ServiceId, &mut usize, &mut Amount)| {
        let (mut service, mut operator, mut bond) = (1, 0, five());
        change(&mut service, &mut operator, &mut bond);
        Action::OpenChallenge {
            service,
            operator: operator_key(operator),
            certificate: bytes.clone(),
            bond,
        }
    };
    expect(
        "challenge.not_taken",
        lab.code(WHO, with(|service, _, _| *service = 3)),
    );
    expect(
        "service.unknown",
        lab.code(WHO, with(|service, _, _| *service = 9)),
    );
    for bond in [
        with(|_, _, bond| *bond = 4u64.into()),
        with(|_, _, bond| *bond = max_shares().plus(1u64.into()).unwrap()),
    ] {
        expect("challenge.bond", lab.code(WHO, bond));
    }
    // Not on the table; on it, and it did not sign.
    expect(
        "challenge.no_duty",
        lab.code(WHO, with(|_, operator, _| *operator = 1)),
    );
    // A certificate of another service, looked at before its block; with this one's label it is not what was signed.
    for change in [|_: &mut Block| (), |block: &mut Block| *block = Block(99)] {
        let mut elsewhere = certificate_of(&lab, 2, 1, &[0]);
        change(&mut elsewhere.batch_header.reference_block);
        let elsewhere = open_with(elsewhere.to_bytes());
        expect("challenge.other_domain", lab.code(WHO, elsewhere));
    }
    let mut relabelled = certificate_of(&lab, 2, 1, &[0]);
    relabelled.batch_header.domain = lab.state.domain(1);
    relabelled.batch_header.table_root = certificate.batch_header.table_root;
    expect(
        "challenge.certificate",
        lab.code(WHO, open_with(relabelled.to_bytes())),
    );

    // Bytes that are no certificate, and certificates that do not hold.
    let mut longer = bytes.clone();
    longer.push(0);
    for bad in [longer, Vec::new(), bytes[..bytes.len() - 1].to_vec()] {
        expect("challenge.certificate_form", lab.code(WHO, open_with(bad)));
    }
    expect(
        "ledger.too_many",
        lab.code(WHO, open_with(vec![0; MAX_CHALLENGE_CERTIFICATE + 1])),
    );
    let mut forged = certificate.clone();
    forged.batch_header.sequence.0 += 1;
    expect(
        "challenge.certificate",
        lab.code(WHO, open_with(forged.to_bytes())),
    );
    // Before the operator had stake there was no table.
    let mut empty = certificate.clone();
    empty.batch_header.reference_block = Block(0);
    expect(
        "challenge.no_table",
        lab.code(WHO, open_with(empty.to_bytes())),
    );

    // Too early, too late.
    for reference in [2, 3] {
        let mut early = certificate.clone();
        early.batch_header.reference_block = Block(reference);
        expect(
            "challenge.early",
            lab.code(WHO, open_with(early.to_bytes())),
        );
    }
    let mut late = Lab {
        state: lab.state.clone(),
        block: lab.block,
    };
    late.pass(6);
    assert_eq!(late.block, Block(8));
    late.ok(WHO, open_with(bytes.clone()));
    late.pass(1);
    expect("challenge.late", late.code(OTHER, open_with(bytes.clone())));
    short_version(&mut expect);

    // Limits: one for an account and blob, two for an operator, three for the service.
    lab.ok(WHO, open_with(bytes.clone()));
    expect("challenge.same", lab.code(WHO, open_with(bytes.clone())));
    lab.ok(OTHER, open_with(bytes.clone()));
    expect("challenge.too_many", lab.code(3, open_with(bytes.clone())));
    lab.state.services.edit(&1).unwrap().challenges = 3;
    lab.state.services.commit();
    let sender = account(3);
    let action = open_with(bytes.clone());
    let full = lab.state.apply(Block(2), &Transaction { sender, action });
    assert!(matches!(
        full,
        Err(TransactionError::TooManyChallenges {
            whom: "the service",
            max: 3
        })
    ));
    lab.state.services.edit(&1).unwrap().challenges = 2;
    lab.state.services.commit();

    // Answers.
    let none = slice_of(0);
    expect("challenge.unknown", lab.code(WHO, reply(99, &none)));
    let answer = |answer: Vec<u8>| Action::AnswerChallenge {
        challenge: 1,
        answer,
    };
    for bad in [Vec::new(), vec![9; 40], [none.to_bytes(), vec![0]].concat()] {
        expect("challenge.answer_form", lab.code(WHO, answer(bad)));
    }
    expect(
        "ledger.too_many",
        lab.code(WHO, answer(vec![0; MAX_CHALLENGE_ANSWER + 1])),
    );
    let record = lab.state.challenge(1).unwrap().clone();
    let wrong = slice_of((record.element / 64 + 1) % 512);
    expect("challenge.wrong_answer", lab.code(WHO, reply(1, &wrong)));
    lab.pass(4);
    expect(
        "challenge.unknown",
        lab.code(0x40, reply(1, &slice(&record))),
    );

    // Nothing is left to slash.
    let mut lab = self::lab();
    let bytes = certificate_of(&lab, 1, 1, &[0]).to_bytes();
    lab.ok(SLASHER, lab.slash(0, Wad::ONE));
    expect("slash.not_slashable", lab.code(WHO, open_with(bytes)));

    // Of another matter, and too seldom in random traces.
    lab.ok(0x41, Action::RetireOperator {});
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 0,
    };
    expect("operator.retired", lab.code(0x41, opt_in));
    met
}

/// Terms of custody.
fn terms(expect: &mut impl FnMut(&'static str, &'static str)) {
    let mut lab = Lab::new();
    let register = |lab: &Lab, terms: Option<CustodyTerms>| {
        let mut action = lab.service(None, 0);
        if let Action::RegisterService {
            custody, slash_cap, ..
        } = &mut action
        {
            *custody = terms;
            *slash_cap = Wad::percent(60);
        }
        action
    };
    let good = custody_terms();
    let of = |change: fn(&mut CustodyTerms)| {
        let mut terms = good;
        change(&mut terms);
        Some(terms)
    };
    for (code, terms) in [
        ("service.custody", of(|terms| terms.max_open = 0)),
        ("service.custody", of(|terms| terms.max_open = 65_537)),
        (
            "service.custody",
            of(|terms| terms.max_open_per_operator = 0),
        ),
        (
            "service.custody",
            of(|terms| terms.max_open_per_operator = 1025),
        ),
        ("slash.wad", of(|terms| terms.wad = Wad::ZERO)),
        ("slash.wad", of(|terms| terms.wad = Wad::percent(61))),
        (
            "ledger.zero_amount",
            of(|terms| terms.min_bond = Amount::ZERO),
        ),
        (
            "challenge.bond",
            of(|terms| terms.min_bond = max_shares().plus(1u64.into()).unwrap()),
        ),
    ] {
        let action = register(&lab, terms);
        expect(code, lab.code(OWNER, action));
    }
    let action = register(&lab, Some(good));
    lab.ok(OWNER, action);
    let mut params = params();
    params.timing.response = 0;
    expect(
        "params.range",
        lab.code(ADMIN, Action::SetParams { params }),
    );
}

/// With blocks of an hour a protocol version's nine days are 216 blocks, and its data is gone after 336: whatever the ledger's
/// own times say.
fn short_version(expect: &mut impl FnMut(&'static str, &'static str)) {
    for (response, last) in [(3, 217), (100, 217), (200, 137)] {
        let mut lab = lab();
        let mut params = params();
        params.block_seconds = 3600;
        params.timing.open_to_challenges = 500;
        params.timing.response = response;
        params.withdrawal_delay = 1000;
        params.deallocation_delay = 1000;
        lab.ok(ADMIN, Action::SetParams { params });
        let action = open(&lab, 1);
        lab.pass(last - 2);
        lab.ok(WHO, action.clone());
        lab.pass(1);
        expect("challenge.late", lab.code(OTHER, action));
    }
}
