//! The schema of `report.json`, as it is published.

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::model::Report;

/// JSON Schema 2020-12.
pub fn schema() -> Value {
    let mut parts = Vec::new();
    Report::schemas(&mut parts);
    let parts = parts.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let mut schema = serde_json::to_value(Report::schema()).unwrap();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Report of a game day");
    schema["$defs"] = serde_json::to_value(parts).unwrap();
    // As an OpenAPI document has them.
    let text = schema.to_string().replace("#/components/schemas/", "#/$defs/");
    serde_json::from_str(&text).unwrap()
}

mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_published_schema_is_the_generated_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gamedays/report.schema.json");
        let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
            std::fs::write(&path, &generated).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == generated,
            "docs/gamedays/report.schema.json is out of date: UPDATE_SCHEMAS=1 cargo test -p partition-agent --lib schema"
        );
    }

    #[test]
    fn every_reference_of_it_leads_somewhere() {
        let schema = schema();
        let text = schema.to_string();
        let mut references = text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap());
        assert!(references.clone().count() > 10);
        assert!(references.all(|to| schema.pointer(to).is_some()), "{text}");
    }
}
