//! JSON schemas of files, made of the types that read or write them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The schema of a document that is a `T`, in JSON Schema 2020-12. `tell` adds what the types cannot say, to each by its name.
pub fn document<T: ToSchema>(title: &str, tell: impl Fn(&str, &mut Value)) -> Value {
    let mut types = Vec::new();
    T::schemas(&mut types);
    let root = T::name();
    let types = types.into_iter().chain([(root.to_string(), T::schema())]);
    let types = types.map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()));
    let mut types = types.collect::<BTreeMap<_, _>>();
    for (name, schema) in &mut types {
        refer(schema);
        tell(name, schema);
    }
    let mut root = types.remove(root.as_ref()).unwrap_or_default();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!(title);
    root["$defs"] = types.into_iter().collect::<Map<_, _>>().into();
    root
}

/// OpenAPI has its types somewhere else.
fn refer(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(to) if key == "$ref" => {
                        *to = to.replace("#/components/schemas/", "#/$defs/");
                    }
                    value => refer(value),
                }
            }
        }
        Value::Array(array) => array.iter_mut().for_each(refer),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fails where the file in `docs/gamedays` is another than the schema.
#[cfg(test)]
pub fn assert_published(name: &str, schema: &Value) {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gamedays");
    let generated = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
        std::fs::write(docs.join(name), &generated).unwrap();
    }
    assert!(
        std::fs::read_to_string(docs.join(name)).unwrap_or_default() == generated,
        "docs/gamedays/{name} is out of date: UPDATE_SCHEMAS=1 cargo test -p partition-agent --lib schema"
    );
}
