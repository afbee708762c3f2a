//! A real browser: Chromium, without a window, on a host of the lab. It is driven by its DevTools protocol over a pair of pipes, where
//! a message is JSON with a NUL after it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab::Host;

/// A page takes it two seconds; a machine that is busy with other tests much longer.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Chromium's own flags, with a profile in this directory; its helpers are in a process group with it.
#[must_use]
pub fn chromium(profile: &Path, size: (u32, u32)) -> Command {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={},{}", size.0, size.1))
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// The browser with one page; gone, with all its processes, when this is dropped.
pub struct Browser {
    child: Child,
    orders: File,
    messages: Receiver<Value>,
    /// The page's, once there is one.
    session: Option<String>,
    last: u64,
    /// What the browser told by itself, in order.
    told: Vec<Value>,
    dir: TempDir,
}

impl Browser {
    /// # Panics
    /// Where Chromium cannot be started.
    #[must_use]
    pub fn on(host: &Host, size: (u32, u32)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let [orders, answers] = ["orders", "answers"].map(|name| dir.path().join(name));
        for pipe in [&orders, &answers] {
            mkfifo(pipe, Mode::S_IRWXU).expect("a pipe can be made");
        }
        let log = File::create(dir.path().join("log")).expect("a file");
        let plain = chromium(dir.path(), size);
        // It takes the pipes as descriptors 3 and 4, which a shell can give it without unsafe code.
        let mut shell = Command::new("bash");
        shell
            .args(["-c", r#"exec "$@" 3<"$0/orders" 4>"$0/answers""#])
            .arg(dir.path())
            .arg(plain.get_program())
            .args(plain.get_args())
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        let child = host.run(|| shell.spawn()).expect("bash is there");
        // In the order in which the shell opens them: each waits for the other end.
        let orders = File::options().write(true).open(orders).expect("a pipe");
        let answers = File::open(answers).expect("a pipe");
        let mut browser =
            Self { child, orders, messages: reader(answers), session: None, last: 0, told: Vec::new(), dir };
        let page = json!({ "url": "about:blank" });
        let target = browser.call("Target.createTarget", &page)["targetId"].clone();
        let session = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.resize(size);
        browser
    }

    /// An order of the protocol, and what it came to.
    ///
    /// # Panics
    /// Where the browser refuses it, or has ended.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            order["sessionId"] = session.clone().into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).expect("the browser reads");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{method}: {error}: {}", self.log()));
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method} {parameters}: {message}");
                return message["result"].clone();
            }
            self.told.push(message);
        }
    }

    /// What the browser told of this, so far: the parameters of each.
    pub fn told(&mut self, method: &str) -> Vec<Value> {
        self.told.extend(self.messages.try_iter());
        let of = self.told.iter().filter(|message| message["method"] == method);
        of.map(|message| message["params"].clone()).collect()
    }

    /// Opens an address, and returns when it is loaded.
    pub fn open(&mut self, url: &str) {
        let before = self.told("Page.loadEventFired").len();
        let opened = self.call("Page.navigate", &json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.wait(url, |browser| browser.told("Page.loadEventFired").len() > before);
    }

    /// What an expression is in the page, as JSON.
    ///
    /// # Panics
    /// Where it throws.
    pub fn ask(&mut self, expression: &str) -> Value {
        let how = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &how);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Until an expression is true in the page.
    pub fn until(&mut self, expression: &str) {
        self.wait(expression, |browser| browser.ask(expression) == Value::Bool(true));
    }

    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let page = if begun.elapsed() > PATIENCE { self.text() } else { Value::Null };
            assert!(begun.elapsed() <= PATIENCE, "not within {PATIENCE:?}: {what}; the page: {page}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that a reader sees.
    pub fn text(&mut self) -> Value {
        self.ask("document.body.innerText")
    }

    /// A key by its name, such as `Tab`, as a keyboard presses it.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            "ArrowRight" => (39, ""),
            other => panic!("a key that no test needs yet: {other}"),
        };
        self.key(json!({ "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text }));
    }

    /// A letter with keys held down: Alt is 1, Control 2, Meta 4, Shift 8, or their sum.
    pub fn chord(&mut self, letter: char, held: u32) {
        let code = u32::from(letter.to_ascii_uppercase());
        self.key(json!({ "key": letter.to_string(), "code": format!("Key{}", letter.to_ascii_uppercase()),
                         "windowsVirtualKeyCode": code, "modifiers": held }));
    }

    fn key(&mut self, mut key: Value) {
        for what in ["keyDown", "keyUp"] {
            key["type"] = what.into();
            self.call("Input.dispatchKeyEvent", &key);
        }
    }

    /// Writes where the focus is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// A window of that size, in pixels.
    pub fn resize(&mut self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What its user prefers, such as `prefers-color-scheme`, `dark`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        let media = json!({ "features": [{ "name": feature, "value": value }] });
        self.call("Emulation.setEmulatedMedia", &media);
    }

    /// A picture of what the window shows.
    pub fn picture(&mut self, to: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let text = self.dir.path().join("picture");
        std::fs::write(&text, shot["data"].as_str().expect("a picture")).expect("a file");
        let png = File::create(to).expect("a file");
        let decoded = Command::new("base64").arg("--decode").arg(&text).stdout(png).status();
        assert!(decoded.expect("coreutils are there").success());
    }

    /// What the page and the browser have complained about: uncaught errors, `console.*`, and what the browser itself says in the
    /// console, such as of a blocked or failed request.
    pub fn complaints(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(
            self.told("Runtime.exceptionThrown").iter().map(|thrown| thrown["exceptionDetails"].to_string()),
        );
        all.extend(self.told("Runtime.consoleAPICalled").iter().map(|said| said["args"].to_string()));
        let entry = |added: &Value| format!("{} {}", added["entry"]["text"], added["entry"]["url"]);
        all.extend(self.told("Log.entryAdded").iter().map(entry));
        all
    }

    /// Every address that the page has asked for.
    pub fn asked_for(&mut self) -> Vec<String> {
        let sent = self.told("Network.requestWillBeSent");
        sent.iter().filter_map(|request| request["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// The messages, from a thread that reads them until the browser has ended.
fn reader(answers: File) -> Receiver<Value> {
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        let mut answers = BufReader::new(answers);
        let mut message = Vec::new();
        while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
            message.pop();
            let parsed = serde_json::from_slice(&message).expect("the browser speaks JSON");
            message.clear();
            if sender.send(parsed).is_err() {
                return;
            }
        }
    });
    messages
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own group, of which it is the first.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
