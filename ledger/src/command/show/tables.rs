//! What is shown, for people.

use ashlar_proto::operator_id;
use ashlar_restaking::{Amount, Pending, Service, Standing, StrategyKind};

use crate::command::events::lines;
use crate::command::text::{pairs, table as columns};
use crate::command::units::{bps_percent, ether, factor, percent, ratio, short, whole};
use crate::types::*;

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Of a list that is empty, what that means.
fn or_none(rows: Vec<Vec<String>>, head: &[&str], none: &str) -> String {
    if rows.is_empty() {
        format!("{none}\n")
    } else {
        columns(head, rows)
    }
}

pub(super) fn head(head: &Head) -> String {
    pairs(&[
        ("network", head.network.clone()),
        ("genesis", head.genesis.to_string()),
        ("block", head.block.to_string()),
        ("newest table", head.table_block.to_string()),
        ("transactions", head.transactions.to_string()),
        ("records", head.records.to_string()),
        ("link", head.link.to_string()),
        ("a block takes", format!("{} ms", head.block_ms)),
    ])
}

pub(super) fn root(root: &StateRoot) -> String {
    pairs(&[
        ("block", root.block.to_string()),
        ("records", root.records.to_string()),
        ("link", root.link.to_string()),
        ("root", root.root.to_string()),
    ])
}

/// What the parameters say, in time as well: blocks as this service makes them, which need not be the parameters' `block_seconds`.
pub(super) fn params(meta: &MetaView, block_ms: u64) -> String {
    let params = &meta.params;
    let blocks = |blocks: u64| {
        let seconds = u128::from(blocks) * u128::from(block_ms) / 1000;
        format!("{blocks} blocks ({})", duration(seconds))
    };
    let timing = &params.timing;
    let mut out = pairs(&[
        ("network", meta.network.clone()),
        ("admin", meta.admin.to_string()),
        ("reward updater", meta.reward_updater.to_string()),
        ("withdrawal delay", blocks(params.withdrawal_delay)),
        ("deallocation delay", blocks(params.deallocation_delay)),
        (
            "change of allocation delay",
            blocks(params.allocation_delay_change),
        ),
        ("change of slasher", blocks(params.slasher_delay)),
        ("change of fee split", blocks(params.split_delay)),
        ("delay of reward roots", blocks(params.root_delay)),
        ("execution window", blocks(params.execution_window)),
        ("slash cap", percent(params.slash_cap)),
        ("between vault reports", blocks(params.report_interval)),
    ]);
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
    let rows = list
        .iter()
        .map(|view| {
            let s = &view.strategy;
            vec![
                view.id.to_string(),
                s.name.clone(),
                kind(s.kind).to_owned(),
                whole(s.balance),
                whole(s.shares),
                ratio(s.balance, s.shares),
                whole(s.idle),
                whole(s.matured),
                whole(s.paid),
                whole(s.slashed),
            ]
        })
        .collect();
    or_none(
        rows,
        &[
            "strategy", "name", "kind", "tokens", "shares", "rate", "idle", "matured", "paid",
            "slashed",
        ],
        "no strategies: the admin adds them with ashlar stake tx add-strategy",
    )
}

pub(super) fn operators(list: &[OperatorView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let o = &view.operator;
            let quorums: Vec<String> = o
                .memberships
                .iter()
                .map(|(service, quorum)| format!("{service}/{quorum}"))
                .collect();
            vec![
                view.id.to_string(),
                o.address.clone(),
                short(o.account),
                quorums.join(" "),
                if o.retired { "retired" } else { "" }.to_owned(),
            ]
        })
        .collect();
    or_none(
        rows,
        &["operator", "address", "account", "service/quorum", ""],
        "no operators: register one with ashlar stake tx register-operator",
    )
}

