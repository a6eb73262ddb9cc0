//! What is shown, for people.

use ashlar_proto::{Block, operator_id};
use ashlar_restaking::{Amount, Pending, Service, Standing, StrategyKind};

use crate::stake::events::lines;
use crate::stake::units::{bps_percent, ether, percent, ratio, short, whole};
use crate::ui::{self, listing, pairs};
use ashlar_ledger::types::*;

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn joined<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
    let texts: Vec<String> = items.into_iter().map(text).collect();
    texts.join(" ")
}

pub(super) fn head(head: &Head) -> String {
    pairs! {
        "network": head.network,
        "genesis": head.genesis,
        "block": head.block,
        "newest table": head.table_block,
        "transactions": head.transactions,
        "records": head.records,
        "link": head.link,
        "a block takes": format!("{} ms", head.block_ms),
    }
}

pub(super) fn root(root: &StateRoot) -> String {
    pairs! {
        "block": root.block,
        "records": root.records,
        "link": root.link,
        "root": root.root,
    }
}

/// What the parameters say, in time as well: blocks as this service makes them, which need not be the parameters' `block_seconds`.
pub(super) fn params(meta: &MetaView, block_ms: u64) -> String {
    let params = &meta.params;
    let blocks = |blocks: u64| {
        let seconds = u128::from(blocks) * u128::from(block_ms) / 1000;
        format!("{blocks} blocks ({})", duration(seconds))
    };
    let timing = &params.timing;
    let mut out = pairs! {
        "network": meta.network,
        "admin": meta.admin,
        "reward updater": meta.reward_updater,
        "withdrawal delay": blocks(params.withdrawal_delay),
        "deallocation delay": blocks(params.deallocation_delay),
        "change of allocation delay": blocks(params.allocation_delay_change),
        "change of slasher": blocks(params.slasher_delay),
        "change of fee split": blocks(params.split_delay),
        "delay of reward roots": blocks(params.root_delay),
        "execution window": blocks(params.execution_window),
        "slash cap": percent(params.slash_cap),
        "between vault reports": blocks(params.report_interval),
    };
    out.push_str(&format!(
        "timing rule: {} open to challenges + {} challenge + {} response + {} veto + {} margin = {} <= {}\n",
        timing.open_to_challenges,
        timing.challenge,
        timing.response,
        timing.veto,
        timing.margin,
        timing.total(),
        params.withdrawal_delay.min(params.deallocation_delay)
    ));
    out
}

/// Days where they fit, else hours, minutes, seconds.
fn duration(seconds: u128) -> String {
    for (name, unit) in [("days", 86_400), ("h", 3600), ("min", 60)] {
        if seconds >= unit {
            let tenths = seconds * 10 / unit;
            return match tenths % 10 {
                0 => format!("{} {name}", tenths / 10),
                rest => format!("{}.{rest} {name}", tenths / 10),
            };
        }
    }
    format!("{seconds} s")
}

fn kind(kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::NativeEth => "native ETH",
        StrategyKind::Lst => "LST",
        StrategyKind::LpEth => "LP of ETH",
        StrategyKind::LpLst => "LP of LSTs",
        StrategyKind::Other => "other",
    }
}

pub(super) fn strategies(list: &[StrategyView]) -> String {
    listing! { list, "no strategies: the admin adds them with ashlar stake tx add-strategy", |view| let s = &view.record;
        "strategy": view.id,
        "name": s.name,
        "kind": kind(s.kind),
        "tokens": whole(s.balance),
        "shares": whole(s.shares),
        "rate": ratio(s.balance, s.shares),
        "idle": whole(s.idle),
        "matured": whole(s.matured),
        "paid": whole(s.paid),
        "slashed": whole(s.slashed),
    }
}

pub(super) fn operators(list: &[OperatorView]) -> String {
    listing! { list, "no operators: register one with ashlar stake tx register-operator", |view| let o = &view.record;
        "operator": view.id,
        "address": o.address,
        "account": short(o.account),
        "service/quorum": joined(&o.memberships, |(service, quorum)| format!("{service}/{quorum}")),
        "": if o.retired { "retired" } else { "" },
    }
}

