//! `ashlar stake risk`: is the stake behind the services enough?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ashlar_ledger::types::{OperatorDetail, ServiceDetail};
use ashlar_proto::{DEFAULT_VERSION, version};
use ashlar_restaking::risk::{
    Attack, Cascade, CascadeError, Certificate, DEFAULT_SEARCH_STEPS, Edge, Fraction, Graph,
    OperatorNode, Rational, SearchError, ServiceNode, Shock, alpha, certify, exact_slack, simulate,
    to_svg, to_text, worst_shock,
};
use ashlar_restaking::{Amount, ServiceId, WAD};
use clap::Args;
use serde::Serialize;

use super::connection::{Connection, ConnectionArgs};
use super::units;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::ui::{self, Ui, listing};

const EXAMPLES: &str = "\
Examples:
  ashlar stake risk --graph network.toml                         certificate, exact search, shocks
  ashlar stake risk --profit 1=500eth --svg risk.svg             the ledger's operators, and a drawing
  ashlar stake risk --graph network.toml --shock delta           what follows when delta loses everything
  ashlar stake risk --profit 1=500eth --profit 2=40eth --alpha 2=50% --json

The profit of corrupting a service is known to no ledger: whoever runs this states it. With --graph, services are named as in
the file, and --profit replaces the file's number; without, they are the ledger's numbers. Amounts out of the ledger are in
wei inside, in ETH when shown; a strategy's shares count by its multiplier in the quorum that can slash them.";

/// Options of `ashlar stake risk`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RiskArgs {
    /// A graph of operators and services, TOML or JSON [default: the ledger's]
    #[arg(long, value_name = "FILE")]
    pub graph: Option<PathBuf>,
    /// What corrupting a service gains; several times
    #[arg(long = "profit", value_name = "SERVICE=AMOUNT", value_parser = profit)]
    pub profits: Vec<(String, Amount)>,
    /// The share of the stake behind a service that corrupts it; several times [default for the ledger's: confirmation less
    /// reconstruction, as data availability has it]
    #[arg(long = "alpha", value_name = "SERVICE=SHARE", value_parser = share)]
    pub alphas: Vec<(String, Fraction)>,
    /// Write a drawing of the graph
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Operators that lose everything at once; several times, all in one shock
    #[arg(long = "shock", value_name = "OPERATOR")]
    pub shock: Vec<String>,
    /// Shares of all stake for the table of shocks
    #[arg(
        long = "psi",
        value_name = "SHARE",
        value_parser = |text: &str| text.parse::<Fraction>(),
        default_values = ["1%", "5%", "10%", "20%", "30%"]
    )]
    pub psi: Vec<Fraction>,
    /// Branches of an exact search before it gives up
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_SEARCH_STEPS)]
    pub steps: u64,
}

fn named(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "write it as SERVICE=VALUE".to_owned())
}

fn profit(text: &str) -> Result<(String, Amount), String> {
    let (name, value) = named(text)?;
    Ok((name.to_owned(), units::amount(value)?))
}

fn share(text: &str) -> Result<(String, Fraction), String> {
    let (name, value) = named(text)?;
    let share = value
        .parse()
        .map_err(|error: ashlar_restaking::risk::FractionError| error.to_string())?;
    Ok((name.to_owned(), share))
}

/// What `risk` prints as JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The graph that was looked at.
    pub graph: Graph,
    /// γ* and every load.
    pub certificate: Certificate,
    /// Whether γ* is above zero.
    pub certified: bool,
    /// The exact search.
    pub exact: Exact,
    /// The shock that was asked about.
    pub shock: Option<Cascade>,
    /// Shocks of different sizes.
    pub shocks: Vec<ShockRow>,
}

/// The exact search.
#[derive(Debug, Serialize)]
pub struct Exact {
    /// The exact slack, as a fraction; `None` if the search gave up, or if nothing has any profit.
    pub slack: Option<String>,
    /// The attack that gets most for its cost.
    pub attack: Option<Attack>,
    /// Why there is no answer.
    pub gave_up: Option<String>,
}

/// The worst of three simulated shocks of at most this size.
#[derive(Debug, Serialize)]
pub struct ShockRow {
    /// The size.
    pub psi: Fraction,
    /// What was simulated; `None` if a search gave up.
    pub cascade: Option<Cascade>,
}

