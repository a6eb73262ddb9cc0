//! What is asked about: operators, services, and who secures what.

use std::collections::{HashMap, HashSet};

use alloy_primitives::U256;
use ashlar_crypto::Coded;
use ashlar_proto::Stake;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::Fraction;

/// Most operators of a graph: those of the largest operator table.
pub const MAX_OPERATORS: usize = 4096;
/// Most services of a graph. Exact fractions grow with the number of different stakes that they are made of, so this bounds the time of a
/// certificate too.
pub const MAX_SERVICES: usize = 256;
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Largest file that is read, 16 MiB.
pub const MAX_GRAPH_BYTES: usize = 16 << 20;

/// Operators and services. All amounts are in one unit, for example wei.
///
/// Files name the lists `operators` and `services`; amounts are decimal strings, or plain integers where they are small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Who holds stake.
    pub operators: Vec<OperatorNode>,
    /// What it secures.
    pub services: Vec<ServiceNode>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorNode {
    /// Its name, unique.
    pub name: String,
    /// All of its stake, allocated or not.
    #[serde(with = "amount")]
    pub stake: Stake,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceNode {
    /// Its name, unique.
    pub name: String,
    /// π: what corrupting it gains. No chain knows this number; somebody publishes it.
    #[serde(with = "amount")]
    pub profit: Stake,
    /// α: the share of the stake behind it that can corrupt it.
    pub alpha: Fraction,
    /// β: the largest share of a stake that it can slash; all of it if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slash_cap: Option<Fraction>,
    /// Who secures it: names, or names with the stake that is allocated to this service alone. One service has only
    /// edges of one kind.
    pub operators: Vec<Edge>,
}

/// One operator of a service: the name alone (its common stake), or with unique stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Edge {
    /// Secures it with the stake that it has not allocated anywhere.
    Common(String),
    /// Secures it with stake that no other service can slash.
    Unique {
        /// The operator.
        name: String,
        /// The stake.
        #[serde(with = "amount")]
        unique: Stake,
    },
}

impl Edge {
    /// The operator's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Common(name) | Self::Unique { name, .. } => name,
        }
    }

    /// The allocation, if it is one.
    pub fn unique(&self) -> Option<Stake> {
        match self {
            Self::Common(_) => None,
            Self::Unique { unique, .. } => Some(*unique),
        }
    }
}

/// Why a graph is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "risk", blame = Caller)]
pub enum GraphError {
    /// Larger than any graph.
    #[error("the graph has {got} bytes, at most {MAX_GRAPH_BYTES} are read")]
    TooLarge {
        /// Bytes.
        got: usize,
    },
    /// Not TOML or JSON, an unknown or missing key, or a value of another shape.
    #[error("the graph is not valid {format}: {reason}")]
    Malformed {
        /// `TOML` or `JSON`.
        format: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// Too many of something.
    #[error("{got} {what}, at most {max} are allowed")]
    TooMany {
        /// `operators` or `services`.
        what: &'static str,
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// Empty, too long, or with a control character.
    #[error("{name:?} is no name: it needs 1 to {MAX_NAME_BYTES} bytes without control characters")]
    Name {
        /// The name, cut.
        name: String,
    },
    /// A name twice in one list.
    #[error("{what} {name:?} is there twice")]
    Duplicate {
        /// `operator`, `service`, or `operator of service …`.
        what: String,
        /// The name.
        name: String,
    },
    /// An edge to nobody.
    #[error("service {service:?} names the operator {operator:?}, which is not in the graph")]
    UnknownOperator {
        /// The service.
        service: String,
        /// The name.
        operator: String,
    },
    /// Common and unique stake in one service.
    #[error(
        "service {service:?} has operators with unique stake and operators without; give all or none of them an allocation"
    )]
    MixedEdges {
        /// The service.
        service: String,
    },
    /// More allocated than there is.
    #[error("operator {operator:?} allocates {allocated} to single services, its stake is {stake}")]
    OverAllocated {
        /// The operator.
        operator: String,
        /// Sum of its allocations (`2^256 - 1` if it is more).
        allocated: Stake,
        /// Its stake.
        stake: Stake,
    },
}