pub(super) fn operator(one: &OperatorDetail) -> String {
    let o = &one.operator;
    let now = o.allocation_delay.at(one.block);
    let delay = match o.allocation_delay.pending(one.block) {
        Some((blocks, from)) => format!("{now} blocks, {blocks} from block {from} on"),
        None => format!("{now} blocks"),
    };
    let mut out = pairs! {
        "operator": one.id,
        "account": o.account,
        "address": o.address,
        "network key": o.network_key,
        "bls key": o.bls_public_key,
        "allocation delay": delay,
        "retired": yes(o.retired),
    };
    out.push('\n');
    out.push_str(&listing! { one.pools, "no stake", |view|
        "strategy": view.strategy,
        "shares": whole(view.pool.shares),
        "magnitude": percent(view.pool.magnitude),
        "encumbered": percent(view.pool.encumbered),
        "queued": whole(view.pool.queued),
    });
    out.push('\n');
    out.push_str(&listing! { one.allocations, "nothing allocated", |view|
        "service/quorum": format!("{}/{}", view.service, view.quorum),
        "strategy": view.strategy,
        "magnitude": percent(view.allocation.magnitude),
        "pending": or_dash(view.allocation.pending.map(pending)),
        "slashable shares": whole(view.slashable),
    });
    out.push('\n');
    out.push_str(
        &listing! { one.memberships, "in no quorum", |view| let m = &view.member;
            "service/quorum": format!("{}/{}", view.service, view.quorum),
            "state": if m.active { "in" } else { "left" },
            "weight": whole(m.weight),
            "fee split": bps_percent(u64::from(view.split_bps)),
            "slashable until": or_dash(m.slashable_until),
            "banned until": or_dash(Some(m.banned_until).filter(|block| *block > one.block)),
        },
    );
    out
}

fn pending(change: Pending) -> String {
    match change {
        Pending::Up { by, from } => format!("+{} from block {from}", percent(by)),
        Pending::Down { by, from } => format!("-{} from block {from}", percent(by)),
    }
}

pub(super) fn staker(one: &StakerDetail) -> String {
    let mut rows = vec![
        ("account", one.account.to_string()),
        (
            "delegated to",
            one.staker
                .operator
                .map_or_else(|| "nobody".to_owned(), |id| id.to_string()),
        ),
    ];
    if let Some(pod) = &one.staker.pod {
        let (balance, factor) = (ether(pod.balance), percent(pod.factor));
        let pods = format!(
            "{}, balance {balance}, beacon factor {factor}",
            pod.validators
        );
        rows.push(("validators", pods));
    }
    let mut out = ui::aligned(&rows);
    out.push('\n');
    out.push_str(&listing! { one.positions, "no stake", |p|
        "strategy": p.strategy,
        "deposit shares": whole(p.shares),
        "factor k": whole(p.scaling),
        "worth, shares": whole(p.withdrawable),
        "worth, tokens": whole(p.tokens),
    });
    out.push('\n');
    out.push_str(&withdrawals(one.block, &one.withdrawals));
    out
}

pub(super) fn withdrawals(block: Block, list: &[WithdrawalView]) -> String {
    listing! { list, "no open withdrawals", |view| let w = &view.withdrawal;
        "withdrawal": view.id,
        "strategy": w.strategy,
        "queued in": w.start,
        "slashable until": w.end,
        "pays, shares": whole(view.payable_now),
        "when": match w.payable {
            Some(_) => "can be completed".to_owned(),
            None => format!("in {} blocks, if not slashed", w.end.saturating_add(1).saturating_since(block)),
        },
    }
}

pub(super) fn services(list: &[ServiceView]) -> String {
    listing! { list, "no services: register one with ashlar stake tx register-service", |view| let s = &view.record;
        "service": view.id,
        "name": s.name,
        "operators": s.operators,
        "slash cap": percent(s.slash_cap),
        "veto": or_dash(s.resolver.map(|_| format!("{} blocks", s.veto_window))),
        "owner": short(s.owner),
    }
}

pub(super) fn service(one: &ServiceDetail) -> String {
    let s = &one.service;
    let mut out = pairs! {
        "service": format!("{} {}", one.id, s.name),
        "owner": s.owner,
        "slasher": s.slasher.at(one.block),
        "resolver": or_dash(s.resolver),
        "veto window": format!("{} blocks", s.veto_window),
        "slash cap": percent(s.slash_cap),
        "ejector": s.ejector,
        "operators": s.operators,
        "versions": versions(s),
        "dispersers": format!("{} of {}, bond {} of token {}", s.bonded, s.dispersers.max, whole(s.dispersers.min_bond), s.dispersers.token),
        "conditions": s.conditions,
    };
    for view in &one.dispersers {
        let d = &view.record;
        let standing = match d.standing {
            Standing::Exiting { slashable_until } => {
                format!(", leaves, slashable until {slashable_until}")
            }
            _ => String::new(),
        };
        out.push_str(&format!(
            "disperser {}: {}, {}, bond {}{standing}\n",
            view.id,
            d.network_key,
            d.account,
            whole(d.bond)
        ));
    }
    out.push('\n');
    out.push_str(&quorums(&one.quorums));
    out
}

