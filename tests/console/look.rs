//! How the page looks: it fits, and can be read, wide and narrow, light and dark.

use serde::Deserialize;

use crate::desk::{Desk, INJECTS, picture, shows};

/// A desk, the same at 200%, a phone, and a desk at 400%.
pub const WIDTHS: [u32; 4] = [1280, 640, 390, 320];

#[derive(Debug, Deserialize)]
pub struct Look {
    /// Of the window.
    pub width: f64,
    /// Of all that is in it.
    pub needs: f64,
    /// Texts that are too much like what is behind them, with the ratio.
    pub faint: Vec<String>,
    /// Boxes to write in, and buttons, without a name.
    pub nameless: Vec<String>,
    /// Whether the way out of everything is in the window.
    way_out: bool,
    ground: String,
}

/// Contrast as WCAG 2.2 has it, of every text that is seen: 4.5, or 3 where it is large.
pub const LOOK: &str = r#"(() => {
    const light = (rgb) => {
        const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(rgb[0]) + 0.7152 * part(rgb[1]) + 0.0722 * part(rgb[2]);
    };
    const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = rgba(getComputedStyle(node).backgroundColor);
            if (colour[3] === 1) return colour;
        }
        return [255, 255, 255, 1];
    };
    const faint = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const node = walk.currentNode, parent = node.parentElement;
        if (!node.data.trim() || !parent.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        if (parent.closest('.spoken, .skip, noscript, script, style, template, :disabled')) continue;
        const style = getComputedStyle(parent);
        const [one, other] = [light(rgba(style.color)), light(behind(parent))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
        if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${node.data.trim()}`);
    }
    const boxes = [...document.querySelectorAll('input, select, textarea, button')].filter((box) => box.checkVisibility());
    const nameless = boxes.filter((box) => !box.labels?.length && !box.getAttribute('aria-label') && !box.innerText?.trim());
    const out = document.getElementById('restore-all')?.getBoundingClientRect();
    return {
        width: innerWidth, needs: document.documentElement.scrollWidth, faint, nameless: nameless.map((box) => box.outerHTML),
        way_out: Boolean(out) && out.top >= 0 && out.left >= 0 && out.bottom <= innerHeight && out.right <= innerWidth,
        ground: getComputedStyle(document.body).backgroundColor,
    };
})()"#;

#[test]
fn it_fits_and_can_be_read_wide_and_narrow_light_and_dark() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::with("peers = { redis = ['10.77.1.2:6379'], ledger = ['10.77.2.2:5432'] }");
    let agent = desk.agent();
    for (id, spec) in [
        (
            "checkout-slow-ledger",
            r#"{"kinds":[{"delay":{"latency":"200ms","jitter":"20ms"}},{"loss":{"percent":2}}],"target":{"peers":["ledger"]},"direction":"egress","for":"25m","lease":"20m","engine":"emulator"}"#,
        ),
        (
            "cut-redis",
            r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["redis","10.77.1.2"]},"for":"5m"}"#,
        ),
        (
            "rehearsal",
            r#"{"kinds":[{"reject":{"with":"tcp_reset"}}],"target":{"local_ports":[8080],"state":"new"},"start_in":"10m","for":"10m"}"#,
        ),
    ] {
        agent.inject(id, spec);
    }
    for id in ["names-fail", "slow-start"] {
        agent.inject(id, r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["redis"]},"for":"10m"}"#);
        agent.restore(id);
    }
    desk.send(137, "10.77.1.2:9");
    desk.send(2_041, "10.77.2.2:5432");
    desk.enter(INJECTS);
    desk.browser.until(&shows("137 lost"));
    desk.browser.until(&shows(" shaped"));
    desk.browser.ask("document.getElementById('peers').value = 'redis'");
    desk.browser.ask("document.getElementById('fault-form').requestSubmit()");
    desk.browser.until("!document.getElementById('do-inject').disabled");
    for scheme in ["light", "dark"] {
        desk.browser.prefer("prefers-color-scheme", scheme);
        for width in WIDTHS {
            let height = if width > 1000 { 900 } else { 800 };
            desk.browser.resize((width, height));
            for part in ["top", "inject", "end"] {
                desk.browser.ask(match part {
                    "top" => "scrollTo(0, 0)",
                    "inject" => "document.getElementById('inject').scrollIntoView()",
                    _ => "scrollTo(0, document.documentElement.scrollHeight)",
                });
                picture(&mut desk.browser, &format!("{scheme}-{width}-{part}"));
                let look: Look = serde_json::from_value(desk.browser.ask(LOOK)).unwrap();
                assert!((look.width - f64::from(width)).abs() < 0.1, "{scheme} {width}: {look:?}");
                assert!(look.needs <= look.width, "{scheme} {width} {part}: {look:?}");
                assert!(
                    look.faint.is_empty() && look.nameless.is_empty(),
                    "{scheme} {width} {part}: {look:?}"
                );
                assert!(look.way_out, "{scheme} {width} {part}: {look:?}");
                let ground = if scheme == "light" { "rgb(244, 245, 247)" } else { "rgb(15, 18, 22)" };
                assert_eq!(look.ground, ground);
            }
        }
    }
    // Those of the documentation.
    for (scheme, size, name) in [("light", (1280, 1250), "console"), ("dark", (390, 844), "console-narrow")] {
        desk.browser.prefer("prefers-color-scheme", scheme);
        desk.browser.resize(size);
        desk.browser.ask("scrollTo(0, 0)");
        picture(&mut desk.browser, name);
    }
    let moves = "getComputedStyle(document.querySelector('.dot')).animationName";
    assert_eq!(desk.browser.ask(moves), "breathe");
    desk.browser.prefer("prefers-reduced-motion", "reduce");
    assert_eq!(desk.browser.ask(moves), "none");
    // Once the page was not known, which the browser tells of.
    assert_eq!(desk.complaints(&[401]), Vec::<String>::new());
}
