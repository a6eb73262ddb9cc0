//! The pages of disperser and node in a browser: an idle, a busy and a degraded network.
//!
//! With `ASHLAR_PICTURES=1` it stays longer at each, and writes the pictures that the documents show.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ashlar_disperser::DisperserConfig;
use serde_json::Value;

use crate::support::browser::{Browser, unavailable};
use crate::support::evil::{self, Batch, Sender};
use crate::support::random::payload;
use crate::support::{Devnet, get_json, http_request, load, wait_for};

/// Ends those who look at it, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Of the window, in pixels.
const WIDTH: u64 = 1100;

/// Writes what the browser shows to `docs/images`, if that is asked for: in light and in dark.
fn picture(browser: &Browser, name: &str) {
    if std::env::var_os("ASHLAR_PICTURES").is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let height = "return document.querySelector('footer').getBoundingClientRect().bottom";
        let height = browser.script(height).as_f64().unwrap() as u64;
        browser.set_size(WIDTH, height);
        std::thread::sleep(Duration::from_millis(300));
        let file = folder.join(format!("{name}-{scheme}.png"));
        std::fs::write(file, browser.picture()).unwrap();
    }
    browser.set_size(WIDTH, 900);
}

/// How long a network is left in a state before its picture is taken.
fn stay(seconds: u64) {
    if std::env::var_os("ASHLAR_PICTURES").is_some() {
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

/// The value of a tile, by its name.
fn tile(browser: &Browser, name: &str) -> String {
    let tiles = browser.text("#numbers");
    let mut lines = tiles.lines().skip_while(|line| *line != name);
    lines.nth(1).unwrap_or_default().to_owned()
}

fn rows(browser: &Browser, table: &str) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll('{table} tbody tr')].map(row => row.innerText)"
    );
    let rows = browser.script(&script);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row.as_str().unwrap().to_owned()).collect()
}

/// As the page writes numbers of up to six digits.
fn grouped(number: &Value) -> String {
    match number.as_u64().unwrap() {
        number @ 0..1000 => number.to_string(),
        number => format!("{},{:03}", number / 1000, number % 1000),
    }
}

/// Least contrast of the text that is on the page, as WCAG counts it, and whose it is.
fn least_contrast(browser: &Browser) -> (f64, String) {
    let script = r#"
        const rgb = (text) => text.match(/[\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((x) => x / 255).map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
            .reduce((sum, x, at) => sum + x * [0.2126, 0.7152, 0.0722][at], 0);
        const ground = (element) => {
            for (; element; element = element.parentElement) {
                const color = rgb(getComputedStyle(element).backgroundColor);
                if (color.length === 3) return color;
            }
            throw "no ground";
        };
        let least = [21, ""];
        for (const element of document.querySelectorAll("body *")) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || element.closest("noscript, svg") || !element.checkVisibility()) continue;
            const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
            const contrast = (a + 0.05) / (b + 0.05);
            if (contrast < least[0]) least = [contrast, element.outerHTML];
        }
        return least;"#;
    let least = browser.script(script);
    (least[0].as_f64().unwrap(), least[1].to_string())
}

/// Readable in both schemes, in any width, by the keyboard, and without a complaint of the browser.
fn is_well_made(browser: &Browser) {
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let grounds = ["light", "dark"].map(|scheme| {
        browser.prefer(scheme);
        let (contrast, of) = least_contrast(browser);
        assert!(contrast >= 4.5, "{contrast} in {scheme}: {of}");
        browser.script(ground)
    });
    assert_ne!(grounds[0], grounds[1]);
    for width in [360, 800, WIDTH] {
        browser.set_size(width, 900);
        let wide = browser.script("return document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width), "{wide} wide in {width}");
    }
    let nameless = "return [...document.querySelectorAll('[tabindex], table, section')].filter((element) =>
        !element.ariaLabel && !element.hasAttribute('aria-labelledby')).map((element) => element.outerHTML.slice(0, 200))";
    assert_eq!(browser.script(nameless), serde_json::json!([]));
    // No text can become markup, whoever sends it.
    let markup = "try { document.body.innerHTML = '<b>'; return 'taken' } catch (error) { return error.name }";
    assert_eq!(browser.script(markup), "TypeError");
    browser.complaints().iter().for_each(|complaint| {
        assert!(complaint.contains("TrustedHTML"), "{complaint}");
    });
}

