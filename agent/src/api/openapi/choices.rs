//! Names for what a value may be one of. An enum of Rust comes as a list of choices without names, and whoever makes a client of
//! the description would have to make some up: `KindType0`.
//!
//! A choice becomes a type of its own: `{"loss": {...}}` of `Kind` is `KindLoss`, with a `Loss` in it, or whatever the title of
//! the choice says; `{"is": "mismatch", ...}` of `Verdict` is `VerdictMismatch`. A single word stays where it is, as a constant.

use serde_json::{Map, Value, json};

/// In every type of the document.
pub fn name(document: &mut Value) {
    let Some(types) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    let names = types.keys().cloned().collect::<Vec<_>>();
    let mut named = Map::new();
    for name in names {
        let Some(schema) = types.get_mut(&name) else { continue };
        let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { continue };
        let mut tags = Vec::new();
        for choice in choices {
            if let Some(tag) = name_choice(&name, choice, &mut named) {
                tags.push((tag, choice["$ref"].clone()));
            }
        }
        discriminate(schema, tags);
    }
    debug_assert!(
        named.keys().all(|name| !types.contains_key(name)),
        "a choice is called as a type: give it a title"
    );
    types.append(&mut named);
}

/// A field with one value that it can have, and the value.
struct Tag {
    field: String,
    value: String,
}

/// Leaves a reference or a constant in its place.
fn name_choice(of: &str, choice: &mut Value, named: &mut Map<String, Value>) -> Option<Tag> {
    if let Some(word) = only_word(choice) {
        constant(choice, &word);
        return None;
    }
    if let Some(tag) = tag(choice) {
        refer(choice, format!("{of}{}", pascal(&tag.value)), named);
        return Some(tag);
    }
    let key = only_key(choice)?;
    let inner = choice.as_object_mut()?.remove("title");
    let inner = inner.as_ref().and_then(Value::as_str).map_or_else(|| pascal(&key), str::to_owned);
    // serde takes one variant, and of its fields those that it knows.
    choice["additionalProperties"] = json!(false);
    let fields = &mut choice["properties"][&key];
    if fields["type"] == "object" {
        fields["additionalProperties"] = json!(false);
        refer(fields, inner, named);
    }
    refer(choice, format!("{of}{}", pascal(&key)), named);
    None
}

fn refer(schema: &mut Value, name: String, named: &mut Map<String, Value>) {
    let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
    debug_assert!(!named.contains_key(&name), "two choices are called {name}: give one a title");
    named.insert(name, std::mem::replace(schema, reference));
}

/// Of a string that can only be this one.
fn only_word(schema: &Value) -> Option<String> {
    match schema.get("enum")?.as_array()?.as_slice() {
        [word] => word.as_str().map(str::to_owned),
        _ => None,
    }
}

fn constant(schema: &mut Value, word: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("enum");
        schema.insert("const".to_owned(), json!(word));
    }
}

/// Finds the tag, which may be in a part of the choice, and makes it a constant.
fn tag(choice: &mut Value) -> Option<Tag> {
    if let Some(parts) = choice.get_mut("allOf").and_then(Value::as_array_mut) {
        return parts.iter_mut().find_map(tag);
    }
    choice.get_mut("properties")?.as_object_mut()?.iter_mut().find_map(|(field, schema)| {
        let value = only_word(schema)?;
        constant(schema, &value);
        Some(Tag { field: field.clone(), value })
    })
}

/// Of an object with one field.
fn only_key(choice: &Value) -> Option<String> {
    let mut keys = choice.get("properties")?.as_object()?.keys();
    keys.next().filter(|_| keys.next().is_none()).cloned()
}

/// Says by which field to tell the choices apart, where there is one.
fn discriminate(schema: &mut Value, tags: Vec<(Tag, Value)>) {
    let Some((Tag { field, .. }, _)) = tags.first() else { return };
    let mut discriminator = json!({ "propertyName": field });
    discriminator["mapping"] =
        tags.into_iter().map(|(tag, to)| (tag.value, to)).collect::<Map<_, _>>().into();
    schema["discriminator"] = discriminator;
}

/// `loss_gemodel` as `LossGemodel`.
fn pascal(word: &str) -> String {
    let capital = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    };
    word.split('_').map(capital).collect()
}