/// Runs `ashlar stake risk`.
///
/// # Errors
/// The graph breaks a rule, a name is not in it, or the ledger cannot be reached.
pub fn run(ui: Ui, args: &RiskArgs, connection: &ConnectionArgs) -> CliResult {
    let (graph, unit) = match &args.graph {
        Some(file) => (from_file(file, args)?, Unit::Plain),
        None => (
            from_ledger(&Connection::new(connection)?, args)?,
            Unit::Ether,
        ),
    };
    let refused = |error: ashlar_restaking::risk::GraphError| {
        CliError::coded(Exit::Usage, "the graph cannot be looked at", &error)
    };
    let certificate = certify(&graph).map_err(refused)?;
    let exact = exact(&graph, args.steps)?;
    let shock = match args.shock.is_empty() {
        true => None,
        false => {
            let shock = Shock {
                operators: args.shock.clone(),
            };
            Some(simulate(&graph, &shock, args.steps).map_err(shock_failed)?)
        }
    };
    let shocks = args
        .psi
        .iter()
        .map(|psi| {
            let cascade = match worst_shock(&graph, psi, args.steps) {
                Ok(cascade) => Some(cascade),
                Err(CascadeError::Search(
                    SearchError::TooLarge { .. } | SearchError::Steps { .. },
                )) => None,
                Err(error) => return Err(shock_failed(error)),
            };
            Ok(ShockRow { psi: *psi, cascade })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    if let Some(path) = &args.svg {
        files::write_atomically(
            path,
            to_svg(&graph).map_err(refused)?.as_bytes(),
            Access::Everyone,
        )?;
        ui.note(format!("drawn: {}", path.display()));
    }
    let report = Report {
        certified: certificate.is_certified(),
        certificate,
        exact,
        shock,
        shocks,
        graph,
    };
    let table = match unit {
        Unit::Plain => to_text(&report.graph).map_err(refused)?,
        Unit::Ether => ether_table(&report.graph, &report.certificate),
    };
    ui.data(&report, || describe(&report, unit, table))
}

fn shock_failed(error: CascadeError) -> CliError {
    CliError::coded(Exit::Usage, "the shock cannot be simulated", &error)
        .next("operators are named as in the table; leave --shock out to see it")
}

fn exact(graph: &Graph, steps: u64) -> CliResult<Exact> {
    match exact_slack(graph, steps) {
        Ok((slack, attack)) => Ok(Exact {
            slack: slack.finite().map(ToString::to_string),
            attack,
            gave_up: None,
        }),
        Err(error @ (SearchError::TooLarge { .. } | SearchError::Steps { .. })) => Ok(Exact {
            slack: None,
            gave_up: Some(error.to_string()),
            attack: match error {
                SearchError::Steps { known, .. } => known.map(|known| *known),
                _ => None,
            },
        }),
        Err(error) => Err(CliError::coded(
            Exit::Usage,
            "the exact search failed",
            &error,
        )),
    }
}

fn from_file(file: &Path, args: &RiskArgs) -> CliResult<Graph> {
    let text = files::read_text(file, ashlar_restaking::risk::MAX_GRAPH_BYTES as u64)?;
    let graph = if file.extension().is_some_and(|end| end == "json") {
        Graph::from_json(&text)
    } else {
        Graph::from_toml(&text)
    };
    let mut graph = graph.map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("{} is no graph", file.display()),
            &error,
        )
        .next("docs/restaking.md, part Risk, has an example")
    })?;
    for (name, profit) in &args.profits {
        service(&mut graph, name)?.profit = profit.0;
    }
    for (name, alpha) in &args.alphas {
        service(&mut graph, name)?.alpha = *alpha;
    }
    Ok(graph)
}

fn service<'a>(graph: &'a mut Graph, name: &str) -> CliResult<&'a mut ServiceNode> {
    let known: Vec<String> = graph.services.iter().map(|s| s.name.clone()).collect();
    graph
        .services
        .iter_mut()
        .find(|service| service.name == name)
        .ok_or_else(|| unknown_service(name, &known))
}

fn unknown_service(name: &str, known: &[String]) -> CliError {
    CliError::usage(format!("there is no service {name:?}"))
        .next(format!("services: {}", known.join(", ")))
}

fn from_ledger(connection: &Connection, args: &RiskArgs) -> CliResult<Graph> {
    let services = connection.all_services()?;
    let known: Vec<String> = services.iter().map(|s| s.id.to_string()).collect();
    for name in args
        .profits
        .iter()
        .map(|(name, _)| name)
        .chain(args.alphas.iter().map(|(name, _)| name))
    {
        if !known.contains(name) {
            return Err(unknown_service(name, &known));
        }
    }
    if args.profits.is_empty() {
        return Err(
            CliError::usage("no profit is stated, so there is nothing to be at risk")
                .because("what corrupting a service gains is known to no ledger")
                .next(format!(
                    "state it: ashlar stake risk --profit 1=500eth (services: {})",
                    known.join(", ")
                )),
        );
    }
    let operators = connection.all_operators()?;
    let default = version(DEFAULT_VERSION)
        .ok()
        .and_then(|version| alpha(version).ok())
        .unwrap_or(Fraction::ONE);
    graph_of(&services, &operators, |id| {
        let name = id.to_string();
        let find = |name: &str| {
            args.profits
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, profit)| *profit)
        };
        let alpha = args
            .alphas
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map_or(default, |(_, alpha)| *alpha);
        (find(&name).unwrap_or_default(), alpha)
    })
}

