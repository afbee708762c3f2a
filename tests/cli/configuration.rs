//! `docs/reference/configuration.md` and the schemas beside it: made of the types that read the files.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use partition_agent_cli::reference::{agent_schema, file_schema};
use serde_json::{Map, Value};

const HEAD: &str = "\
# Configuration files

Every key of [`agent.toml`](#agenttoml), which an agent reads, and of [`fleet.toml`](#fleettoml), which says who the hosts of a fleet
are. An unknown key is an error. This page is made of the types that read the files: see [testing.md](../testing.md) before you
change it. What to do with them is in the [guide](../guide.md#configuration) and in [fleet.md](../fleet.md).

Editors complete and check the files by [agent.schema.json](agent.schema.json) and [fleet.schema.json](fleet.schema.json). With Taplo
and what builds on it, the first line of a file names its schema: `#:schema agent.schema.json`.

A time is text such as `90s`, `1h30m` or `200ms`.
";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

fn name_of(schema: &Value) -> Option<&str> {
    // A reference with a default or a description of its own is one of a list.
    let wrapped = ["oneOf", "allOf"]
        .iter()
        .filter_map(|list| schema[*list].as_array()?.iter().find_map(name_of))
        .next();
    schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()).or(wrapped)
}

/// The type that a schema refers to, or itself.
fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    name_of(schema).map_or(schema, |name| &root["$defs"][name])
}

/// Of what sort a value is, for people.
fn sort(root: &Value, schema: &Value) -> String {
    let schema = followed(root, schema);
    if let Some(list) = schema["oneOf"].as_array() {
        let mut sorts = list.iter().map(|one| sort(root, one)).collect::<Vec<_>>();
        sorts.dedup();
        return sorts.join(" or ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", sort(root, &schema["items"])),
        Some("object") if schema["properties"].is_object() => "table".to_owned(),
        Some("object") => format!("table of {}", sort(root, &schema["additionalProperties"])),
        Some("string") => "text".to_owned(),
        Some(sort) => sort.to_owned(),
        None => panic!("no type: {schema}"),
    }
}

/// As it is written in TOML.
fn written(value: &Value) -> String {
    let value = toml::Value::try_from(value).unwrap().to_string();
    format!("`{}`", value.replace('|', "\\|"))
}

/// Least and most, or every choice.
fn range(root: &Value, schema: &Value) -> String {
    let schema = followed(root, schema);
    if schema["type"] == "array" {
        return range(root, &schema["items"]);
    }
    if let Some(choices) = schema["enum"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let words =
            choices.iter().filter_map(|choice| choice.as_str().or_else(|| choice["enum"][0].as_str()));
        return words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ if schema["format"] == "int32" || schema["format"] == "uint16" => "0 to 65535".to_owned(),
        _ => String::new(),
    }
}

