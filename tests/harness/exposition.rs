//! A page of metrics in OpenMetrics, as far as agents write it.

use std::collections::BTreeMap;

/// A metric with everything that is told of it.
#[derive(Debug, Default)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// # Panics
/// Where the page is none.
#[must_use]
pub fn families(page: &str) -> Vec<Family> {
    assert!(page.ends_with("\n# EOF\n"), "no end: {page}");
    let mut families = Vec::<Family>::new();
    for line in page.lines().take_while(|line| *line != "# EOF") {
        let Some(told) = line.strip_prefix("# ") else {
            families.last_mut().expect("a name comes first").samples.push(sample(line));
            continue;
        };
        let [what, name, rest] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if what == "HELP" {
            families.push(Family { name: name.to_owned(), help: rest.to_owned(), ..Family::default() });
            continue;
        }
        let family = families.last_mut().filter(|family| family.name == name);
        let family = family.unwrap_or_else(|| panic!("out of place: {line}"));
        match what {
            "TYPE" => family.kind = rest.to_owned(),
            "UNIT" => family.unit = Some(rest.to_owned()),
            other => panic!("{other}: {line}"),
        }
    }
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
    // No value of ours has a comma or a quote in it.
    let label = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (name.to_owned(), value.unwrap_or_else(|| panic!("no quotes: {line}")).to_owned())
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(label).collect();
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    Sample { name: name.to_owned(), labels, value }
}

/// The value of a series, written as it is asked for in PromQL.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn value(page: &str, series: &str) -> f64 {
    let wanted = sample(&format!("{series} 0"));
    let all = families(page);
    let mut samples = all.iter().flat_map(|family| &family.samples);
    let found = samples.find(|sample| sample.name == wanted.name && sample.labels == wanted.labels);
    found.unwrap_or_else(|| panic!("no {series} in\n{page}")).value
}