/// The ledger's operators and services as a graph: everything allocated is unique stake, weighed by the quorum's multipliers.
///
/// # Errors
/// Sums beyond 256 bits; no ledger has such.
pub fn graph_of(
    services: &[ServiceDetail],
    operators: &[OperatorDetail],
    inputs: impl Fn(ServiceId) -> (Amount, Fraction),
) -> CliResult<Graph> {
    let refused = |error: ashlar_restaking::TransactionError| {
        CliError::coded(Exit::Failure, "the ledger's stakes do not add up", &error)
    };
    let names = short_names(operators);
    let mut nodes = Vec::new();
    let mut edges: BTreeMap<ServiceId, Vec<Edge>> = BTreeMap::new();
    for (operator, name) in operators.iter().zip(names) {
        let mut by_service: BTreeMap<ServiceId, Amount> = BTreeMap::new();
        let mut stake = Amount::ZERO;
        for allocation in &operator.allocations {
            let multiplier = multiplier(
                services,
                allocation.service,
                allocation.quorum,
                allocation.strategy,
            );
            let weight = allocation
                .slashable
                .mul_div(multiplier, Amount::WAD)
                .map_err(refused)?;
            let sum = by_service.entry(allocation.service).or_default();
            *sum = sum.plus(weight).map_err(refused)?;
            stake = stake.plus(weight).map_err(refused)?;
        }
        for (service, unique) in by_service {
            if !unique.is_zero() {
                edges.entry(service).or_default().push(Edge::Unique {
                    name: name.clone(),
                    unique: unique.0,
                });
            }
        }
        nodes.push(OperatorNode {
            name,
            stake: stake.0,
        });
    }
    let services = services
        .iter()
        .map(|service| {
            let (profit, alpha) = inputs(service.id);
            let cap = Fraction::new(service.service.slash_cap.0, WAD).ok();
            ServiceNode {
                name: format!("{} {}", service.id, printable(&service.service.name)),
                profit: profit.0,
                alpha,
                slash_cap: cap.filter(|cap| *cap != Fraction::ONE),
                operators: edges.remove(&service.id).unwrap_or_default(),
            }
        })
        .collect();
    Ok(Graph {
        operators: nodes,
        services,
    })
}

/// Names come from strangers; the graph takes no control characters, and at most so many bytes.
fn printable(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .take(24)
        .collect()
}

fn short_names(operators: &[OperatorDetail]) -> Vec<String> {
    let short: Vec<String> = operators.iter().map(|o| units::short(o.id)).collect();
    let mut count: BTreeMap<&String, usize> = BTreeMap::new();
    for name in &short {
        *count.entry(name).or_default() += 1;
    }
    operators
        .iter()
        .zip(&short)
        .map(|(operator, name)| match count.get(name) {
            Some(1) => name.clone(),
            _ => operator.id.to_string(),
        })
        .collect()
}

fn multiplier(services: &[ServiceDetail], service: ServiceId, quorum: u8, strategy: u32) -> Amount {
    services
        .iter()
        .find(|known| known.id == service)
        .and_then(|known| known.quorums.iter().find(|q| q.quorum == quorum))
        .and_then(|q| {
            let strategies = &q.record.config.strategies;
            strategies.iter().find(|part| part.strategy == strategy)
        })
        .map_or(Amount::ZERO, |part| part.multiplier)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// The numbers of a file, whatever they are.
    Plain,
    /// Wei, shown as ETH.
    Ether,
}

impl Unit {
    fn show(self, number: &impl std::fmt::Display) -> String {
        let text = number.to_string();
        match (self, text.parse::<Amount>()) {
            (Self::Ether, Ok(wei)) => units::ether(wei),
            _ => text,
        }
    }
}

