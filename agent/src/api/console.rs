//! The console: one page for browsers, and the files that it loads. They are the same for everybody and everywhere; what is
//! shown in them the page asks for like any other caller.

use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

/// Text that is in the program, and what a browser takes it for.
#[derive(Debug, Clone, Copy)]
pub struct File {
    media: &'static str,
    text: &'static str,
}

const fn script(text: &'static str) -> File {
    File { media: "text/javascript; charset=utf-8", text }
}

pub const PAGE: File =
    File { media: "text/html; charset=utf-8", text: include_str!("../console/console.html") };
pub const STYLE: File =
    File { media: "text/css; charset=utf-8", text: include_str!("../console/console.css") };
pub const SCRIPT: File = script(include_str!("../console/console.js"));
pub const FORM: File = script(include_str!("../console/form.js"));
pub const FLEET: File = script(include_str!("../console/fleet.js"));
pub const LIVE: File = script(include_str!("../console/live.js"));

/// Nothing but its own script and style, and requests to this agent alone; its icon is in the page. Nobody may frame it, and a text
/// that would become markup or code is refused by the browser (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// With every file.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The page has to be that of the agent that answers: another version has another API.
    (CACHE_CONTROL, "no-store"),
];

/// Whoever has opened the page from another site loses hold of its window. Only for browsers that reach it in a way that they trust:
/// others ignore it, and say in the console that this is an error.
pub fn part_from_opener(response: &mut Response) {
    let name = HeaderName::from_static("cross-origin-opener-policy");
    response.headers_mut().insert(name, HeaderValue::from_static("same-origin"));
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        let mut response = self.text.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
