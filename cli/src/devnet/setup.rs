//! Makes the files of a devnet: keys, table, configurations.

use std::path::{Path, PathBuf};

use ashlar_crypto::keystore::Cost;
use ashlar_proto::table::OperatorEntry;
use ashlar_proto::{Account, QuorumId, Stake};
use ashlar_stake::{DisperserRecord, OperatorRecord, Registration, TableFile, TableRecord};

use super::Plan;
use super::layout::{DevnetFile, DisperserEntry, NodeEntry};
use super::ports::{self, Held};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;

/// The block of the devnet's only table.
const BLOCK: u64 = 1;
/// The number of the devnet's only disperser.
const DISPERSER_ID: u32 = 0;

/// Makes everything in an empty folder. The ports stay held until the returned guards are dropped.
///
/// The description is written last: a folder without it is a half-made devnet, and is never taken for a whole one.
///
/// # Errors
/// The folder holds the rest of an earlier attempt, or cannot be written, or there are no free ports.
pub fn create(dir: &Path, plan: &Plan) -> CliResult<(DevnetFile, Vec<Held>)> {
    let count = plan.operators();
    if dir.join("node-0").exists() || dir.join("disperser").exists() {
        return Err(CliError::new(
            Exit::Usage,
            "devnet.half_made",
            format!("{} holds a half-made devnet", dir.display()),
        )
        .because("an earlier start was interrupted before it had written everything")
        .next(format!(
            "remove it (rm -r {}) and start again",
            dir.display()
        )));
    }
    // Of each operator: one port for QUIC, one for HTTP. One for the disperser's HTTP.
    let held = ports::hold(2 * count + 1)?;
    let mut numbers = held.iter().map(|held| held.port);
    let mut next = || {
        numbers
            .next()
            .map(|port| format!("127.0.0.1:{port}"))
            .unwrap_or_default()
    };

    let table = dir.join("operators.toml");
    let disperser_dir = dir.join("disperser");
    let disperser_http = next();
    let mut operators = Vec::with_capacity(count);
    let mut nodes = Vec::with_capacity(count);
    for (index, operator) in (0u32..).zip(0..count) {
        let node_dir = dir.join(format!("node-{index}"));
        let (quic, http) = (next(), next());
        let stakes = plan.of_operator(operator);
        let record = make_node(&node_dir, &quic, &http, &table, &stakes)?;
        nodes.push(NodeEntry {
            index,
            operator_id: record
                .operator_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            pid: 0,
            quic,
            http: format!("http://{http}"),
            dir: node_dir,
            stakes: stakes.iter().map(ToString::to_string).collect(),
        });
        operators.push(record);
    }
    let disperser = make_disperser(&disperser_dir, &disperser_http, &table)?;
    TableFile {
        tables: vec![TableRecord {
            block: BLOCK,
            dispersers: vec![disperser],
            operators,
        }],
    }
    .write(&table)
    .map_err(|error| {
        CliError::coded(
            Exit::Failure,
            format!("could not write {}", table.display()),
            &error,
        )
    })?;

    let file = DevnetFile {
        pid: 0,
        disperser_url: format!("http://{disperser_http}"),
        table,
        nodes,
        disperser: DisperserEntry {
            pid: 0,
            dir: disperser_dir,
        },
    };
    file.write(dir)?;
    Ok((file, held))
}

/// Refuses to go on with a devnet that is not what was asked for.
///
/// # Errors
/// The stakes in the folder are others.
pub fn check_plan(file: &DevnetFile, plan: &Plan, dir: &Path) -> CliResult {
    let there: Vec<Vec<String>> = file.nodes.iter().map(|node| node.stakes.clone()).collect();
    let asked: Vec<Vec<String>> = (0..plan.operators())
        .map(|operator| {
            plan.of_operator(operator)
                .iter()
                .map(ToString::to_string)
                .collect()
        })
        .collect();
    if there == asked {
        return Ok(());
    }
    Err(CliError::usage(format!("{} holds a devnet with other operators or stakes", dir.display()))
        .because(format!("there: {}; asked for: {}", spell(&there), spell(&asked)))
        .next("leave out --operators, --stakes and --quorums to go on with it, or choose another folder with --dir"))
}

fn spell(stakes: &[Vec<String>]) -> String {
    let each: Vec<String> = stakes.iter().map(|stakes| stakes.join("/")).collect();
    format!("{} operators with {}", stakes.len(), each.join(","))
}

/// A new password in `DIR/password`, readable by its owner only.
fn make_password(dir: &Path) -> CliResult<(PathBuf, zeroize::Zeroizing<String>)> {
    let password = zeroize::Zeroizing::new(hex::encode(files::random::<16>()?));
    let path = dir.join("password");
    files::write_atomically(&path, format!("{}\n", *password).as_bytes(), Access::Owner)?;
    Ok((path, password))
}

fn make_node(
    dir: &Path,
    quic: &str,
    http: &str,
    table: &Path,
    stakes: &[Stake],
) -> CliResult<OperatorRecord> {
    files::create_folder(dir)?;
    let (_, password) = make_password(dir)?;
    // The keys of a devnet guard nothing; opening seventeen of them at full cost would take a minute.
    let (bls, _) = keys::new_bls(&dir.join("bls.json"), &password, Cost::Light)?;
    let (network, _) = keys::new_network(&dir.join("network.json"), &password, Cost::Light)?;
    crate::node::write_config(
        dir,
        &crate::node::Settings {
            quic: quic.to_owned(),
            http: http.to_owned(),
            table: table.to_path_buf(),
        },
    )?;
    let public = bls.public_key().to_bytes();
    let stakes: Vec<(QuorumId, Stake)> = (0u8..)
        .zip(stakes)
        .filter(|(_, stake)| !stake.is_zero())
        .map(|(quorum, stake)| (quorum, *stake))
        .collect();
    Ok(OperatorRecord::from(&Registration {
        entry: OperatorEntry {
            operator_id: ashlar_proto::operator_id(&public),
            bls_public_key: public,
            network_key: network.public(),
            address: quic.to_owned(),
            stakes,
        },
        proof_of_possession: bls.prove_possession().to_bytes(),
    }))
}

fn make_disperser(dir: &Path, http: &str, table: &Path) -> CliResult<DisperserRecord> {
    files::create_folder(dir)?;
    let (_, password) = make_password(dir)?;
    let (network, _) = keys::new_network(&dir.join("network.json"), &password, Cost::Light)?;
    crate::disperser::write_config(
        dir,
        &crate::disperser::Settings {
            http: http.to_owned(),
            table: table.to_path_buf(),
        },
    )?;
    Ok(DisperserRecord {
        id: DISPERSER_ID,
        network_key: network.public(),
        account: Account([0; 20]),
    })
}
