//! The flags of `annotate`.

use std::path::PathBuf;

use url::Url;

#[derive(Debug, clap::Args)]
pub struct AnnotateArgs {
    /// Where Grafana is
    #[arg(long, value_name = "URL", value_parser = site)]
    pub grafana: Url,
    /// File with the token of a service account there that may write annotations
    #[arg(long, value_name = "FILE", env = "PARTITION_AGENT_GRAFANA_TOKEN_FILE")]
    pub grafana_token_file: PathBuf,
    /// Only in the dashboard with this uid; without it, wherever a dashboard asks for the tag `partition-agent`
    #[arg(long, value_name = "UID")]
    pub dashboard: Option<String>,
    /// One more tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
}

fn site(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("write https://HOST, with the path below which Grafana is, where it has one".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(
            "leave the user, the password and the query out: the token is in --grafana-token-file".to_owned()
        );
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_host_and_no_secret() {
        for text in ["https://grafana", "http://[::1]:3000", "https://tools.example/grafana/"] {
            assert!(site(text).is_ok(), "{text}");
        }
        for text in [
            "grafana:3000",
            "ftp://grafana",
            "https://me:secret@grafana",
            "https://grafana/?token=secret",
            "",
        ] {
            assert!(site(text).is_err(), "{text}");
        }
    }
}