pub(super) fn operator(one: &OperatorDetail) -> String {
    let o = &one.operator;
    let mut out = pairs(&[
        ("operator", one.id.to_string()),
        ("account", o.account.to_string()),
        ("address", o.address.clone()),
        ("network key", o.network_key.to_string()),
        ("bls key", o.bls_public_key.to_string()),
        ("allocation delay", {
            let now = o.allocation_delay.at(one.block);
            match o.allocation_delay.pending(one.block) {
                Some((blocks, from)) => format!("{now} blocks, {blocks} from block {from} on"),
                None => format!("{now} blocks"),
            }
        }),
        ("retired", yes(o.retired)),
    ]);
    let pools = one
        .pools
        .iter()
        .map(|view| {
            vec![
                view.strategy.to_string(),
                whole(view.pool.shares),
                percent(view.pool.magnitude),
                percent(view.pool.encumbered),
                whole(view.pool.queued),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        pools,
        &["strategy", "shares", "magnitude", "encumbered", "queued"],
        "no stake",
    ));
    let allocations = one
        .allocations
        .iter()
        .map(|view| {
            vec![
                format!("{}/{}", view.service, view.quorum),
                view.strategy.to_string(),
                percent(view.allocation.magnitude),
                match view.allocation.pending {
                    Some(Pending::Up { by, from }) => {
                        format!("+{} from block {from}", percent(by))
                    }
                    Some(Pending::Down { by, from }) => {
                        format!("-{} from block {from}", percent(by))
                    }
                    None => "-".to_owned(),
                },
                whole(view.slashable),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        allocations,
        &[
            "service/quorum",
            "strategy",
            "magnitude",
            "pending",
            "slashable shares",
        ],
        "nothing allocated",
    ));
    let memberships = one
        .memberships
        .iter()
        .map(|view| {
            let m = &view.member;
            vec![
                format!("{}/{}", view.service, view.quorum),
                if m.active { "in" } else { "left" }.to_owned(),
                whole(m.weight),
                bps_percent(u64::from(view.split_bps)),
                or_dash(m.slashable_until),
                or_dash(Some(m.banned_until).filter(|block| *block > one.block)),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        memberships,
        &[
            "service/quorum",
            "state",
            "weight",
            "fee split",
            "slashable until",
            "banned until",
        ],
        "in no quorum",
    ));
    out
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
        rows.push((
            "validators",
            format!(
                "{}, balance {}, beacon factor {}",
                pod.validators,
                ether(pod.balance),
                percent(pod.factor)
            ),
        ));
    }
    let mut out = pairs(&rows);
    let positions = one
        .positions
        .iter()
        .map(|p| {
            vec![
                p.strategy.to_string(),
                whole(p.shares),
                factor(p.scaling),
                whole(p.withdrawable),
                whole(p.tokens),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        positions,
        &[
            "strategy",
            "deposit shares",
            "factor k",
            "worth, shares",
            "worth, tokens",
        ],
        "no stake",
    ));
    out.push('\n');
    out.push_str(&withdrawals(one.block, &one.withdrawals));
    out
}

pub(super) fn withdrawals(block: u64, list: &[WithdrawalView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let w = &view.withdrawal;
            vec![
                view.id.to_string(),
                w.strategy.to_string(),
                w.start.to_string(),
                w.end.to_string(),
                whole(view.payable_now),
                match w.payable {
                    Some(_) => "can be completed".to_owned(),
                    None => {
                        let left = w.end.saturating_add(1).saturating_sub(block);
                        format!("in {left} blocks, if not slashed")
                    }
                },
            ]
        })
        .collect();
    or_none(
        rows,
        &[
            "withdrawal",
            "strategy",
            "queued in",
            "slashable until",
            "pays, shares",
            "when",
        ],
        "no open withdrawals",
    )
}

pub(super) fn services(list: &[ServiceView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let s = &view.service;
            vec![
                view.id.to_string(),
                s.name.clone(),
                s.operators.to_string(),
                percent(s.slash_cap),
                match s.resolver {
                    Some(_) => format!("{} blocks", s.veto_window),
                    None => "-".to_owned(),
                },
                short(s.owner),
            ]
        })
        .collect();
    or_none(
        rows,
        &["service", "name", "operators", "slash cap", "veto", "owner"],
        "no services: register one with ashlar stake tx register-service",
    )
}

pub(super) fn service(one: &ServiceDetail) -> String {
    let s = &one.service;
    let mut out = pairs(&[
        ("service", format!("{} {}", one.id, s.name)),
        ("owner", s.owner.to_string()),
        ("slasher", s.slasher.at(one.block).to_string()),
        ("resolver", or_dash(s.resolver)),
        ("veto window", format!("{} blocks", s.veto_window)),
        ("slash cap", percent(s.slash_cap)),
        ("ejector", s.ejector.to_string()),
        ("operators", s.operators.to_string()),
        ("versions", versions(s)),
        (
            "dispersers",
            format!(
                "{} of {}, bond {} of token {}",
                s.bonded,
                s.dispersers.max,
                whole(s.dispersers.min_bond),
                s.dispersers.token
            ),
        ),
        ("conditions", s.conditions.clone()),
    ]);
    for view in &one.dispersers {
        let d = &view.disperser;
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
    let rows = list
        .iter()
        .map(|view| {
            let c = &view.record.config;
            let multipliers: Vec<String> = c
                .strategies
                .iter()
                .map(|part| format!("{}x{}", part.strategy, whole(part.multiplier)))
                .collect();
            vec![
                format!("{}/{}", view.service, view.quorum),
                format!("{}/{}", view.totals.members, c.maximum_operators),
                whole(view.totals.weight),
                whole(c.minimum_weight),
                multipliers.join(" "),
                c.redistribute_to.map_or_else(|| "burnt".to_owned(), short),
            ]
        })
        .collect();
    or_none(
        rows,
        &[
            "service/quorum",
            "operators",
            "weight",
            "minimum",
            "strategy x multiplier",
            "slashed stake",
        ],
        "no quorums",
    )
}

pub(super) fn members(list: &[MemberView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let m = &view.member;
            vec![
                view.operator.to_string(),
                if m.active { "in" } else { "left" }.to_owned(),
                whole(m.weight),
                or_dash(m.slashable_until),
            ]
        })
        .collect();
    or_none(
        rows,
        &["operator", "state", "weight", "slashable until"],
        "nobody ever joined",
    )
}

pub(super) fn slash_requests(list: &[SlashRequestView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let r = &view.request;
            let parts: Vec<String> = r
                .parts
                .iter()
                .map(|part| format!("{}={}", part.strategy, percent(part.wad).replace(' ', "")))
                .collect();
            vec![
                view.id.to_string(),
                format!("{}/{}", r.service, r.quorum),
                short(r.operator),
                parts.join(" "),
                r.veto_until.to_string(),
                r.execute_until.to_string(),
                r.reason.clone(),
            ]
        })
        .collect();
    or_none(
        rows,
        &[
            "request",
            "service/quorum",
            "operator",
            "parts",
            "veto until",
            "execute until",
            "reason",
        ],
        "no slash waits for its veto window",
    )
}

