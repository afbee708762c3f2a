//! The page of a report in a real browser: it says nothing in the console and asks for nothing, fits wide and narrow windows, and no
//! text in its charts is over another.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::report::{example_value, render};

/// A desk, a phone, and a desk at 400%.
const WIDTHS: [u32; 3] = [1_280, 360, 320];

const HOSTILE: [&str; 6] = [
    "<script>console.error('ran')</script>",
    "\"><img src=http://127.0.0.1:1/x onerror=console.error('ran')>",
    "</title></style></svg><body onload=console.error('ran')>",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
    "👩‍💻🔥 漢字漢字漢字漢字漢字漢字漢字 العربية \u{202e}dlrow",
    "a | b\n\n# c `d` &lt;",
];

/// Every text that is not one of ours by its place.
fn spoil(value: &mut Value, nth: &mut usize) {
    const OURS: [&str; 6] = ["kind", "outcome", "started_at", "when", "phases", "spans"];
    match value {
        Value::String(text) => {
            *text = HOSTILE[*nth % HOSTILE.len()].to_owned();
            *nth += 1;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, nth)),
        Value::Object(fields) => {
            fields
                .iter_mut()
                .filter(|(name, _)| !OURS.contains(&name.as_str()))
                .for_each(|(_, field)| spoil(field, nth));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hostile() -> Value {
    let mut value = example_value();
    spoil(&mut value, &mut 0);
    value
}

/// Four hours with 46 probes and 531 events.
fn long() -> Value {
    let mut value = example_value();
    let round = &mut value["rounds"][0];
    let events = round["events"].as_array_mut().unwrap();
    for nth in 0..500_u64 {
        let at = if nth % 2 == 0 { nth * 28_000 } else { 7_200_000 + nth * 120 };
        events.push(json!({ "at_ms": at, "kind": "probe", "text": format!("event {nth} of many") }));
    }
    events.sort_by_key(|event| event["at_ms"].as_u64());
    let probes = round["probes"].as_array_mut().unwrap();
    for nth in 0..40_u64 {
        let mut probe = probes[0].clone();
        probe["name"] = format!("service-{nth}-in-the-far-region").into();
        let flaps = (0..nth * 3).map(|flap| {
            let (what, from) = (if flap % 2 == 0 { "fails" } else { "holds" }, 1_002_400 + flap * 100_000);
            json!({ "what": what, "from_ms": from, "to_ms": from + 100_000 })
        });
        probe["spans"].as_array_mut().unwrap().extend(flaps);
        probes.push(probe);
    }
    value
}

fn pages(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    let page = |(name, value): (&'static str, Value)| {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        (name, render(&value, &dir))
    };
    [("example", example_value()), ("hostile", hostile()), ("long", long())].into_iter().map(page).collect()
}

#[derive(Debug, Deserialize)]
struct Look {
    /// Of the window.
    width: f64,
    /// Of all that is in it.
    needs: f64,
    /// Which charts are shown.
    shown: Vec<String>,
    /// Pairs of texts in a chart that are over each other.
    overlaps: Vec<String>,
    /// Texts that are not all in their chart.
    outside: Vec<String>,
    ground: String,
}

const LOOK: &str = r#"
    const charts = [...document.querySelectorAll("figure > svg")].filter(svg => svg.getClientRects().length);
    const overlaps = [], outside = [];
    for (const chart of charts) {
        const frame = chart.viewBox.baseVal;
        const boxes = [...chart.querySelectorAll("text")].map(text => [text.firstChild.data || "", text.getBBox()]);
        for (const [name, box] of boxes) {
            // Of a picture that is made smaller, letters are rounded to pixels.
            if (box.x < -0.5 || box.x + box.width > frame.width + 0.5) outside.push(name);
        }
        for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
            const [a, b] = [boxes[i][1], boxes[j][1]];
            // Lines of text have air in them.
            const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
            const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
            if (across > 0.5 && down > 4) overlaps.push(boxes[i][0] + " / " + boxes[j][0]);
        }
    }
    return {
        width: window.innerWidth,
        needs: document.documentElement.scrollWidth,
        shown: charts.map(chart => chart.getAttribute("class")),
        overlaps, outside,
        ground: getComputedStyle(document.body).backgroundColor,
    };
"#;

#[test]
fn pages_fit_wide_and_narrow_windows() {
    if !harness::has_tool("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let browser = Browser::new();
    for (name, page) in pages(dir.path()) {
        for width in WIDTHS {
            let look: Look = browser.ask(&page, width, &[], LOOK);
            assert!(
                (look.width - f64::from(width)).abs() < 0.1,
                "the window is not as wide as it should be: {look:?}"
            );
            assert!(look.needs <= look.width, "{name} at {width}: {look:?}");
            assert_eq!(look.shown, [if width > 860 { "wide" } else { "narrow" }], "{name} at {width}");
            assert!(look.overlaps.is_empty() && look.outside.is_empty(), "{name} at {width}: {look:?}");
        }
    }
}

#[test]
fn a_page_is_dark_where_its_reader_wants_that() {
    if !harness::has_tool("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let page = render(&example_value(), dir.path());
    let ground = |setting: &str| {
        let look: Look = Browser::new().ask(&page, 1_280, &[setting], LOOK);
        look.ground
    };
    // Chromium's names for the two are numbers.
    assert_eq!(ground("--blink-settings=preferredColorScheme=1"), "rgb(255, 255, 255)");
    assert_eq!(ground("--blink-settings=preferredColorScheme=0"), "rgb(20, 23, 27)");
}

#[test]
fn pages_say_nothing_in_the_console_and_ask_for_nothing() {
    if !harness::has_tool("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let browser = Browser::new();
    // The page lets nothing be loaded, not even a file, and the console tells of each attempt.
    let console = |page: &Path| {
        let said = browser.open(page, (1_280, 800), &["--dump-dom"]);
        assert!(said.page.contains("</html>"), "{}", said.log);
        said.console().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, page) in pages(dir.path()) {
        assert_eq!(console(&page), Vec::<String>::new(), "{name}");
    }
    let style = dir.path().join("empty.css");
    std::fs::write(&style, "").unwrap();
    let text = std::fs::read_to_string(dir.path().join("example/report.html")).unwrap();
    let spoiled = dir.path().join("spoiled.html");
    for more in
        [format!("<link rel=stylesheet href=file://{}>", style.display()), "<script>1</script>".to_owned()]
    {
        std::fs::write(&spoiled, text.replace("</body>", &format!("{more}</body>"))).unwrap();
        assert_eq!(console(&spoiled).len(), 1, "{more}");
    }
}

#[test]
fn a_picture_of_a_page_shows_something() {
    if !harness::has_tool("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let browser = Browser::new();
    let blank = dir.path().join("blank.html");
    std::fs::write(&blank, "<!DOCTYPE html><title>blank</title>").unwrap();
    let nothing = browser.picture(&blank, (1_280, 1_000), &dir.path().join("blank.png"));
    for (name, page) in pages(dir.path()) {
        let picture = browser.picture(&page, (1_280, 1_000), &dir.path().join("page.png"));
        // One colour compresses to a few thousand bytes, letters and lines to a hundred thousand.
        assert!(picture > nothing * 5, "{name}: {picture} bytes, and {nothing} of nothing");
    }
}
