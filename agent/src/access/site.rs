//! What a browser says of itself. A page of some other site may make it send requests to an agent on this host or in this
//! network, with a name that the page's owner has pointed here (DNS rebinding) or without. None of them is let in.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use partition_agent_proto::{Problem, ProblemCode};

/// W3C, Fetch Metadata Request Headers. No script can set them.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The names that this host may be called by.
#[derive(Debug, Clone, Default)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// All of these, whatever their case.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let fold = |name: String| name.trim_end_matches('.').to_ascii_lowercase();
        Self(names.into_iter().map(fold).collect())
    }

    /// Whether this `Host`, which may have a port, is an address, `localhost`, or one of the names.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if let Some(inner) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            return inner.parse::<Ipv6Addr>().is_ok();
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name.parse::<Ipv4Addr>().is_ok() || name == "localhost" || self.0.contains(&name)
    }
}

/// Whether a configuration may list this: a name alone, without a scheme, a port or a pattern.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(fits)
}

fn without_port(host: &str) -> Option<&str> {
    let end = host.rfind(']').map_or(0, |end| end + 1);
    match host.get(end..)?.split_once(':') {
        None => Some(host),
        Some((rest, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.get(..end + rest.len()),
        Some(_) => None,
    }
}

/// Whether a request comes from no other site. Over TCP it also has to know what this host is called.
///
/// # Errors
/// Says which header is wrong.
pub fn own_site(request: &Parts, hosts: Option<&Hosts>) -> Result<(), Problem> {
    own_host(request, hosts)?;
    own_fetch(request)
}

/// The same, for what says nothing of the host: a page of another site may link to it, as its reader comes along and sees where they
/// are. It may neither frame it nor load it.
///
/// # Errors
/// Says which header is wrong.
pub fn own_site_or_link(request: &Parts, hosts: &Hosts) -> Result<(), Problem> {
    own_host(request, Some(hosts))?;
    let says = |name: HeaderName, what| only(&request.headers, &name) == Ok(Some(what));
    if says(SEC_FETCH_MODE, "navigate") && says(SEC_FETCH_DEST, "document") {
        return Ok(());
    }
    own_fetch(request)
}

/// By `Host`, and by `Origin`, which has to be the same.
fn own_host(request: &Parts, hosts: Option<&Hosts>) -> Result<(), Problem> {
    let malformed = |detail: &str| Problem::new(ProblemCode::Malformed, detail);
    let refused = |detail: String| Problem::new(ProblemCode::Forbidden, detail);
    let host = only(&request.headers, &HOST)
        .map_err(|()| malformed("the request has more than one Host"))?
        .ok_or_else(|| malformed("the request has no Host"))?;
    // RFC 9112, 3.2.2: the target comes first. Nobody has a reason to let the two differ.
    if request.uri.authority().is_some_and(|target| !target.as_str().eq_ignore_ascii_case(host)) {
        return Err(malformed("the target of the request names another host than its Host"));
    }
    if hosts.is_some_and(|hosts| !hosts.has(host)) {
        let detail = format!("`{}` is no name that this agent goes by", host.escape_debug());
        return Err(refused(detail).hint(
            "use the address; or list the name under `hosts` in the agent's configuration, which has to name all names but the \
             host's own, so that a web page cannot get at the agent by a name of its owner's",
        ));
    }
    let origin =
        only(&request.headers, &ORIGIN).map_err(|()| malformed("the request has more than one Origin"))?;
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_scheme, authority)| authority);
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    if let Some(origin) = origin.filter(|origin| !is_own(origin)) {
        let detail = format!("the request comes from a page of another site, `{}`", origin.escape_debug());
        return Err(refused(detail));
    }
    Ok(())
}

fn own_fetch(request: &Parts) -> Result<(), Problem> {
    let twice = |()| Problem::new(ProblemCode::Malformed, "the request has more than one Sec-Fetch-Site");
    match only(&request.headers, &SEC_FETCH_SITE).map_err(twice)? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(site) => {
            let site = site.escape_debug();
            let detail = format!(
                "the browser says that a page of another site made it ask: Sec-Fetch-Site is `{site}`"
            );
            Err(Problem::new(ProblemCode::Forbidden, detail))
        }
    }
}