pub(super) fn vaults(list: &[VaultView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            let v = &view.vault;
            vec![
                view.id.to_string(),
                v.name.clone(),
                v.strategy.to_string(),
                whole(v.assets),
                whole(v.shares),
                ratio(v.assets, v.shares),
                bps_percent(u64::from(v.fee_bps)),
                whole(v.asked),
            ]
        })
        .collect();
    or_none(
        rows,
        &[
            "vault",
            "name",
            "strategy",
            "assets",
            "shares",
            "rate",
            "fee",
            "asked for",
        ],
        "no vaults: create one with ashlar stake tx create-vault",
    )
}

pub(super) fn vault(one: &VaultDetail) -> String {
    let v = &one.vault;
    let mut out = pairs(&[
        ("vault", format!("{} {}", one.id, v.name)),
        ("manager", v.manager.to_string()),
        ("strategy", v.strategy.to_string()),
        ("rate", ratio(v.assets, v.shares)),
        ("assets", whole(v.assets)),
        ("shares", whole(v.shares)),
        ("holdings", whole(one.holdings)),
        ("at hand", whole(v.buffer)),
        ("reserved", whole(v.reserved)),
        ("asked for", whole(v.asked)),
        (
            "fee",
            format!(
                "{} to {}",
                bps_percent(u64::from(v.fee_bps)),
                v.fee_recipient
            ),
        ),
        (
            "caps of a report",
            format!(
                "+{}, -{}",
                bps_percent(u64::from(v.cap_up_bps)),
                bps_percent(u64::from(v.cap_down_bps))
            ),
        ),
    ]);
    let profile = one
        .profile
        .iter()
        .map(|view| {
            vec![
                view.operator.to_string(),
                bps_percent(u64::from(view.part.weight_bps)),
                whole(view.part.seen),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        profile,
        &["operator", "part", "shares when seen last"],
        "no operators",
    ));
    let requests: Vec<Vec<String>> = one
        .requests
        .iter()
        .map(|view| {
            let r = &view.request;
            vec![
                view.id.to_string(),
                r.owner.to_string(),
                whole(r.shares),
                whole(r.asked),
                r.payable.map_or_else(
                    || "waits".to_owned(),
                    |pays| format!("pays {}", whole(pays)),
                ),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&or_none(
        requests,
        &["request", "holder", "shares", "asked", "state"],
        "no open requests",
    ));
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
    pairs(&[
        ("holder", one.holder.to_string()),
        ("shares", whole(one.shares)),
        ("worth, tokens", whole(one.assets)),
    ])
}

pub(super) fn reward_roots(list: &[RewardRootView]) -> String {
    let rows = list
        .iter()
        .map(|view| {
            vec![
                view.id.to_string(),
                view.record.root.to_string(),
                view.record.active_from.to_string(),
                if view.record.disabled {
                    "withdrawn"
                } else {
                    ""
                }
                .to_owned(),
            ]
        })
        .collect();
    or_none(
        rows,
        &["root", "hash", "pays from block", ""],
        "no reward roots yet",
    )
}

pub(super) fn fund(one: &FundView) -> String {
    pairs(&[
        ("paid in", whole(one.fund.paid_in)),
        ("claimed", whole(one.fund.claimed)),
        (
            "left",
            whole(one.fund.paid_in.saturating_minus(one.fund.claimed)),
        ),
    ])
}

pub(super) fn shares(list: &[ShareView]) -> String {
    let rows = list
        .iter()
        .map(|view| vec![view.account.to_string(), whole(view.amount)])
        .collect();
    or_none(
        rows,
        &["account", "amount"],
        "nobody: the quorum has no weight",
    )
}

pub(super) fn account(one: &AccountView) -> String {
    pairs(&[
        ("account", one.account.to_string()),
        ("last nonce", one.nonce.to_string()),
        ("may send", yes(one.allowed)),
    ])
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
    let rows = view
        .table
        .operators
        .iter()
        .map(|operator| {
            let weights: Vec<String> = operator
                .stakes
                .0
                .iter()
                .map(|(quorum, stake)| format!("{quorum}: {}", whole(Amount(*stake))))
                .collect();
            vec![
                operator_id(&operator.bls_public_key).to_string(),
                operator.address.clone(),
                weights.join("  "),
            ]
        })
        .collect();
    let mut out = pairs(&[
        ("service", view.service.to_string()),
        ("block", view.table.block.to_string()),
        ("root", view.root.to_string()),
        (
            "signed",
            or_dash(
                view.signed
                    .map(|signed| format!("{} ms", signed.head.time_ms)),
            ),
        ),
        ("last change", or_dash(view.changed_at)),
    ]);
    for (quorum, total) in totals {
        out.push_str(&format!("quorum {quorum}: weight {}\n", whole(total)));
    }
    out.push('\n');
    out.push_str(&columns(&["operator", "address", "quorum: weight"], rows));
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
    pairs(&rows)
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
