//! The certificate as a table for people.

use std::fmt::Write as _;

use super::number::{decimal, describe};
use super::{Certificate, Graph, GraphError, certify};

/// A table of services and operators with their numbers, γ* at the end. Ends with a newline.
///
/// # Errors
/// [`GraphError`] if the graph breaks a rule.
pub fn to_text(graph: &Graph) -> Result<String, GraphError> {
    let certificate = certify(graph)?;
    let mut out = String::new();
    let services: Vec<Vec<String>> = graph
        .services
        .iter()
        .map(|service| {
            vec![
                service.name.clone(),
                service.profit.to_string(),
                service.alpha.to_string(),
                service
                    .slash_cap
                    .map_or("-".to_owned(), |cap| cap.to_string()),
                service.operators.len().to_string(),
            ]
        })
        .collect();
    table(
        &mut out,
        &["service", "profit", "alpha", "cap", "operators"],
        &services,
    );
    out.push('\n');
    let loads: Vec<Vec<String>> = certificate
        .loads
        .iter()
        .map(|load| {
            let slack = load.slack.finite().map_or("-".to_owned(), decimal);
            let mark = if Some(&load.pool) == certificate.worst.as_ref() {
                "worst"
            } else {
                ""
            };
            vec![
                load.pool.to_string(),
                load.stake.to_string(),
                describe(&load.load),
                slack,
                mark.to_owned(),
            ]
        })
        .collect();
    table(
        &mut out,
        &["operator", "stake", "load T", "1/T - 1", ""],
        &loads,
    );
    out.push('\n');
    verdict(&mut out, &certificate);
    Ok(out)
}

fn verdict(out: &mut String, certificate: &Certificate) {
    // Writing to a string cannot fail.
    for service in &certificate.unbacked {
        let _ = writeln!(out, "service {service} has profit and no stake behind it");
    }
    let said = if certificate.is_certified() {
        "certified"
    } else {
        "not certified"
    };
    let _ = write!(out, "{said}: gamma* = {}", certificate.gamma.describe());
    if let Some(worst) = &certificate.worst {
        let _ = write!(out, ", decided by {worst}");
    }
    out.push('\n');
}

/// Columns as wide as their widest cell; the first one to the left, the others to the right.
fn table(out: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let width = |column: usize| {
        std::iter::once(&head)
            .chain(rows)
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .fold(0, usize::max)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(line, "{cell:<width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
