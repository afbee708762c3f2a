//! As much of a container engine as the agent asks: containers of one compose service, and their addresses.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use partition_agent_core::scope::Engines;
use tempfile::TempDir;

/// Answers on a unix socket for as long as the test lives.
pub struct Engine {
    /// One container of `shop/redis` for each.
    pub addresses: Arc<Mutex<Vec<String>>>,
    socket: PathBuf,
    _dir: TempDir,
}

impl Engine {
    pub fn start(addresses: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect::<Vec<_>>();
        let addresses = Arc::new(Mutex::new(addresses));
        let known = Arc::clone(&addresses);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let known = Arc::clone(&known);
                // A client that hangs up is none of its concern.
                std::thread::spawn(move || stream.and_then(|stream| answer(stream, &known)));
            }
        });
        Self { addresses, socket, _dir: dir }
    }

    pub fn engines(&self) -> Engines {
        Engines { sockets: vec![self.socket.clone()] }
    }
}

fn answer(mut stream: UnixStream, addresses: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let addresses = addresses.lock().unwrap().clone();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let id = |nth: usize| format!("{nth:064x}");
    let body = if path.ends_with("/version") {
        r#"{"ApiVersion":"1.44","MinAPIVersion":"1.24","Version":"25.0.0"}"#.to_owned()
    } else if path.contains("/containers/json") {
        let container = |nth: usize| {
            format!(
                r#"{{"Id":"{}","Names":["/shop_redis_{nth}"],"State":"running","Labels":
                    {{"com.docker.compose.project":"shop","com.docker.compose.service":"redis"}}}}"#,
                id(nth)
            )
        };
        format!("[{}]", (0..addresses.len()).map(container).collect::<Vec<_>>().join(","))
    } else {
        let of = |(nth, address): (usize, &String)| {
            let state = format!(
                r#"{{"Id":"{}","State":{{"Running":true,"Pid":0}},
                    "NetworkSettings":{{"Networks":{{"shop":{{"IPAddress":"{address}"}}}}}}}}"#,
                id(nth)
            );
            path.contains(&id(nth)).then_some(state)
        };
        addresses.iter().enumerate().find_map(of).unwrap_or_else(|| "{}".to_owned())
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
}
