//! `ashlar demo`: the whole promise on one machine. A file is posted, paid for and certified; operators that hold as much stake as
//! the safety threshold allows are killed, the disperser is stopped; it is shown who paid and who was paid, and the file is rebuilt from
//! the operators that are left. In the end one of them signs two batches under one number, and so does the disperser: both are slashed
//! for it.

mod payments;
mod slashing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ashlar_client::{Age, Policy, RequiredQuorums, Trust};
use ashlar_crypto::sha256;
use ashlar_proto::Stake;
use ashlar_proto::api::AccountMode;
use ashlar_retriever::Source;
use clap::Args;
use serde::Serialize;

use crate::cert::{self, CertificateView, VerifiedView};
use crate::context::open_table;
use crate::daemon::Stop;
use crate::devnet::{Devnet, Plan};
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::get::{self, Fetch};
use crate::put::{self, Post};
use crate::stake::units;
use crate::ui::{self, Ui, listing};

/// Bytes of the payload that the demo makes: more than 8 MiB, and no round number.
const PAYLOAD: usize = 8_800_001;
/// The demo's network has two quorums, the second with the stakes in reverse order.
const QUORUMS: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  ashlar demo                                        8 operators, a file of 8.4 MiB made of this program and its sources
  ashlar demo --file block.bin --json
  ashlar demo --dir demo --keep                      leave keys, data and logs there for a look

It starts a devnet of its own on free ports, and nothing is left running, whatever happens.";

/// Options of `ashlar demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// The file to post [default: one of 8.4 MiB, made of this program and, where they are, its sources]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How many operators
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..=128))]
    pub operators: u32,
    /// Where to put keys, data and logs [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Do not remove that folder at the end
    #[arg(long)]
    pub keep: bool,
}

/// One step and how long it took.
#[derive(Clone, Debug, Serialize)]
struct Step {
    what: String,
    ms: u64,
}

/// An operator that the demo kills.
#[derive(Clone, Debug, Serialize)]
struct KilledOperator {
    operator: u32,
    operator_id: String,
    pid: u32,
    percent: Vec<f64>,
}

/// Everything that the demo found.
#[derive(Debug, Serialize)]
struct DemoOut {
    payload_bytes: u64,
    payload_sha256: String,
    certificate: CertificateView,
    verified: VerifiedView,
    stages: Vec<Step>,
    killed: Vec<KilledOperator>,
    killed_percent: Vec<f64>,
    report: ashlar_retriever::Report,
    rebuilt_sha256: String,
    equal: bool,
    payments: payments::Payments,
    slashed: slashing::Slashed,
    burnt: slashing::SlashedDisperser,
    steps: Vec<Step>,
}