fn versions(service: &Service) -> String {
    let versions = service.versions.iter();
    let texts: Vec<_> = versions
        .map(|active| format!("{} from block {}", active.version, active.from))
        .collect();
    texts.join(", ")
}

pub(super) fn quorums(list: &[QuorumView]) -> String {
    listing! { list, "no quorums", |view| let c = &view.record.config;
        "service/quorum": format!("{}/{}", view.service, view.quorum),
        "operators": format!("{}/{}", view.totals.members, c.maximum_operators),
        "weight": whole(view.totals.weight),
        "minimum": whole(c.minimum_weight),
        "strategy x multiplier": joined(&c.strategies, |part| format!("{}x{}", part.strategy, whole(part.multiplier))),
        "slashed stake": c.redistribute_to.map_or_else(|| "burnt".to_owned(), short),
    }
}

pub(super) fn members(list: &[MemberView]) -> String {
    listing! { list, "nobody ever joined", |view| let m = &view.member;
        "operator": view.operator,
        "state": if m.active { "in" } else { "left" },
        "weight": whole(m.weight),
        "slashable until": or_dash(m.slashable_until),
    }
}

pub(super) fn slash_requests(list: &[SlashRequestView]) -> String {
    listing! { list, "no slash waits for its veto window", |view| let r = &view.record;
        "request": view.id,
        "service/quorum": format!("{}/{}", r.service, r.quorum),
        "operator": short(r.operator),
        "parts": joined(&r.parts, |part| format!("{}={}", part.strategy, percent(part.wad).replace(' ', ""))),
        "veto until": r.veto_until,
        "execute until": r.execute_until,
        "reason": r.reason,
    }
}

pub(super) fn vaults(list: &[VaultView]) -> String {
    listing! { list, "no vaults: create one with ashlar stake tx create-vault", |view| let v = &view.record;
        "vault": view.id,
        "name": v.name,
        "strategy": v.strategy,
        "assets": whole(v.assets),
        "shares": whole(v.shares),
        "rate": ratio(v.assets, v.shares),
        "fee": bps_percent(u64::from(v.fee_bps)),
        "asked for": whole(v.asked),
    }
}

pub(super) fn vault(one: &VaultDetail) -> String {
    let v = &one.vault;
    let mut out = pairs! {
        "vault": format!("{} {}", one.id, v.name),
        "manager": v.manager,
        "strategy": v.strategy,
        "rate": ratio(v.assets, v.shares),
        "assets": whole(v.assets),
        "shares": whole(v.shares),
        "holdings": whole(one.holdings),
        "at hand": whole(v.buffer),
        "reserved": whole(v.reserved),
        "asked for": whole(v.asked),
        "fee": format!("{} to {}", bps_percent(u64::from(v.fee_bps)), v.fee_recipient),
        "caps of a report": format!("+{}, -{}", bps_percent(u64::from(v.cap_up_bps)), bps_percent(u64::from(v.cap_down_bps))),
    };
    out.push('\n');
    out.push_str(&listing! { one.profile, "no operators", |view|
        "operator": view.operator,
        "part": bps_percent(u64::from(view.part.weight_bps)),
        "shares when seen last": whole(view.part.seen),
    });
    out.push('\n');
    out.push_str(&listing! { one.requests, "no open requests", |view| let r = &view.record;
        "request": view.id,
        "holder": r.owner,
        "shares": whole(r.shares),
        "asked": whole(r.asked),
        "state": r.payable.map_or_else(|| "waits".to_owned(), |pays| format!("pays {}", whole(pays))),
    });
    for pot in &one.pots {
        out.push_str(&format!(
            "earned: {} of {} ({:?})\n",
            whole(pot.amount),
            pot.token,
            pot.kind
        ));
    }
    out
}

pub(super) fn holder(one: &HolderView) -> String {
    pairs! {
        "holder": one.holder,
        "shares": whole(one.shares),
        "worth, tokens": whole(one.assets),
    }
}

pub(super) fn reward_roots(list: &[RewardRootView]) -> String {
    listing! { list, "no reward roots yet", |view|
        "root": view.id,
        "hash": view.record.root,
        "pays from block": view.record.active_from,
        "": if view.record.disabled { "withdrawn" } else { "" },
    }
}

