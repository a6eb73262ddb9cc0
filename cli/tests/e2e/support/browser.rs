//! A headless Chromium, driven over WebDriver (W3C) by `chromedriver`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{http_request, wait_for};

/// Says that a test is skipped, past the test harness, if this machine has no browser.
pub fn unavailable(test: &str) -> bool {
    let missing = ["chromium", "chromedriver"].into_iter().find(|program| {
        let found = Command::new(program).arg("--version").output();
        !found.is_ok_and(|output| output.status.success())
    });
    if let Some(program) = missing {
        let why = "the Debian packages chromium and chromium-driver have it";
        let _ = writeln!(
            std::io::stderr(),
            "{test}: SKIPPED, there is no {program}; {why}"
        );
    }
    missing.is_some()
}

/// One window. It ends when this is dropped.
pub struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let mut browser = Browser {
            driver,
            session: format!(
                "http://127.0.0.1:{}/session",
                port.expect("chromedriver listens")
            ),
            _profile: profile,
        };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let made = browser.command("POST", "", &capabilities);
        browser.session += "/";
        browser.session += made["sessionId"].as_str().unwrap();
        browser
    }

    #[track_caller]
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = match method {
            "POST" => body.to_string(),
            _ => String::new(),
        };
        let url = format!("{}{path}", self.session);
        let json = [("content-type", "application/json")];
        let (status, _, answer) = http_request(method, &url, &json, body.as_bytes()).unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].take()
    }

    fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.command("POST", "/goog/cdp/execute", &body);
    }

    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// What a script returns.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// The text of the first element that a selector finds, as a person sees it; empty if there is none.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let text = self.script(&format!(
            "return document.querySelector({selector:?})?.innerText"
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text of an element is so.
    #[track_caller]
    pub fn wait_for(&self, selector: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        wait_for(&format!("another text of {selector}"), || {
            text = self.text(selector);
            is_so(&text)
        });
        text
    }

    /// `light` or `dark`, as the reader's system asks for it.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    pub fn set_size(&self, width: u64, height: u64) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// The window as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let taken = self.command("GET", "/screenshot", &Value::Null);
        BASE64_STANDARD.decode(taken.as_str().unwrap()).unwrap()
    }

    /// What scripts and rules of the page complained of since the last look. Answers that are no 200 are no complaint.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let messages = entries.as_array().unwrap().iter();
        let messages = messages.filter_map(|entry| entry["message"].as_str());
        let complaints = messages.filter(|message| !message.contains("Failed to load resource"));
        complaints.map(str::to_owned).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends the browser's processes; the driver alone would leave them.
        let _ = http_request("DELETE", &self.session, &[], b"");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
