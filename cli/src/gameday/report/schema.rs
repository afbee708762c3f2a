//! The schema of `report.json`, as it is published.

use serde_json::Value;

use super::model::Report;
use crate::schema::{assert_published, document};

fn schema() -> Value {
    // Whatever there is to say of it, the types do.
    document::<Report>("Report of a game day", |_, _| {})
}

#[test]
fn the_published_schema_is_the_generated_one() {
    assert_published("report.schema.json", &schema());
}

#[test]
fn every_reference_of_it_leads_somewhere() {
    let schema = schema();
    let text = schema.to_string();
    let mut references = text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap());
    assert!(references.clone().count() > 10);
    assert!(references.all(|to| schema.pointer(to).is_some()), "{text}");
}