/// The value of a header that may be there once. One that is no text is empty, and so nobody's.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    match (values.next(), values.next()) {
        (one, None) => Ok(one),
        (_, Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn hosts() -> Hosts {
        Hosts::new(["web-1".to_owned(), "Agent.Example.COM".to_owned()])
    }

    #[test]
    fn a_host_is_an_address_localhost_or_a_name_that_is_listed() {
        for host in [
            "10.0.0.1",
            "10.0.0.1:7433",
            "[::1]",
            "[fd00::1]:7433",
            "localhost:7433",
            "LOCALHOST",
            "web-1",
            "agent.example.com",
            "AGENT.example.com.:7433",
        ] {
            assert!(hosts().has(host), "{host}");
        }
        for host in [
            "",
            ":7433",
            "evil.example",
            "web-1.evil.example",
            "localhost.evil.example",
            "10.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%eth0]",
            "[10.0.0.1]",
            "web-1:80:80",
            "web-1:http",
            "user@web-1",
            "web-1/..",
            "web-1 ",
            "web-1..",
        ] {
            assert!(!hosts().has(host), "{host}");
        }
    }

    #[test]
    fn a_request_without_a_browser_is_let_through() {
        let plain = parts("/v1/faults", &[("host", "web-1:7433")]);
        assert_eq!(own_site(&plain, Some(&hosts())), Ok(()));
        let own =
            [("host", "web-1:7433"), ("origin", "http://WEB-1:7433"), ("sec-fetch-site", "same-origin")];
        assert_eq!(own_site(&parts("/", &own), Some(&hosts())), Ok(()));
        let typed = [("host", "web-1:7433"), ("sec-fetch-site", "none")];
        assert_eq!(own_site(&parts("/", &typed), Some(&hosts())), Ok(()));
        let absolute = parts("http://web-1:7433/v1/faults", &[("host", "web-1:7433")]);
        assert_eq!(own_site(&absolute, Some(&hosts())), Ok(()));
    }

    #[test]
    fn a_request_of_another_site_is_not() {
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://web-1",
            "http://web-1:7434",
            "https://web-1:7433.evil.example",
            "web-1:7433",
        ] {
            let headers = [("host", "web-1:7433"), ("origin", origin)];
            for hosts in [Some(&hosts()), None] {
                let refused = own_site(&parts("/", &headers), hosts).unwrap_err();
                assert_eq!(refused.code, ProblemCode::Forbidden, "{origin}");
            }
        }
        for site in ["cross-site", "same-site", "", "Same-Origin", "else"] {
            let headers = [("host", "web-1"), ("sec-fetch-site", site)];
            assert_eq!(
                own_site(&parts("/", &headers), None).unwrap_err().code,
                ProblemCode::Forbidden,
                "{site}"
            );
        }
    }

    #[test]
    fn another_site_may_link_to_what_is_open_and_neither_frame_nor_load_it() {
        let asks = |mode, dest, more: &[(&'static str, &'static str)]| {
            let own = [("host", "web-1:7433"), ("sec-fetch-site", "cross-site")];
            let all = [&own[..], &[("sec-fetch-mode", mode), ("sec-fetch-dest", dest)], more].concat();
            own_site_or_link(&parts("/", &all), &hosts()).map_err(|refused| refused.code)
        };
        assert_eq!(asks("navigate", "document", &[]), Ok(()));
        for (mode, dest) in [
            ("navigate", "iframe"),
            ("navigate", "embed"),
            ("no-cors", "script"),
            ("cors", "empty"),
            ("", "document"),
        ] {
            assert_eq!(asks(mode, dest, &[]), Err(ProblemCode::Forbidden), "{mode} {dest}");
        }
        let evil = [("origin", "http://evil.example")];
        assert_eq!(asks("navigate", "document", &evil), Err(ProblemCode::Forbidden));
        let rebound =
            [("host", "evil.example"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let refused = own_site_or_link(&parts("/", &rebound), &hosts()).unwrap_err();
        assert!(refused.detail.contains("`evil.example`"), "{refused}");
        let plain = [("host", "web-1:7433")];
        assert_eq!(own_site_or_link(&parts("/", &plain), &hosts()), Ok(()));
    }

    #[test]
    fn a_name_that_is_not_listed_is_refused_over_tcp_only() {
        let headers = [("host", "evil.example:7433")];
        let refused = own_site(&parts("/", &headers), Some(&hosts())).unwrap_err();
        assert!(refused.detail.contains("`evil.example:7433`") && refused.hint.unwrap().contains("`hosts`"));
        assert_eq!(own_site(&parts("/", &headers), None), Ok(()));
    }

    #[test]
    fn a_host_is_there_once_and_is_that_of_the_target() {
        let two = [("host", "web-1"), ("host", "web-1")];
        for (target, headers) in [
            ("/", &[][..]),
            ("/", &two),
            ("http://evil.example/", &[("host", "web-1")]),
            ("/", &[("origin", "http://a")]),
        ] {
            assert_eq!(own_site(&parts(target, headers), None).unwrap_err().code, ProblemCode::Malformed);
        }
        let two = [("host", "web-1"), ("origin", "http://web-1"), ("origin", "http://evil.example")];
        assert_eq!(own_site(&parts("/", &two), None).unwrap_err().code, ProblemCode::Malformed);
    }

    #[test]
    fn a_configuration_lists_names_and_nothing_else() {
        for name in ["web-1", "a.b.example", "with_underscore"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", "web-1:80", "http://web-1", "*.example", "a b", "a/b"] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}
