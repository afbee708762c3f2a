//! The keys of `fleet.toml`, for people and as a JSON schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{RawHost, RawLink, RawServer, RawService, Sources, TlsFiles};
use crate::schema::document;

/// Who the hosts of a fleet are, and what they are called together.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the file is read a key at a time, so that every mistake has its line")]
struct Keys {
    /// File with the token of the agents, beside this file where the path is relative.
    #[schema(required = false)]
    token_file: String,
    /// No more than this share of a group may be hit at once, unless the command says so.
    #[schema(required = false, default = "66%")]
    max_share: String,
    /// Speak TLS with the agents; an empty table, too.
    #[schema(required = false)]
    tls: TlsFiles,
    /// The port of agents whose host names no other.
    #[schema(required = false, default = 7433)]
    port: u16,
    /// More hosts, one source or a list of them, written as for `--fleet`.
    #[schema(required = false, inline, examples("consul:http://127.0.0.1:8500/web"))]
    from: Sources,
    /// The hosts, by name.
    #[schema(required = false)]
    hosts: BTreeMap<String, RawHost>,
    /// Named groups of hosts, beside those that labels make.
    #[schema(required = false, examples(json!({"db": "pg-*"})))]
    groups: BTreeMap<String, String>,
    /// What hosts offer, by name.
    #[schema(required = false)]
    services: BTreeMap<String, RawService>,
    /// Ways between hosts, and from hosts to services, by name.
    #[schema(required = false)]
    links: BTreeMap<String, RawLink>,
    /// What runs on the hosts of a lab, by name.
    #[schema(required = false)]
    lab: BTreeMap<String, RawServer>,
}

/// Of `fleet.toml`, as a JSON schema.
#[must_use]
pub fn file_schema() -> Value {
    document::<Keys>("Fleet of partition-agent", |name, schema| {
        if name == "Keys" {
            schema["additionalProperties"] = json!(false);
        }
        let keys = schema.get_mut("properties").and_then(Value::as_object_mut);
        keys.into_iter().flat_map(|keys| keys.values_mut()).for_each(join);
    })
}

/// What utoipa says of a schema that stands in place is a second one beside it, and an object's: makes one of both.
fn join(key: &mut Value) {
    let Some([schema, said]) = key.get("allOf").and_then(Value::as_array).map(Vec::as_slice) else { return };
    let (Some(schema), Some(said)) = (schema.as_object(), said.as_object()) else { return };
    let said = said.iter().filter(|(word, _)| *word != "type").chain(schema);
    *key = said.map(|(word, value)| (word.clone(), value.clone())).collect::<Map<_, _>>().into();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use partition_agent_proto::fleet::Fleet;

    use super::super::FleetFile;
    use super::*;
    use crate::fleet::DEFAULT_PORT;

    #[test]
    fn the_keys_are_those_that_are_read() {
        let schema = file_schema();
        let mut keys = schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let wrong =
            FleetFile::read(Path::new("fleet.toml"), "nonsense = 1", false).map(|file| file.lines.mistakes());
        let wrong = wrong.unwrap().concat();
        let (_, known) = wrong.split_once("a fleet file has ").unwrap();
        let known = known.trim_end().replace(" and ", ", ");
        let mut known = known.split(", ").map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(schema["properties"]["port"]["default"], DEFAULT_PORT);
        assert_eq!(schema["properties"]["max_share"]["default"], Fleet::default().max_share.to_string());
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
        for key in &keys {
            let text = format!("{key} = {{}}");
            let mistakes = match FleetFile::read(Path::new("fleet.toml"), &text, false) {
                Ok(file) => file.lines.mistakes(),
                Err(mistakes) => mistakes,
            };
            assert!(!mistakes.concat().contains("unknown key"), "{key}: {mistakes:?}");
        }
    }
}
