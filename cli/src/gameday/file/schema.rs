//! The JSON schema of the file, for editors: made of the types that read it, and of what the checks know about keys that go together.

use serde_json::{Map, Value, json};

use super::probes::{COMPARISONS, GOES_WITH, QUESTIONS};
use super::raw::RawDay;
use super::steps::ACTIONS;
use crate::schema::document;

/// What the types cannot say, as every key may be missing where a file is read.
const REQUIRED: [(&str, &[&str]); 7] = [
    ("GameDay", &["name"]),
    ("Scenario", &["timeline"]),
    ("Step", &["at"]),
    ("Guard", &["when"]),
    ("Marker", &["write", "read"]),
    ("Hook", &["on"]),
    ("JsonValue", &["path"]),
];

/// Lists that may be written as the one thing that is in them.
const OR_ONE: [(&str, &str); 11] = [
    ("GameDay", "participants"),
    ("GameDay", "steady"),
    ("GameDay", "always"),
    ("GameDay", "questions"),
    ("Scenario", "steady"),
    ("Scenario", "always"),
    ("Recovery", "holds"),
    ("Step", "restore"),
    ("Step", "expect"),
    ("Hook", "on"),
    ("Probe", "status"),
];

/// Exactly one of these keys.
const ONE_OF: [(&str, &[&str]); 5] = [
    ("GameDay", &["timeline", "scenarios"]),
    ("Probe", &QUESTIONS),
    ("JsonValue", &COMPARISONS),
    ("Comparison", &COMPARISONS),
    ("Hook", &["slack", "command"]),
];

/// In JSON Schema 2020-12.
pub fn schema() -> Value {
    let mut schema = document::<RawDay>("Game day of partition-agent", tell);
    // Whatever a condition can name.
    schema["properties"]["probes"]["propertyNames"] =
        json!({ "pattern": "^\\S+$", "not": { "const": "not" } });
    schema
}

/// What this type has to say beside its keys.
fn tell(name: &str, schema: &mut Value) {
    if schema.get("properties").is_none() {
        return;
    }
    let of = |(of, keys): (&str, &'static [&'static str])| (of == name).then_some(keys);
    let required = REQUIRED.into_iter().find_map(of).unwrap_or_default();
    if let Some(object) = schema.as_object_mut() {
        object.remove("required");
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    for (_, key) in OR_ONE.into_iter().filter(|(of, _)| *of == name) {
        let list = &mut schema["properties"][key];
        let description =
            list.as_object_mut().and_then(|list| list.remove("description")).unwrap_or_default();
        let one = list["items"].clone();
        *list = json!({ "description": description, "anyOf": [one, list.take()] });
    }
    let has = |key: &str| json!({ "required": [key] });
    if let Some(keys) = ONE_OF.into_iter().find_map(of) {
        schema["oneOf"] = keys.iter().map(|key| has(key)).collect();
    }
    match name {
        "Probe" => {
            let with = GOES_WITH.into_iter().chain([("prometheus", &["query"][..])]);
            let one = with.clone().filter(|(_, with)| with.len() == 1);
            schema["dependentRequired"] =
                one.map(|(key, with)| (key.to_owned(), json!(with))).collect::<Map<_, _>>().into();
            let several = with.filter(|(_, with)| with.len() > 1);
            let several = several.map(|(key, with)| {
                let any = with.iter().map(|with| has(with)).collect::<Vec<_>>();
                (key.to_owned(), json!({ "anyOf": any }))
            });
            schema["dependentSchemas"] = several.collect::<Map<_, _>>().into();
        }
        "Step" => {
            let actions = ACTIONS.map(has);
            let only = json!({ "required": ["expect"], "not": { "anyOf": actions } });
            schema["oneOf"] = actions.into_iter().chain([only]).collect();
            schema["dependentRequired"] = json!({ "timeout": ["run"] });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
