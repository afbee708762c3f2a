//! What stands for redis on the hosts of the demo, and who asks it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::args::LabRespondArgs;
use crate::exit::Failure;

/// Whether a redis (or what stands for one) answers PING there, asked from this namespace, within the time.
pub fn ping(from: &Path, to: SocketAddr, patience: Duration) -> bool {
    let namespace = File::open(from);
    let ask = move || {
        let Ok(namespace) = namespace else { return false };
        setns(namespace, CloneFlags::CLONE_NEWNET).is_ok() && answers(to, patience).unwrap_or(false)
    };
    // A thread of its own: the namespace of a thread is its own, too.
    std::thread::spawn(ask).join().unwrap_or(false)
}

/// Asks until there is an answer; how long that took. Nothing, if there is none in the time.
pub fn until_answer(from: &Path, to: SocketAddr, patience: Duration) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if ping(from, to, Duration::from_millis(20)) {
            return Some(begun.elapsed());
        }
    }
    None
}

fn answers(to: SocketAddr, patience: Duration) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}

/// `lab-respond`: answer PING the way redis does, one connection after the other.
pub fn respond(args: &LabRespondArgs) -> Result<ExitCode, Failure> {
    let listener = TcpListener::bind(args.at)?;
    for stream in listener.incoming() {
        let answer = |mut stream: TcpStream| -> std::io::Result<()> {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let mut question = [0; 6];
            stream.read_exact(&mut question)?;
            stream.write_all(b"+PONG\r\n")
        };
        // A client that goes away in the middle is no reason to stop.
        let _ = stream.and_then(answer);
    }
    Ok(ExitCode::SUCCESS)
}
