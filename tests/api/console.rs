//! The files of the console: what is in them, and what comes with them.

use partition_agent_proto::ProblemCode;

use crate::client::{Api, Reply};

const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("../../agent/src/console/console.html")),
    ("/console.css", "text/css; charset=utf-8", include_str!("../../agent/src/console/console.css")),
    ("/console.js", "text/javascript; charset=utf-8", include_str!("../../agent/src/console/console.js")),
    ("/fleet.js", "text/javascript; charset=utf-8", include_str!("../../agent/src/console/fleet.js")),
    ("/form.js", "text/javascript; charset=utf-8", include_str!("../../agent/src/console/form.js")),
    ("/live.js", "text/javascript; charset=utf-8", include_str!("../../agent/src/console/live.js")),
];

#[tokio::test]
async fn the_files_are_served_as_they_are_over_tcp_and_the_unix_socket() {
    let api = Api::start();
    for (path, media, text) in FILES {
        for request in [api.request("GET", path), api.request_tcp("GET", path)] {
            let reply = Reply::to(request).await;
            assert_eq!((reply.status, reply.content_type.as_str()), (200, media), "{path}");
            assert!(reply.body == text, "{path}");
        }
        let head = Reply::to(api.request("HEAD", path)).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
}

#[tokio::test]
async fn with_each_file_come_the_headers_that_keep_a_browser_strict() {
    let api = Api::start();
    for (path, ..) in FILES {
        let response = api.request_tcp("GET", path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            "{path}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(name), value, "{path}");
        }
    }
}

#[tokio::test]
async fn nothing_else_can_be_done_to_a_file() {
    let api = Api::start();
    for (path, ..) in FILES {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            api.send(method, path, "")
                .await
                .refused(ProblemCode::NoSuchMethod, &format!("there is no {method} {path}"));
        }
    }
}

#[test]
fn the_page_loads_its_own_files_and_nothing_else() {
    let [(_, _, page), (_, _, style), scripts @ ..] = FILES;
    let of =
        |attribute: &'static str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    let loaded =
        of(" src=\"").chain(of(" href=\"")).filter(|at| !at.starts_with('#') && !at.starts_with("data:"));
    let mut loaded = loaded.map(|at| format!("/{at}")).collect::<Vec<_>>();
    loaded.sort();
    assert_eq!(loaded, FILES[1..].iter().map(|(path, ..)| *path).collect::<Vec<_>>());
    // What a namespace is called is not loaded.
    let namespace = "http://www.w3.org/2000/svg";
    for (path, text) in
        [("/", page), ("/console.css", style)].into_iter().chain(scripts.map(|(path, _, text)| (path, text)))
    {
        assert!(!text.replace(namespace, "").contains("://"), "{path}");
        assert!(!text.contains("@import") && !text.contains("url("), "{path}");
    }
}