/// As [`to_text`], amounts in ETH.
fn ether_table(graph: &Graph, certificate: &Certificate) -> String {
    let unit = Unit::Ether;
    let mut out = listing! { graph.services, "no services", |service|
        "service": service.name,
        "profit": unit.show(&service.profit),
        "alpha": service.alpha,
        "cap": service.slash_cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string()),
        "operators": service.operators.len(),
    };
    out.push('\n');
    out.push_str(&listing! { certificate.loads, "no stake", |load|
        "stake of": load.pool,
        "stake": unit.show(&load.stake),
        "load T": four(&load.load),
        "1/T - 1": load.slack.finite().map_or_else(|| "-".to_owned(), four),
        "": if Some(&load.pool) == certificate.worst.as_ref() { "worst" } else { "" },
    });
    out.push('\n');
    for service in &certificate.unbacked {
        out.push_str(&format!(
            "service {service} has profit and no stake behind it\n"
        ));
    }
    out.push_str(if certificate.is_certified() {
        "certified"
    } else {
        "not certified"
    });
    out.push_str(&format!(": gamma* = {}", certificate.gamma.describe()));
    if let Some(worst) = &certificate.worst {
        out.push_str(&format!(", decided by {worst}"));
    }
    out.push('\n');
    out
}

/// Four decimals, cut.
fn four(number: &Rational) -> String {
    let scaled = (number * Rational::from_integer(10_000.into()))
        .floor()
        .to_integer()
        .to_string();
    let (sign, digits) = match scaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", scaled.as_str()),
    };
    let padded = format!("{digits:0>5}");
    let (whole, part) = padded
        .split_at_checked(padded.len().saturating_sub(4))
        .unwrap_or((&padded, ""));
    format!("{sign}{whole}.{part}")
}

fn percent(share: &Rational) -> String {
    let text = four(&(share * Rational::from_integer(100.into())));
    format!("{} %", text.strip_suffix("00").unwrap_or(&text))
}

fn attack_line(attack: &Attack, unit: Unit) -> String {
    // Everything in a ledger's graph is allocated to one service; what backs several is a pool without stake there.
    let coalition: Vec<String> = attack
        .coalition
        .iter()
        .filter(|pool| unit == Unit::Plain || pool.service.is_some())
        .map(ToString::to_string)
        .collect();
    format!(
        "{} on {}: costs {}, gains {}",
        coalition.join(", "),
        attack.services.join(", "),
        unit.show(&attack.stake),
        unit.show(&attack.profit)
    )
}

fn describe(report: &Report, unit: Unit, mut out: String) -> String {
    match (&report.exact.slack, &report.exact.gave_up) {
        (Some(slack), _) => {
            let verdict = if slack.starts_with('-') {
                "an attack pays"
            } else {
                "no attack pays"
            };
            out.push_str(&format!("exact: {verdict}, the slack is {slack}\n"));
        }
        (None, Some(why)) => out.push_str(&format!("exact: no answer: {why}\n")),
        (None, None) => out.push_str("exact: nothing has any profit\n"),
    }
    if let Some(attack) = &report.exact.attack {
        out.push_str(&format!("cheapest attack: {}\n", attack_line(attack, unit)));
    }
    if let Some(cascade) = &report.shock {
        out.push_str(&format!(
            "\nshock: {}\n",
            cascade.shock.operators.join(", ")
        ));
        out.push_str(&ui::aligned(&[
            ("  stake lost at once", percent(&cascade.psi)),
            ("  stake lost in the end", percent(&cascade.loss)),
            ("  bound (1 + 1/gamma*) psi", bound(cascade.bound.as_ref())),
            ("  attacks that follow", cascade.steps.len().to_string()),
            (
                "  fewer than",
                cascade
                    .length_bound
                    .as_ref()
                    .map_or_else(|| "no bound: not certified".to_owned(), four),
            ),
        ]));
        for step in &cascade.steps {
            out.push_str(&format!("  {}\n", attack_line(&step.attack, unit)));
        }
    }
    out.push_str("\nshocks: the worst of three simulated ones of at most this size\n");
    let size = |row: &ShockRow| percent(&row.psi.to_rational());
    let of = |row: &ShockRow, what: fn(&Cascade) -> String| {
        row.cascade.as_ref().map_or_else(|| "-".to_owned(), what)
    };
    out.push_str(&listing! { report.shocks, "none was asked for", |row|
        "at most": size(row),
        "taken": of(row, |cascade| percent(&cascade.psi)),
        "lost in the end": of(row, |cascade| percent(&cascade.loss)),
        "less than": match &row.cascade {
            Some(cascade) => bound(cascade.bound.as_ref()),
            None => bound(bound_of(&report.certificate, &row.psi).as_ref()),
        },
        "attacks": of(row, |cascade| cascade.steps.len().to_string()),
    });
    out
}

fn bound(bound: Option<&Rational>) -> String {
    bound.map_or_else(|| "no bound".to_owned(), percent)
}

/// (1 + 1/γ*) ψ.
fn bound_of(certificate: &Certificate, psi: &Fraction) -> Option<Rational> {
    let gamma = certificate.gamma.finite()?;
    let one = Rational::from_integer(1.into());
    certificate
        .is_certified()
        .then(|| (&one + one.clone() / gamma) * psi.to_rational())
}
