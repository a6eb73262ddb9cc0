//! The graph as a drawing: operators on the left, services on the right, edges as wide as the stake that they carry.

use std::fmt::Write as _;

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use super::model::Model;
use super::number::decimal;
use super::{Graph, GraphError, Rational, certify};

const ROW: usize = 44;
const LEFT: usize = 300;
const RIGHT: usize = 660;
const WIDTH: usize = 960;
const TOP: usize = 70;

/// An SVG document of the graph. Operators are coloured by their load T_v: green up to a half, yellow up to one (where the certificate
/// ends), red above; grey without profit. Names are escaped; it reads on light and on dark ground.
///
/// # Errors
/// [`GraphError`] if the graph breaks a rule.
pub fn to_svg(graph: &Graph) -> Result<String, GraphError> {
    let certificate = certify(graph)?;
    let model = Model::new(graph)?;
    // Pools without stake are drawn only if somebody relies on them.
    let drawn: Vec<usize> = (0..model.pools.len())
        .filter(|&at| {
            model
                .pools
                .get(at)
                .is_some_and(|pool| !pool.stake.is_zero() || !pool.services.is_empty())
        })
        .collect();
    let rows = drawn.len().max(model.services.len()).max(1);
    let height = TOP + rows * ROW + 50;
    let widest = model
        .pools
        .iter()
        .map(|pool| &pool.stake)
        .max()
        .cloned()
        .unwrap_or(BigInt::ZERO);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" role="img">"#
    );
    let _ = writeln!(
        out,
        "<title>Operators and services: gamma* = {}</title>",
        escape(&certificate.gamma.describe())
    );
    out.push_str(STYLE);
    let _ = writeln!(
        out,
        r#"<rect class="ground" width="{WIDTH}" height="{height}"/>
<text class="head" x="{LEFT}" y="40" text-anchor="end">operators (stake, load T)</text>
<text class="head" x="{RIGHT}" y="40">services (profit, alpha)</text>"#
    );
    for (row, &at) in drawn.iter().enumerate() {
        let Some(pool) = model.pools.get(at) else {
            continue;
        };
        for &service in &pool.services {
            let _ = writeln!(
                out,
                r#"<line class="edge" x1="{}" y1="{}" x2="{}" y2="{}" stroke-width="{:.2}"/>"#,
                LEFT + 20,
                center(row),
                RIGHT - 20,
                center(service),
                width(&pool.stake, &widest)
            );
        }
    }
    for (row, &at) in drawn.iter().enumerate() {
        let Some(pool) = model.pools.get(at) else {
            continue;
        };
        let load = certificate
            .loads
            .iter()
            .find(|load| load.pool == pool.pool)
            .map(|load| &load.load);
        let worst = if certificate.worst.as_ref() == Some(&pool.pool) {
            " worst"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            r#"<circle class="{}{worst}" cx="{}" cy="{y}" r="9"/>
<text x="{}" y="{y}" text-anchor="end" dominant-baseline="middle">{} ({}{})</text>"#,
            colour(load),
            LEFT + 10,
            LEFT - 8,
            escape(&pool.pool.to_string()),
            pool.stake,
            load.map_or(String::new(), |load| format!(", {}", decimal(load))),
            y = center(row)
        );
    }
    for (row, service) in model.services.iter().enumerate() {
        let unbacked = if certificate.unbacked.contains(&service.name) {
            "over"
        } else {
            "service"
        };
        let _ = writeln!(
            out,
            r#"<rect class="{unbacked}" x="{}" y="{}" width="18" height="18" rx="3"/>
<text x="{}" y="{}" dominant-baseline="middle">{} ({}, {})</text>"#,
            RIGHT - 19,
            center(row) - 9,
            RIGHT + 8,
            center(row),
            escape(&service.name),
            service.profit,
            service.alpha
        );
    }
    let _ = writeln!(
        out,
        r#"<text class="head" x="20" y="{}">{}: gamma* = {}</text>
</svg>"#,
        height - 18,
        if certificate.is_certified() {
            "certified"
        } else {
            "not certified"
        },
        escape(&certificate.gamma.describe())
    );
    Ok(out)
}

const STYLE: &str = "<style>
.ground { fill: #ffffff; } text { fill: #1b1f24; } .head { font-weight: bold; }
.edge { stroke: #8c959f; stroke-opacity: 0.6; }
.idle { fill: #8c959f; } .low { fill: #2da44e; } .near { fill: #bf8700; } .over { fill: #cf222e; } .service { fill: #0969da; }
.worst { stroke: #1b1f24; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; } text { fill: #e6edf3; } .edge { stroke: #7d8590; }
.low { fill: #3fb950; } .near { fill: #d29922; } .over { fill: #f85149; } .service { fill: #58a6ff; }
.worst { stroke: #e6edf3; }
}
</style>
";

fn center(row: usize) -> usize {
    TOP + row * ROW
}

/// 0.75 to 9 units; the only floating point here, and only to draw.
fn width(stake: &BigInt, widest: &BigInt) -> f64 {
    if widest.is_zero() {
        return 0.75;
    }
    #[expect(
        clippy::expect_used,
        reason = "a fraction of at most one is near some float"
    )]
    let share = Rational::new(stake.clone(), widest.clone())
        .to_f64()
        .expect("a share");
    0.75 + 8.25 * share
}

fn colour(load: Option<&Rational>) -> &'static str {
    let Some(load) = load.filter(|load| !load.is_zero()) else {
        return "idle";
    };
    if *load >= Rational::from_integer(1.into()) {
        "over"
    } else if *load > Rational::new(1.into(), 2.into()) {
        "near"
    } else {
        "low"
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
