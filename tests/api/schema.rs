//! As much of JSON Schema as the document uses, strictly: a field that a schema does not name does not fit it, unless it names none.

use serde_json::Value;

/// The first thing in the value that does not fit.
pub fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema.get("$ref") {
        let reference = reference.as_str().unwrap();
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        return misfit(document, schema, value).map(|found| format!("{reference}: {found}"));
    }
    if let Some(parts) = schema.get("allOf") {
        return misfit(document, &all_of(document, parts.as_array().unwrap()), value);
    }
    if let Some(choices) = schema.get("oneOf") {
        let misfits = choices.as_array().unwrap().iter().map(|choice| misfit(document, choice, value));
        let misfits = misfits.collect::<Option<Vec<_>>>()?;
        return Some(format!("{value} is none of: {}", misfits.join("; ")));
    }
    if let Some(known) = schema.get("enum")
        && !known.as_array().unwrap().contains(value)
    {
        return Some(format!("{value} is not in {known}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{value} is not {}", schema["const"]));
    }
    if !types(schema).iter().any(|name| is(value, name)) {
        return Some(format!("{value} is no {}", schema["type"]));
    }
    let beyond = |limit: &str, outside: fn(f64, f64) -> bool| {
        Some((value.as_f64()?, schema.get(limit)?.as_f64()?)).filter(|(value, limit)| outside(*value, *limit))
    };
    if beyond("minimum", |value, least| value < least)
        .or(beyond("maximum", |value, most| value > most))
        .is_some()
    {
        return Some(format!("{value} is out of range"));
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| misfit(document, &schema["items"], item)),
        Value::Object(_) if schema.get("properties").or(schema.get("additionalProperties")).is_none() => None,
        Value::Object(fields) => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let mut missing = required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
            if let Some(name) = missing.next() {
                return Some(format!("{name} is missing in {value}"));
            }
            fields.iter().find_map(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => misfit(document, schema, value).map(|found| format!("{name}: {found}")),
                None => Some(format!("{name} is not known")),
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Objects whose fields are those of one: each part by itself would not know the fields of the others.
fn all_of(document: &Value, parts: &[Value]) -> Value {
    let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
    for part in parts {
        let reference = part.get("$ref").and_then(Value::as_str);
        let part = reference.map_or(part, |to| document.pointer(to.trim_start_matches('#')).unwrap());
        assert_eq!(part["type"], "object");
        properties.extend(part["properties"].as_object().unwrap().clone());
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required })
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the document has a type {other}"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({"a": {"type": "object", "required": ["n"], "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 9},
        "o": {"type": "object"}, "c": {"type": "string", "const": "x"},
        "l": {"type": "array", "items": {"oneOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}}}}});
    let of = |json: &str| {
        let value = serde_json::from_str(json).unwrap();
        misfit(&document, &serde_json::json!({"$ref": "#/a"}), &value)
    };
    assert_eq!(of(r#"{"n":1,"l":["x",null],"o":{"a":1},"c":"x"}"#), None);
    for json in [
        "{}",
        "[]",
        r#"{"n":0}"#,
        r#"{"n":10}"#,
        r#"{"n":"1"}"#,
        r#"{"n":1,"m":1}"#,
        r#"{"n":1,"l":["y"]}"#,
        r#"{"n":1,"c":"y"}"#,
    ] {
        assert!(of(json).is_some(), "{json}");
    }
}