fn default(schema: &Value, is_required: bool) -> String {
    match &schema["default"] {
        _ if is_required => "*required*".to_owned(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Object(keys) if !keys.is_empty() => "see below".to_owned(),
        Value::Null | Value::Object(_) => "none".to_owned(),
        value => written(value),
    }
}

/// Texts of the schema, in one line.
fn told(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn example(schema: &Value) -> String {
    let examples = schema["examples"].as_array().or_else(|| schema["items"]["examples"].as_array());
    let example = examples.and_then(|examples| examples.first());
    example.map(|example| format!(" Such as {}", written(example))).unwrap_or_default()
}

/// A table of the keys of a schema, and one for each table below it.
fn keys(page: &mut String, root: &Value, schema: &Value, path: &str) {
    let properties: &Map<_, _> = schema["properties"].as_object().unwrap();
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect::<BTreeSet<_>>();
    page.push_str("\n| Key | Value | Default | Range | What it does |\n| --- | --- | --- | --- | --- |\n");
    for (key, schema) in properties {
        let default = default(schema, required.contains(key.as_str()));
        let (sort, range, what) = (sort(root, schema), range(root, schema), told(schema));
        writeln!(page, "| `{key}` | {sort} | {default} | {range} | {what}{} |", example(schema)).unwrap();
    }
    for (key, schema) in properties {
        let found = followed(root, schema);
        let (below, title) = match found["type"].as_str() {
            Some("array") => (followed(root, &found["items"]), format!("[[{path}{key}]]")),
            Some("object") if found["properties"].is_null() => {
                (followed(root, &found["additionalProperties"]), format!("[{path}{key}.NAME]"))
            }
            _ => (found, format!("[{path}{key}]")),
        };
        if below["properties"].is_object() {
            write!(page, "\n### `{title}`\n\n{}\n", told(below)).unwrap();
            keys(page, root, below, &format!("{path}{key}."));
        }
    }
}

fn generated() -> String {
    let mut page = HEAD.to_owned();
    for (name, schema) in [("agent.toml", agent_schema()), ("fleet.toml", file_schema())] {
        write!(page, "\n## {name}\n\n{}\n", told(&schema)).unwrap();
        keys(&mut page, &schema, &schema, "");
    }
    page
}

fn assert_published(name: &str, generated: &str) {
    let path = docs().join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some_and(|value| value == "1") {
        std::fs::write(&path, generated).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == generated,
        "docs/reference/{name} is out of date: UPDATE_REFERENCE=1 cargo test -p partition-agent-tests --test cli reference"
    );
}

#[test]
fn the_published_reference_of_files_is_the_generated_one() {
    assert_published("configuration.md", &generated());
    for (name, schema) in [("agent.schema.json", agent_schema()), ("fleet.schema.json", file_schema())] {
        assert_published(name, &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
    }
}

/// Every table of the schema, by its name.
fn tables(schema: &Value) -> Vec<(String, &Value)> {
    let defs = schema["$defs"].as_object().unwrap().iter().map(|(name, schema)| (name.clone(), schema));
    let all = std::iter::once(("file".to_owned(), schema)).chain(defs);
    all.filter(|(_, schema)| schema["properties"].is_object()).collect()
}

#[test]
fn every_key_of_the_reference_says_what_it_does_and_no_other_is_known() {
    for (schema, least) in [(agent_schema(), 4), (file_schema(), 6)] {
        let tables = tables(&schema);
        assert!(tables.len() >= least, "{schema}");
        for (name, table) in tables {
            assert_eq!(table["additionalProperties"], false, "{name}");
            for (key, schema) in table["properties"].as_object().unwrap() {
                assert!(!told(schema).is_empty(), "{name}.{key} says nothing");
            }
        }
    }
}

/// Somebody else's reading of the schema.
fn misfit(schema: &Value, file: &str) -> Option<String> {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("file.schema.json", schema.clone()).unwrap();
    let compiled = compiler.compile("file.schema.json", &mut schemas).unwrap();
    let file = serde_json::to_value(toml::from_str::<toml::Value>(file).unwrap()).unwrap();
    schemas.validate(&file, compiled).err().map(|error| error.to_string())
}

#[test]
fn files_fit_the_schema_of_the_reference_and_mistakes_do_not() {
    let (agent, fleet) = (agent_schema(), file_schema());
    let shipped = include_str!("../../systemd/agent.toml");
    let full = "
        listen = '10.0.0.11:7433'
        token_file = '/t'
        probe_port = 0
        [[tokens]]
        name = 'grafana'
        file = '/g'
        role = 'observe'
        [tls]
        cert = '/c'
        key = '/k'
        [policy]
        hours = ['Mon-Fri 09:00-17:00']
        protected_networks = ['10.0.9.0/24']
        [peers]
        redis = ['10.0.0.5:6379']";
    let hosts = "
        token_file = 'token'
        max_share = '50%'
        from = ['srv:web.example']
        [tls]
        [hosts.a]
        address = '10.0.0.1'
        agent = false
        labels = { zone = 'a' }
        [hosts.b]
        address = ['10.0.0.2', 'fd00::2']
        [groups]
        db = 'a,b'
        [services.pg]
        hosts = '@db'
        ports = [5432, '6000-6010']
        [links.l]
        from = 'b'
        to = 'pg'
        [lab.pg]
        command = 'true'";
    for (schema, file) in [(&agent, shipped), (&agent, full), (&agent, ""), (&fleet, hosts), (&fleet, "")] {
        assert_eq!(misfit(schema, file), None, "{file}");
    }
    for (schema, file) in [
        (&agent, "lisen = '10.0.0.11:7433'"),
        (&agent, "most_connections = 0"),
        (&agent, "most_connections = 4097"),
        (&agent, "[policy]\nmost_faults = 1001"),
        (&agent, "[policy]\nkinds = ['los']"),
        (&agent, "[[tokens]]\nname = 'a'\nfile = '/t'\nrole = 'all'"),
        (&agent, "[tls]\ncert = '/c'"),
        (&fleet, "[hosts.a]\nadress = '10.0.0.1'"),
        (&fleet, "[links.l]\nfrom = 'a'"),
        (&fleet, "[services.pg]\nports = 0"),
        (&fleet, "[lab.pg]\nready = 'true'"),
        (&fleet, "port = 'x'"),
    ] {
        assert!(misfit(schema, file).is_some(), "{file}");
    }
}