/// A folder that is removed at the end, unless it is to be kept.
struct Folder {
    path: PathBuf,
    remove: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.remove {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Runs `ashlar demo`.
///
/// # Errors
/// Any step fails; nothing is left running.
pub async fn run(ui: Ui, args: DemoArgs) -> CliResult {
    let mut stop = Stop::listen(false)?;
    tokio::select! {
        result = demo(ui, &args) => result,
        // Dropping the demo kills the processes that it started.
        () = stop.asked() => Err(CliError::new(Exit::Failure, "demo.stopped", "the demo was stopped")),
    }
}

async fn demo(ui: Ui, args: &DemoArgs) -> CliResult {
    let folder = folder(args)?;
    let mut steps = Steps {
        ui,
        steps: Vec::new(),
        number: 0,
    };

    let payload = match &args.file {
        Some(path) => files::read(path, 16 << 20)?,
        None => make_payload()?,
    };
    let digest = format!("0x{}", hex::encode(sha256(&[&payload])));
    let payload_file = folder.path.join("payload");
    files::write_atomically(&payload_file, &payload, files::Access::Everyone)?;
    ui.note(format!(
        "payload      {} bytes, SHA-256 {digest}",
        payload.len()
    ));

    let plan = Plan {
        accounts: AccountMode::Paid,
        ..Plan::new(Some(args.operators), Some(QUORUMS), &[])?
    };
    steps.begin(format!(
        "starting a ledger, {} operators and a disperser, each a process of its own",
        args.operators
    ));
    let started = Instant::now();
    let quiet = Ui { quiet: true, ..ui };
    let mut devnet =
        Devnet::start(quiet, &folder.path.join("devnet"), Some(&plan), &plan, true).await?;
    steps.end("devnet ready", started);
    let table = open_table(&devnet.file.tables)?;

    let payer = put::of_devnet(&devnet.file.account)?;
    steps.begin(format!(
        "account {} posts the file, pays, and waits for its certificate",
        units::short(payer.account())
    ));
    let started = Instant::now();
    let check = put::Check::With(Arc::clone(&table));
    let mut post = Post::new(devnet.file.disperser_url.clone(), check);
    post.options.quorums = (0..QUORUMS).collect();
    post.account = Some(payer);
    let posted = put::post(ui, &post, payload.clone()).await?;
    steps.end("posted and certified", started);
    let certificate = posted.certificate.ok_or_else(|| {
        CliError::new(
            Exit::Failure,
            "demo.no_certificate",
            "there is no certificate although it was waited for",
        )
    })?;
    let certificate_file = folder.path.join("payload.cert");
    let bytes = certificate.to_bytes();
    files::write_atomically(&certificate_file, &bytes, files::Access::Everyone)?;

    // The file is the certificate from here on: what is on disk is what others would get.
    let (certificate, size) = cert::read(&certificate_file)?;
    let policy = Policy::new(
        Trust::Source(Arc::clone(&table)),
        RequiredQuorums::all((0..QUORUMS).collect::<Vec<_>>()),
        Age::Within(std::time::Duration::MAX),
    );
    let verified = cert::check(&certificate_file, &certificate, &policy)?;
    let view = cert::view(&certificate, size);
    let checked = cert::verified_view(&verified);
    ui.note(certificate_text(&view, &checked, &posted.stages));
    let bill = payments::bill(&devnet.file, verified.blob_header()).await?;

    let victims = victims(&plan, verified.version().safety_percent);
    steps.begin(format!("SIGKILL to operators {}", list(&victims)));
    let started = Instant::now();
    let mut killed = Vec::new();
    for &index in &victims {
        let (Some(daemon), Some(node)) =
            (devnet.nodes.get_mut(index), devnet.file.nodes.get(index))
        else {
            continue;
        };
        daemon.kill().await?;
        killed.push(KilledOperator {
            operator: node.index,
            operator_id: node.operator_id.clone(),
            pid: node.pid,
            percent: plan.shares(&[index]),
        });
    }
    let killed_percent = plan.shares(&victims);
    for (quorum, percent) in killed_percent.iter().enumerate() {
        ui.note(format!(
            "             quorum {quorum}: {percent:.2} % of the stake is gone, the safety threshold is {} %",
            verified.version().safety_percent
        ));
    }
    steps.end("operators killed", started);

    steps.begin("stopping the disperser, which hands in the account's voucher".to_owned());
    let started = Instant::now();
    if !devnet
        .disperser
        .stop(std::time::Duration::from_secs(20))
        .await
    {
        ui.warn("the disperser did not stop by itself and was killed");
    }
    let payments = payments::settle(&devnet.file, bill).await?;
    ui.note(payments.text().trim_end());
    steps.end("disperser stopped and paid", started);

    steps.begin(format!(
        "rebuilding the file from the other {} operators",
        plan.operators() - victims.len()
    ));
    let started = Instant::now();
    let out = folder.path.join("rebuilt");
    let fetch = Fetch {
        from: Source::Operators,
        stake: Arc::clone(&table),
        relays: Vec::new(),
        deadline: std::time::Duration::from_secs(120),
    };
    let (rebuilt, report) = get::fetch(&fetch, &verified).await?;
    files::write_atomically(&out, &rebuilt, files::Access::Everyone)?;
    steps.end("rebuilt from operators", started);

    // What counts is on disk: both files are read again.
    let rebuilt_digest = format!("0x{}", hex::encode(sha256(&[&files::read(&out, 1 << 30)?])));
    let equal = rebuilt_digest
        == format!(
            "0x{}",
            hex::encode(sha256(&[&files::read(&payload_file, 1 << 30)?]))
        );

    let dishonest = (0..plan.operators())
        .filter(|index| !victims.contains(index))
        .max_by_key(|&index| plan.of_operator(index))
        .and_then(|index| devnet.file.nodes.get(index))
        .ok_or_else(|| {
            CliError::new(
                Exit::Failure,
                "demo.slashing",
                "no operator is left to slash",
            )
        })?;
    steps.begin(format!(
        "operator {} signs a second batch under the same number; the ledger gets both signatures",
        dishonest.index
    ));
    let started = Instant::now();
    let header = verified.batch_header();
    let slashed = slashing::double_sign(&devnet.file, dishonest, header, &table).await?;
    ui.note(slashed.text().trim_end());
    steps.end("operator slashed", started);

    steps.begin(
        "the disperser's key signs a second batch under the same number; the ledger gets both signatures"
            .to_owned(),
    );
    let started = Instant::now();
    let burnt = slashing::equivocate(&devnet.file, header, &table).await?;
    ui.note(burnt.text());
    steps.end("disperser slashed", started);

    steps.begin("stopping what is left".to_owned());
    let started = Instant::now();
    devnet.stop().await;
    steps.end("all stopped", started);

    let result = DemoOut {
        payload_bytes: payload.len() as u64,
        payload_sha256: digest,
        certificate: view,
        verified: checked,
        stages: posted
            .stages
            .iter()
            .map(|(what, ms)| Step {
                what: what.clone(),
                ms: *ms,
            })
            .collect(),
        killed,
        killed_percent,
        report,
        rebuilt_sha256: rebuilt_digest,
        equal,
        payments,
        slashed,
        burnt,
        steps: steps.steps,
    };
    if !result.equal {
        return Err(CliError::new(
            Exit::Refused,
            "demo.different",
            "the rebuilt file is not the one that was posted",
        )
        .because(format!(
            "posted {}, rebuilt {}",
            result.payload_sha256, result.rebuilt_sha256
        )));
    }
    ui.data(&result, || result.text())?;
    if args.keep {
        ui.note(format!("everything is in {}", folder.path.display()));
    }
    Ok(())
}

struct Steps {
    ui: Ui,
    steps: Vec<Step>,
    number: u32,
}

impl Steps {
    fn begin(&mut self, what: String) {
        self.number += 1;
        self.ui.note(format!("[{}] {what}", self.number));
    }

    fn end(&mut self, what: &str, started: Instant) {
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.push(Step {
            what: what.to_owned(),
            ms,
        });
    }
}

fn folder(args: &DemoArgs) -> CliResult<Folder> {
    let path = match &args.dir {
        Some(path) => {
            if path.exists() {
                return Err(
                    CliError::usage(format!("{} exists already", path.display()))
                        .because("the demo starts from nothing")
                        .next("name a folder that does not exist"),
                );
            }
            path.clone()
        }
        None => std::env::temp_dir().join(format!(
            "ashlar-demo-{}",
            hex::encode(files::random::<6>()?)
        )),
    };
    files::create_folder(&path)?;
    Ok(Folder {
        path,
        remove: !args.keep,
    })
}

/// A real file, the same every time for the same build: the workspace's sources, if this runs in its folder, then this
/// program, cut to [`PAYLOAD`] bytes.
fn make_payload() -> CliResult<Vec<u8>> {
    let mut payload = Vec::new();
    let mut sources = Vec::new();
    for folder in [
        "crypto",
        "proto",
        "stake",
        "net",
        "node",
        "disperser",
        "retriever",
        "client",
        "ledger",
        "cli",
    ] {
        collect(&Path::new(folder).join("src"), &mut sources);
    }
    sources.sort();
    for path in sources {
        payload.extend(format!("==> {} <==\n", path.display()).into_bytes());
        payload.extend(files::read(&path, 1 << 24)?);
    }
    let program = std::env::current_exe()
        .map_err(|error| CliError::io("could not find my own program", &error))?;
    let program = files::read(&program, 1 << 30)?;
    while payload.len() < PAYLOAD {
        payload.extend_from_slice(&program);
    }
    payload.truncate(PAYLOAD);
    Ok(payload)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The set of operators with the most stake in quorum 0 that stays within the threshold in every quorum; of equal ones
/// the larger set. All sets are tried for up to 16 operators; with more, one by one from the largest stake.
fn victims(plan: &Plan, percent: u32) -> Vec<usize> {
    let count = plan.operators();
    let fits = |set: &[usize]| {
        plan.stakes.iter().all(|stakes| {
            let total = sum(stakes.iter().copied());
            let gone = sum(set.iter().filter_map(|&index| stakes.get(index).copied()));
            gone.saturating_mul(Stake::from(100u32)) <= total.saturating_mul(Stake::from(percent))
        })
    };
    let weight = |set: &[usize]| {
        let gone = sum(set
            .iter()
            .filter_map(|&index| plan.stakes.first()?.get(index).copied()));
        (gone, set.len())
    };
    let mut best = Vec::new();
    if count <= 16 {
        for mask in 0u32..1 << count {
            let set: Vec<usize> = (0..count).filter(|index| mask >> index & 1 == 1).collect();
            if fits(&set) && weight(&set) > weight(&best) {
                best = set;
            }
        }
        return best;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| {
        std::cmp::Reverse(
            plan.stakes
                .first()
                .and_then(|stakes| stakes.get(index).copied()),
        )
    });
    for index in order {
        best.push(index);
        if !fits(&best) {
            best.pop();
        }
    }
    best.sort_unstable();
    best
}

fn sum(stakes: impl Iterator<Item = Stake>) -> Stake {
    stakes.fold(Stake::ZERO, Stake::saturating_add)
}

fn list(indices: &[usize]) -> String {
    let each: Vec<String> = indices.iter().map(ToString::to_string).collect();
    each.join(", ")
}

fn certificate_text(
    view: &CertificateView,
    checked: &VerifiedView,
    stages: &[(String, u64)],
) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "  certificate  {} bytes for {} in {} rows",
            view.bytes,
            ui::bytes(view.payload_len),
            view.rows
        ),
        format!("  blob         {}", view.blob_key),
        format!(
            "  batch        {} (sequence {})",
            view.batch_digest, view.sequence
        ),
    ];
    for signed in &checked.signed {
        lines.push(format!(
            "  quorum {}     {} of {} stake signed, {:.2} %",
            signed.quorum,
            ui::stake(&signed.signed),
            ui::stake(&signed.total),
            signed.percent
        ));
    }
    lines.push(format!(
        "  signers      {} operators, one aggregate signature of 48 bytes",
        checked.signers
    ));
    let stages: Vec<String> = stages
        .iter()
        .map(|(what, ms)| format!("{what} {}", ui::millis(*ms)))
        .collect();
    lines.push(format!("  times        {}", stages.join(", ")));
    lines.push(String::new());
    lines.join("\n")
}