pub(super) fn fund(one: &FundView) -> String {
    pairs! {
        "paid in": whole(one.fund.paid_in),
        "claimed": whole(one.fund.claimed),
        "left": whole(one.fund.paid_in.saturating_minus(one.fund.claimed)),
    }
}

pub(super) fn shares(list: &[ShareView]) -> String {
    listing! { list, "nobody: the quorum has no weight", |view|
        "account": view.account,
        "amount": whole(view.amount),
    }
}

pub(super) fn account(one: &AccountView) -> String {
    pairs! {
        "account": one.account,
        "last nonce": one.nonce,
        "may send": yes(one.allowed),
    }
}

pub(super) fn events(page: &EventPage) -> String {
    let mut out = String::new();
    for item in &page.items {
        out.push_str(&format!("block {}, record {}\n", item.block, item.record));
        out.push_str(&lines(&item.events));
    }
    if out.is_empty() {
        out.push_str("nothing happened\n");
    }
    out
}

pub(super) fn table(view: &TableView) -> String {
    let mut totals: std::collections::BTreeMap<u8, Amount> = std::collections::BTreeMap::new();
    for operator in &view.table.operators {
        for (quorum, stake) in &operator.stakes.0 {
            let sum = totals.entry(*quorum).or_default();
            *sum = sum.plus(Amount(*stake)).unwrap_or(*sum);
        }
    }
    let mut out = pairs! {
        "service": view.service,
        "block": view.table.block,
        "root": view.root,
        "signed": or_dash(view.signed.map(|signed| format!("{} ms", signed.head.time_ms))),
        "last change": or_dash(view.changed_at),
    };
    for (quorum, total) in totals {
        out.push_str(&format!("quorum {quorum}: weight {}\n", whole(total)));
    }
    out.push('\n');
    out.push_str(&listing! { view.table.operators, "no operators", |operator| let stakes = &operator.stakes.0;
        "operator": operator_id(&operator.bls_public_key),
        "address": operator.address,
        "quorum: weight": joined(stakes, |(quorum, stake)| format!("{quorum}: {}", whole(Amount(*stake)))),
    });
    for disperser in &view.table.dispersers {
        out.push_str(&format!(
            "disperser {}: {}\n",
            disperser.id, disperser.network_key
        ));
    }
    out
}

pub(super) fn witness(witness: &super::Witness) -> String {
    let view = &witness.view;
    let mut rows = vec![
        ("service", view.service.to_string()),
        ("block", view.block.to_string()),
        ("root", view.root.to_string()),
        ("operators' root", view.operators_root.to_string()),
        ("operator", view.operator.to_string()),
        ("place", format!("{} of {}", view.index, view.operators)),
        ("leaf", witness.leaf.to_string()),
    ];
    rows.extend(view.path.iter().map(|hash| ("path", hash.to_string())));
    rows.extend(
        witness
            .weights
            .iter()
            .map(|(quorum, weight)| ("weight", format!("quorum {quorum}: {}", whole(*weight)))),
    );
    ui::aligned(&rows)
}

pub(super) fn health(report: &HealthReport) -> String {
    let status = match report.status {
        Status::Opening => "opening: the log is being read",
        Status::Ready => "ready",
        Status::Degraded => "degraded",
        Status::Stopping => "stopping",
    };
    let mut out = format!("{status}\n");
    for reason in &report.reasons {
        out.push_str(&format!("  {}  {}\n", reason.code, reason.message));
    }
    out
}

pub(super) fn challenges(list: &[ChallengeView]) -> String {
    listing! { list, "no challenge is open", |view| let c = &view.record;
        "challenge": view.id,
        "service": c.service,
        "operator": short(c.operator),
        "blob": short(c.blob_key),
        "row": c.row,
        "element": c.element,
        "until block": c.deadline,
        "bond": whole(c.bond),
    }
}

pub(super) fn challenge(one: &ChallengeDetail) -> String {
    let c = &one.challenge;
    let left = c.deadline.saturating_add(1).saturating_since(one.block);
    pairs! {
        "challenge": one.id,
        "service": c.service,
        "operator": c.operator,
        "blob": c.blob_key,
        "batch": c.batch_digest,
        "row": c.row,
        "element": c.element,
        "opened": format!("block {}", c.opened),
        "answer until": format!("block {}, {left} blocks are left", c.deadline),
        "bond": format!("{} of token {}", whole(c.bond), c.token),
        "challenger": c.challenger,
    }
}
