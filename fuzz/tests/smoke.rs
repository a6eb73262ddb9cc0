//! The smoke run: every target over its corpus, and over some changes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use std::{env, fs, thread};

use ashlar_fuzz::{Seed, Target, corpus, seeds, targets};
use ashlar_proto::wire::{Request, Response};
use ashlar_restaking::{Action, Transaction};
use ashlar_testing::random::Random;

/// Changed inputs of a target, at most.
const CHANGES: u64 = 2000;
/// No target takes longer than this for them. Those that do elliptic curves see fewer.
const TIME: Duration = Duration::from_millis(1500);

/// It is run by the tests of `ashlar-kzg`, from seeds.
const KERNELS: &str = "kernels";

/// The corpus in git, by target, then by name.
fn inputs() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let read = |folder: PathBuf| {
        fs::read_dir(folder).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), entry.path())
        })
    };
    let of = |folder| read(folder).map(|(name, path)| (name, fs::read(path).unwrap()));
    read(corpus())
        .map(|(target, folder)| (target, of(folder).collect()))
        .collect()
}

#[test]
fn seeds_are_in_the_corpus() {
    for Seed {
        target,
        name,
        input,
    } in seeds()
    {
        let path = corpus().join(target).join(&name);
        if env::var_os("ASHLAR_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &input).unwrap();
        }
        assert_eq!(
            fs::read(&path).ok(),
            Some(input),
            "{} is not what the seeds are: run with ASHLAR_BLESS=1 to have it written",
            path.display()
        );
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let corpus = inputs();
    let folders: BTreeSet<&str> = corpus.keys().map(String::as_str).collect();
    let names = targets().iter().map(|target| target.name);
    assert_eq!(folders, names.clone().chain([KERNELS]).collect());
    assert_eq!(folders.len(), names.len() + 1, "a name stands twice");
    for (target, inputs) in &corpus {
        assert!(!inputs.is_empty(), "the corpus of {target} is empty");
    }
    let bytes: usize = corpus
        .values()
        .flat_map(BTreeMap::values)
        .map(Vec::len)
        .sum();
    assert!(bytes < 1 << 20, "{bytes} bytes: make the corpus smaller");
}

#[test]
fn every_message_and_every_transaction_is_in_the_corpus() {
    let corpus = inputs();
    let of = |target: &str| corpus[target].values().cloned();
    let requests: BTreeSet<&str> = of("wire_request")
        .filter_map(|input| Some(Request::decode(input).ok()?.kind()))
        .collect();
    assert_eq!(requests.len(), 10, "{requests:?}");
    let responses: BTreeSet<&str> = of("wire_response")
        .filter_map(|input| Some(Response::decode(input).ok()?.kind()))
        .collect();
    assert_eq!(responses.len(), 10, "{responses:?}");
    let actions: BTreeSet<&str> = of("ledger_transaction")
        .filter_map(|input| serde_json::from_slice::<Transaction>(&input).ok())
        .map(|transaction| transaction.action.name())
        .collect();
    assert_eq!(actions, Action::NAMES.iter().copied().collect());
}

/// One of these inputs with one to four changes: a bit, a byte, a piece that goes, comes twice, or is another input's.
fn change(inputs: &[&Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut below = |end: usize| random.below(end as u64) as usize;
    let mut input = inputs[below(inputs.len())].clone();
    for _ in 0..=below(4) {
        let at = below(input.len());
        let piece = at..input.len().min(at + 1 + below(16));
        match below(6) {
            0 if !input.is_empty() => input[at] ^= 1 << below(8),
            1 if !input.is_empty() => input[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
            2 => drop(input.drain(piece)),
            3 => {
                let twice = input[piece].to_vec();
                input.splice(at..at, twice);
            }
            4 => {
                let other = inputs[below(inputs.len())];
                let from = below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at),
        }
    }
    input
}

/// `None`, or why the target fails.
fn fails(target: &Target, input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| "it panics".into()))
}

#[test]
fn every_target_runs_over_its_corpus_and_changes_of_it() {
    let given = env::var("ASHLAR_FUZZ_SEED").ok();
    let seed: u64 = match &given {
        Some(seed) => seed.parse().expect("ASHLAR_FUZZ_SEED is a number"),
        None => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap().as_nanos() as u64
        }
    };
    println!("ASHLAR_FUZZ_SEED={seed}");
    let corpus = inputs();
    let run = |target: &'static Target| {
        let inputs: Vec<(&String, &Vec<u8>)> = corpus[target.name].iter().collect();
        for (name, input) in &inputs {
            if let Some(why) = fails(target, input) {
                panic!("corpus/{}/{name}: {why}", target.name);
            }
        }
        let inputs: Vec<&Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
        // The same changes however many targets there are, and however long the others take.
        let salt = target
            .name
            .bytes()
            .fold(seed, |salt, byte| salt.rotate_left(8) ^ u64::from(byte));
        let mut random = Random::new(salt);
        let start = std::time::Instant::now();
        let mut done = 0;
        // A seed that is repeated is repeated whole.
        while done < CHANGES && (given.is_some() || start.elapsed() < TIME) {
            let input = change(&inputs, &mut random);
            if let Some(why) = fails(target, &input) {
                let path = env::temp_dir().join(format!("ashlar-fuzz-{}-{seed}", target.name));
                fs::write(&path, &input).unwrap();
                panic!(
                    "ASHLAR_FUZZ_SEED={seed}, target {}, change {done}: {why}; the input is {}",
                    target.name,
                    path.display()
                );
            }
            done += 1;
        }
        (target.name, done)
    };
    let done: Vec<(&str, u64)> = thread::scope(|scope| {
        let runs: Vec<_> = targets()
            .iter()
            .map(|target| scope.spawn(move || run(target)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    println!("{done:?}");
}