#[test]
fn the_pages_show_an_idle_a_busy_and_a_degraded_network() {
    if unavailable("the_pages_show_an_idle_a_busy_and_a_degraded_network") {
        return;
    }
    let mut devnet = Devnet::start_with(&["--no-ledger"]);
    // It gives a batch up after seconds, not minutes.
    devnet.kill_disperser();
    let file = devnet.file.disperser.dir.join("disperser.toml");
    let mut config = DisperserConfig::load(&file).unwrap();
    (
        config.disperse.deadline_secs,
        config.disperse.attempt_timeout_secs,
    ) = (10, 5);
    std::fs::write(&file, config.to_toml().unwrap()).unwrap();
    devnet.restart_disperser();
    let base = devnet.file.disperser_url.clone();
    let activity = || get_json(&format!("{base}/v1/activity"));
    let browser = Browser::start();
    browser.set_size(WIDTH, 900);
    let (_, head, _) = http_request("GET", &base, &[], b"").unwrap();
    assert!(
        head.contains("content-security-policy: default-src 'none';"),
        "{head}"
    );

    // Idle.
    browser.open(&base);
    browser.wait_for("#state", |state| state == "Ready");
    browser.wait_for("#batches", |text| text == "No batch since the start.");
    assert_eq!(tile(&browser, "Operators"), "8 of 8");
    assert_eq!(browser.text("#trouble"), "");
    let shown = rows(&browser, "#operators");
    let operators = activity()["operators"].clone();
    assert_eq!(shown.len(), 8);
    for (row, operator) in shown.iter().zip(operators.as_array().unwrap()) {
        let id = operator["operator_id"].as_str().unwrap();
        assert!(row.contains(&id[..10]), "{row}: {operator}");
        assert!(
            row.contains(operator["address"].as_str().unwrap()),
            "{row}: {operator}"
        );
        let percent = format!("{} %", operator["stakes"][0]["percent"].as_f64().unwrap());
        assert!(row.contains(&percent), "{row}: {operator}");
        assert!(row.contains("Not asked yet"), "{row}");
    }
    is_well_made(&browser);
    stay(20);
    picture(&browser, "disperser-idle");

    // Busy.
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let _ends = Ends(&busy);
        for caller in 0..2 {
            let (devnet, busy) = (&devnet, &busy);
            scope.spawn(move || {
                for seed in (caller * 1_000_000..).take_while(|_| busy.load(Ordering::Relaxed)) {
                    load::put(
                        devnet,
                        &load::blob(seed, 300_000 + (seed as usize % 7) * 200_000),
                    );
                }
            });
        }
        browser.wait_for("#batches", |text| text.matches("Certified").count() >= 3);
        browser.wait_for("#throughput .key", |text| {
            text.contains("certified") && !text.contains("certified 0 B/s")
        });
        browser.wait_for("#latency .key", |text| {
            text.contains(" s") || text.contains(" ms")
        });
        stay(150);
        is_well_made(&browser);
        picture(&browser, "disperser-busy");
    });
    // Quiet again: the numbers are those of the API, and of the metrics.
    wait_for("the page to show the end", || {
        let now = activity();
        now["open_blobs"] == 0
            && tile(&browser, "Certified in all")
                == format!("{} blobs", grouped(&now["certified_blobs"]))
            && tile(&browser, "Open blobs") == "0"
    });
    // What the page shows is made once a second, so the metrics may be ahead of it.
    wait_for("the metrics to say the same", || {
        let now = activity();
        let (_, _, metrics) = http_request("GET", &format!("{base}/metrics"), &[], b"").unwrap();
        let metrics = String::from_utf8(metrics).unwrap();
        [
            ("certified_blobs", "certified_blobs"),
            ("certified_payload_bytes", "certified_bytes"),
            ("batches", "batches_composed"),
        ]
        .iter()
        .all(|(name, key)| {
            metrics.contains(&format!("ashlar_disperser_{name}_total {}\n", now[key]))
        })
    });
    wait_for("the newest batch", || {
        let now = activity();
        let digest = now["batches"][0]["digest"].as_str().unwrap();
        rows(&browser, "#batches")[0].contains(&digest[..10])
    });
    let signers = |operator: &Value| operator["missed"] == 0 && operator["signs"] == true;
    wait_for("all operators to have signed", || {
        activity()["operators"]
            .as_array()
            .unwrap()
            .iter()
            .all(signers)
    });
    browser.wait_for("#operators", |text| text.matches("100 % of").count() == 8);

    // Nobody has signed so far for what was posted.
    let shown = "return getComputedStyle(document.getElementById('accounts-card')).display";
    assert_eq!(browser.script(shown), "none");
    let account = devnet.file.account.clone();
    let [key, password] = [&account.key, &account.password_file].map(|path| path.to_str().unwrap());
    let signed = ["--account", key, "--password-file", password];
    devnet.put_with("signed", &payload(8, 200_000), &signed);
    let address = account.address.to_string();
    browser.wait_for("#accounts", |text| text.contains(&address[..10]));
    let used = &activity()["accounts"][0];
    assert_eq!(used["account"], address);
    assert_eq!(
        [
            &used["blobs"],
            &used["rows"],
            &used["bytes"],
            &used["charged"]
        ],
        [&1.into(), &2.into(), &200_000.into(), &Value::from("0")]
    );

    // A node: what it holds, and why it did not sign what a disperser spoiled.
    let table = evil::table(&devnet);
    let mut sealed = Batch::honest(&table, &payload(7, 200_000), u64::MAX).seal();
    sealed.chunk_proofs.rotate_left(1);
    let key = evil::network_key(&devnet.file.disperser.dir);
    Sender::new(&key).send_to_all(&table, &sealed);
    let node = devnet.node(0).http.clone();
    browser.open(&node);
    browser.wait_for("#state", |state| state == "Ready");
    browser.wait_for("#refusals", |text| text.contains("chunk.proof_mismatch"));
    let status = get_json(&format!("{node}/v1/status"));
    let signed = format!("{} batches", grouped(&status["signed_batches"]));
    assert_eq!(tile(&browser, "Signed"), signed);
    assert_eq!(tile(&browser, "Stake"), "30 %");
    assert_eq!(
        rows(&browser, "#windows").len(),
        status["windows"].as_array().unwrap().len()
    );
    assert!(!rows(&browser, "#windows").is_empty());
    is_well_made(&browser);
    picture(&browser, "node");

    // Degraded: half of the stake is gone, and a certificate needs 55 %.
    devnet.kill_node(0);
    devnet.kill_node(1);
    browser.wait_for("#state", |state| state == "No answer");
    browser.open(&base);
    let blob = load::blob(3_000_000, 400_000).encode();
    let content = [("content-type", ashlar_proto::api::PUT_BLOB_TYPE)];
    let (status, ..) = http_request("POST", &format!("{base}/v1/blobs"), &content, &blob).unwrap();
    assert_eq!(status, 202);
    browser.wait_for("#state", |state| state == "Degraded");
    browser.wait_for("#batches", |text| text.contains("Abandoned"));
    browser.wait_for("#operators", |text| {
        text.matches("Does not sign").count() == 2
    });
    wait_for("the reasons of the API", || {
        let health = get_json(&format!("{base}/v1/health"));
        let reason = &health["reasons"][0];
        let said = browser.text("#trouble");
        said.starts_with("Why it is degraded")
            && ["code", "message"]
                .iter()
                .all(|part| said.contains(reason[part].as_str().unwrap()))
    });
    assert_eq!(tile(&browser, "Operators"), "6 of 8");
    is_well_made(&browser);
    picture(&browser, "disperser-degraded");

    // A page that is left open says that the disperser is away, and finds it again.
    devnet.kill_disperser();
    browser.wait_for("#state", |state| state == "No answer");
    devnet.restart_disperser();
    browser.wait_for("#state", |state| state == "Ready" || state == "Degraded");
}