impl DemoOut {
    fn text(&self) -> String {
        let steps = listing! { self.steps, "no steps", |step|
            "step": step.what,
            "time": ui::millis(step.ms),
        };
        let percent: Vec<String> = self
            .killed_percent
            .iter()
            .map(|percent| format!("{percent:.2} %"))
            .collect();
        let each: Vec<String> = self
            .killed
            .iter()
            .map(|killed| killed.operator.to_string())
            .collect();
        let falls: Vec<String> = self
            .slashed
            .quorums
            .iter()
            .map(|change| {
                let [was, is] = &change.stake;
                format!(
                    "quorum {} {} → {}",
                    change.quorum,
                    ui::stake(was),
                    ui::stake(is)
                )
            })
            .collect();
        format!(
            "\n{}\nposted   {}  {} bytes\nrebuilt  {}  from {} operators, {} fetched\nkilled   operators {} with {} of the stake; the disperser was stopped\npaid     {}\nslashed  operator {}: {}\nslashed  disperser {}: bond {} → 0\n\nequal: the file survived.\n",
            steps,
            self.payload_sha256,
            self.payload_bytes,
            self.rebuilt_sha256,
            self.report
                .operators
                .iter()
                .filter(|operator| operator.good > 0)
                .count(),
            ui::bytes(self.report.bytes_fetched),
            each.join(", "),
            percent.join(" / "),
            self.payments.line(),
            self.slashed.operator,
            falls.join(", "),
            self.burnt.disperser,
            ui::stake(&self.burnt.bond.to_string()),
        )
    }
}

#[cfg(test)]
mod tests;
