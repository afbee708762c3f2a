//! A report that was written before.

use std::path::Path;

use serde::Deserialize;

use super::clean::cleaned;
use super::model::Report;

/// All that is looked at before its format is known.
#[derive(Deserialize)]
struct Any {
    format: u32,
}

/// Without characters that cannot be shown.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn read(path: &Path) -> Result<Report, String> {
    let at = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {at}: {error}"))?;
    parsed(&text).map_err(|why| format!("{at}: {why}"))
}

fn parsed(text: &str) -> Result<Report, String> {
    let any = serde_json::from_str::<Any>(text).map_err(|error| {
        format!("this is no report: {error}; name the report.json that `partition-agent run` wrote")
    })?;
    if any.format != Report::FORMAT {
        return Err(format!(
            "its format is {}, and this partition-agent reads format {}: take the version that wrote it",
            any.format,
            Report::FORMAT
        ));
    }
    let report = serde_json::from_str(text).map_err(|error| format!("this report is damaged: {error}"))?;
    cleaned(&report).map_err(|error| format!("this report is damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_of_this_format_is_refused() {
        let why = |text: &str| parsed(text).unwrap_err();
        assert!(why("{}").contains("this is no report: missing field `format`"));
        assert!(why(r#"{"format": 2, "rounds": "another thing"}"#).contains("its format is 2"));
        assert!(why(r#"{"format": 1}"#).contains("damaged"));
    }
}