impl Graph {
    /// Reads and validates JSON.
    ///
    /// # Errors
    /// [`GraphError`].
    pub fn from_json(text: &str) -> Result<Self, GraphError> {
        check_size(text)?;
        let graph: Self = serde_json::from_str(text).map_err(|error| GraphError::Malformed {
            format: "JSON",
            reason: error.to_string(),
        })?;
        graph.validate()?;
        Ok(graph)
    }

    /// Reads and validates TOML.
    ///
    /// # Errors
    /// [`GraphError`].
    pub fn from_toml(text: &str) -> Result<Self, GraphError> {
        check_size(text)?;
        let graph: Self = toml::from_str(text).map_err(|error| GraphError::Malformed {
            format: "TOML",
            reason: error.to_string(),
        })?;
        graph.validate()?;
        Ok(graph)
    }

    /// Checks everything that the functions of this module rely on; they call it themselves.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), GraphError> {
        check_count("operators", self.operators.len(), MAX_OPERATORS)?;
        check_count("services", self.services.len(), MAX_SERVICES)?;
        let mut allocated: HashMap<&str, (Stake, Stake)> = HashMap::new();
        for operator in &self.operators {
            check_name(&operator.name)?;
            let entry = (operator.stake, Stake::ZERO);
            if allocated.insert(&operator.name, entry).is_some() {
                return Err(duplicate("operator", &operator.name));
            }
        }
        let mut services = HashSet::new();
        for service in &self.services {
            check_name(&service.name)?;
            if !services.insert(service.name.as_str()) {
                return Err(duplicate("service", &service.name));
            }
            check_edges(service, &mut allocated)?;
        }
        for operator in &self.operators {
            if let Some(&(stake, allocated)) = allocated.get(operator.name.as_str())
                && allocated > stake
            {
                return Err(GraphError::OverAllocated {
                    operator: operator.name.clone(),
                    allocated,
                    stake,
                });
            }
        }
        Ok(())
    }
}

fn check_edges<'a>(
    service: &'a ServiceNode,
    allocated: &mut HashMap<&'a str, (Stake, Stake)>,
) -> Result<(), GraphError> {
    let mut seen = HashSet::new();
    let isolated = service.operators.first().and_then(Edge::unique).is_some();
    for edge in &service.operators {
        if !seen.insert(edge.name()) {
            let what = format!("operator of service {:?}", service.name);
            return Err(duplicate(&what, edge.name()));
        }
        let Some((_, sum)) = allocated.get_mut(edge.name()) else {
            return Err(GraphError::UnknownOperator {
                service: service.name.clone(),
                operator: edge.name().chars().take(MAX_NAME_BYTES).collect(),
            });
        };
        if edge.unique().is_some() != isolated {
            return Err(GraphError::MixedEdges {
                service: service.name.clone(),
            });
        }
        if let Some(unique) = edge.unique() {
            *sum = sum.saturating_add(unique);
        }
    }
    Ok(())
}

fn check_size(text: &str) -> Result<(), GraphError> {
    if text.len() > MAX_GRAPH_BYTES {
        return Err(GraphError::TooLarge { got: text.len() });
    }
    Ok(())
}

fn check_count(what: &'static str, got: usize, max: usize) -> Result<(), GraphError> {
    if got > max {
        return Err(GraphError::TooMany { what, got, max });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), GraphError> {
    // U+FFFE and U+FFFF are no characters of XML, which the drawing is made of.
    let bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(bad) {
        return Err(GraphError::Name {
            name: name.chars().take(MAX_NAME_BYTES).collect(),
        });
    }
    Ok(())
}

fn duplicate(what: &str, name: &str) -> GraphError {
    GraphError::Duplicate {
        what: what.to_owned(),
        name: name.to_owned(),
    }
}

/// Amounts: written as decimal strings, read from those or from plain integers.
mod amount {
    use super::*;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Integer(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(amount: &Stake, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stake, D::Error> {
        match Amount::deserialize(from)? {
            Amount::Integer(amount) => Ok(U256::from(amount)),
            Amount::Text(text) => {
                let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
                digits
                    .then(|| U256::from_str_radix(&text, 10).ok())
                    .flatten()
                    .ok_or_else(|| {
                        let text: String = text.chars().take(40).collect();
                        de::Error::custom(format!("{text:?} is not an amount below 2^256"))
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests;
