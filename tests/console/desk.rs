//! An agent on one host of the lab, and a browser on another, which reaches it over TCP.

use harness::agent::Agent;
use harness::browser::Browser;
use harness::fake_agent::write_token;
use harness::lab::Lab;
use serde_json::json;
use tempfile::TempDir;

/// The address of the agent that the browser's host has a link to.
pub const AT: &str = "10.77.2.1:7433";
pub const PAGE: &str = "http://10.77.2.1:7433/";

/// A desk.
pub const WIDE: (u32, u32) = (1280, 900);

/// Alt and Shift.
pub const HELD: u32 = 1 + 8;

/// Two tokens, by what their holders may do.
pub const INJECTS: &str = "the-token-that-injects";
pub const LOOKS: &str = "the-token-that-looks";

pub struct Desk {
    pub browser: Browser,
    /// Nobody, while it is dead.
    pub agent: Option<Agent>,
    pub lab: Lab,
    tokens: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more in the configuration of the agent.
    pub fn with(more: &str) -> Self {
        let lab = Lab::new();
        let tokens = tempfile::tempdir().unwrap();
        for token in [INJECTS, LOOKS] {
            write_token(&tokens.path().join(token), token);
        }
        let mut desk = Self { browser: Browser::on(&lab.db, WIDE), agent: None, lab, tokens };
        desk.start(more, tempfile::tempdir().unwrap());
        desk
    }

    /// In the directory of an earlier one, on a host with a name of its own.
    pub fn start(&mut self, more: &str, dir: TempDir) {
        let named = ["unshare", "--uts", "bash", "-c", r#"hostname web-1 && exec "$@""#, "bash"];
        self.agent = Some(Agent::start_by(&self.lab.app, &named, &self.config(more), dir));
    }

    pub fn config(&self, more: &str) -> String {
        let token = |name: &str, word: &str, role: &str| {
            let file = self.tokens.path().join(word);
            format!("[[tokens]]\nname = '{name}'\nfile = '{}'\nrole = '{role}'\n", file.display())
        };
        format!(
            "listen = '{AT}'\n{more}\n{}{}",
            token("alice", INJECTS, "inject"),
            token("board", LOOKS, "observe")
        )
    }

    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    /// Opens the page, and shows it a token.
    pub fn enter(&mut self, token: &str) {
        self.browser.open(PAGE);
        self.show(token);
        self.browser.until("document.getElementById('link-words').textContent === 'live'");
    }

    /// Writes a token where the page asks for one.
    pub fn show(&mut self, token: &str) {
        self.browser.until("document.activeElement.id === 'token'");
        self.browser.write(token);
        self.browser.press("Enter");
    }

    /// Goes on from one thing to the next until it is there, as whoever has no mouse does.
    pub fn tab_to(&mut self, id: &str) {
        for _ in 0..60 {
            if self.browser.ask("document.activeElement.id") == id {
                return;
            }
            self.browser.press("Tab");
        }
        panic!("{id} is not reached by Tab: {}", self.browser.text());
    }

    /// What `nft` shows of the agent on its host.
    pub fn rules(&self) -> String {
        self.lab.app.sh("nft list ruleset")
    }

    /// What the page had to complain about; but for questions that the agent was to refuse with these statuses, which the browser tells
    /// of by itself.
    pub fn complaints(&mut self, refused: &[u16]) -> Vec<String> {
        let mut refused = refused.to_vec();
        let mut complaints = self.browser.complaints();
        complaints.retain(|complaint| {
            let status =
                refused.iter().position(|status| complaint.contains(&format!("status of {status} ")));
            status.map(|nth| refused.remove(nth)).is_none()
        });
        complaints.extend(refused.iter().map(|status| format!("no {status} was told of")));
        complaints
    }

    /// Nothing but the agent was asked for anything.
    pub fn assert_asked_nobody_else(&mut self) {
        let asked = self.browser.asked_for();
        assert!(asked.len() > 5, "{asked:?}");
        for url in asked {
            assert!(url.starts_with(PAGE) || url.starts_with("data:image/svg+xml,"), "{url}");
        }
    }

    /// Datagrams from the agent's host.
    pub fn send(&self, count: u32, to: &str) {
        let socket = self.lab.app.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
        for _ in 0..count {
            socket.send_to(&[7; 100], to).unwrap();
        }
    }
}

/// Says in the page whether this text is in it.
pub fn shows(text: &str) -> String {
    format!("document.body.innerText.includes({})", json!(text))
}

/// A picture for somebody who wants to see it, where `PA_PICTURES` names a directory.
pub fn picture(browser: &mut Browser, name: &str) {
    if let Some(dir) = std::env::var_os("PA_PICTURES") {
        let path = std::path::Path::new(&dir).join(format!("{name}.png"));
        browser.picture(&path);
    }
}
