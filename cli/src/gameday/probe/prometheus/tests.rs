use std::net::SocketAddr;

use super::*;
use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says, ask, hostile};

fn question(at: SocketAddr) -> Ask {
    let query = r#"max(lag{job="a b"}) > 0"#.to_owned();
    let value = Comparison::Below(10.0);
    Ask::Prometheus { url: format!("http://{at}/prom/"), query, headers: BTreeMap::new(), value }
}

fn vector(samples: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#)
}

fn sample(labels: &str, value: &str) -> String {
    format!(r#"{{"metric":{{{labels}}},"value":[1700000000.123,"{value}"]}}"#)
}

#[tokio::test]
async fn the_query_arrives_as_it_is() {
    let body = vector(&sample("", "3"));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = Fake::says(Says::After(answer.into())).await;
    assert_eq!(ask(question(server.at)).await, Ok("3".to_owned()));
    let line = server.asked().await.lines().next().unwrap().to_owned();
    assert_eq!(line, "GET /prom/api/v1/query?query=max%28lag%7Bjob%3D%22a+b%22%7D%29+%3E+0 HTTP/1.1");
    hostile(question).await;
}

#[test]
fn every_sample_must_hold_and_there_must_be_one() {
    let below = Comparison::Below(10.0);
    let two = |first, second| {
        vector(&format!("{},{}", sample(r#""host":"a""#, first), sample(r#""host":"b""#, second)))
    };
    let range =
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}}"#;
    let text = r#"{"status":"success","data":{"resultType":"string","result":[1,"a"]}}"#;
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"4"]}}"#;
    let histogram = vector(r#"{"metric":{},"histogram":[1,{"count":"1"}]}"#);
    for (status, body, expected) in [
        (200, vector(&sample("", "9.5")), Ok("9.5")),
        (200, vector(&sample("", "10")), Err("10")),
        (200, two("1", "2"), Ok("1 (host=a), of 2 results")),
        (200, two("1", "12"), Err("12 (host=b), of 2 results")),
        (200, vector(""), Err("no result")),
        (200, vector(&sample("", "NaN")), Err("NaN")),
        (200, vector(&sample("", "-Inf")), Ok("-Inf")),
        (200, scalar.to_owned(), Ok("4")),
        (
            200,
            range.to_owned(),
            Err("the query is of a range: leave its [..] out, or put a function around it"),
        ),
        (200, text.to_owned(), Err("the query is a text, not a number")),
        (200, histogram, Err("a histogram, which is no number")),
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1"}"#
                .to_owned(),
            Err(r#"bad_data: invalid parameter "query": 1:1"#),
        ),
        (503, "Service Unavailable".to_owned(), Err("503 Service Unavailable: Service Unavailable")),
        (404, String::new(), Err("404 Not Found")),
        (200, r#"{"status":"success"}"#.to_owned(), Err("no answer of Prometheus: missing field `data`")),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let found = judge(status, body.as_bytes(), &below);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{body}");
    }
    let equals = Comparison::Equals("1".to_owned());
    assert!(judge(StatusCode::OK, vector(&sample("", "1.0")).as_bytes(), &equals).is_ok());
}
