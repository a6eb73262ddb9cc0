//! Events as lines for people.

use ashlar_restaking::Event;
use serde_json::Value;

use super::units;

/// Fields that hold amounts of a token or of shares of eighteen decimals.
const AMOUNTS: &[&str] = &[
    "amount",
    "shares",
    "queued_shares",
    "tokens",
    "before",
    "after",
    "weight",
    "asked",
    "payable",
    "loss",
    "assets",
    "fee_shares",
    "covered",
    "cumulative",
    "to_disperser",
    "to_operators",
    "cost",
];
/// Fields that hold parts of a whole.
const PARTS: &[&str] = &["magnitude", "factor"];

/// One line an event, its fields behind its name.
pub fn lines(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| serde_json::to_value(event).ok())
        .map(|value| format!("  {}\n", line(&value)))
        .collect()
}

fn line(event: &Value) -> String {
    let Value::Object(fields) = event else {
        return event.to_string();
    };
    let name = fields
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .replace('_', " ");
    let mut out = name;
    // By name, whatever order the JSON library keeps them in.
    let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
    for (field, value) in sorted {
        if value.is_null() || field == "type" {
            continue;
        }
        out.push_str(&format!(
            "  {}={}",
            field.replace('_', "-"),
            show(field, value)
        ));
    }
    out
}

fn show(field: &str, value: &Value) -> String {
    let Some(text) = value.as_str() else {
        return value.to_string();
    };
    if AMOUNTS.contains(&field)
        && let Ok(amount) = text.parse()
    {
        return units::whole(amount);
    }
    if PARTS.contains(&field)
        && let Ok(part) = text.parse()
    {
        return units::percent(part).replace(' ', "");
    }
    text.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
