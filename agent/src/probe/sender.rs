//! Sends the datagrams of one round to others, and takes their answers: a socket for each IP version, whoever is asked.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use partition_agent_proto::RoundTrips;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, sleep_until, timeout_at};

use super::datagram::{Datagram, Kind, LENGTH};
use super::socket;

/// After an error of a socket, so that one that stays does not spin.
const PAUSE: Duration = Duration::from_millis(10);

/// Which answer came, and when.
type Answer = (u32, Instant);
/// Who waits for the answers of an address and number.
type Waiting = Arc<Mutex<HashMap<(SocketAddr, u32), mpsc::Sender<Answer>>>>;

/// How the datagrams of a round are sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub round: u64,
    pub from: u32,
    pub count: u16,
    pub every: Duration,
    pub timeout: Duration,
}

/// What became of the datagrams to one other agent.
#[derive(Debug, Default)]
pub struct Trips {
    pub sent: u16,
    pub times: Vec<Duration>,
    /// Of those that were not sent, the first one's.
    pub error: Option<String>,
}

/// The sockets of one round, and the tasks that read them.
pub struct Sender {
    pace: Pace,
    v4: Option<Result<Side, String>>,
    v6: Option<Result<Side, String>>,
    waiting: Waiting,
}

/// One IP version.
struct Side {
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Sender {
    /// With the sockets that these need.
    pub fn open(pace: Pace, to: &[SocketAddr]) -> Self {
        let waiting = Waiting::default();
        let open = |any: IpAddr| {
            let is_needed = to.iter().any(|to| to.is_ipv4() == any.is_ipv4());
            let side = || Side::open(SocketAddr::new(any, 0), pace, &waiting);
            is_needed.then(|| side().map_err(|error| error.to_string()))
        };
        let [v4, v6] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)].map(open);
        Self { pace, v4, v6, waiting }
    }

    /// All datagrams to one of them, and their answers.
    pub async fn ask(&self, to: SocketAddr, number: u32) -> Trips {
        let side = match if to.is_ipv4() { &self.v4 } else { &self.v6 } {
            Some(Ok(side)) => side,
            Some(Err(error)) => return Trips { error: Some(error.clone()), ..Trips::default() },
            None => return Trips::default(),
        };
        // Answers may come twice, which is no reason to lose others.
        let (sender, mut answers) = mpsc::channel(usize::from(self.pace.count) * 4);
        lock(&self.waiting).insert((to, number), sender);
        let trips = self.exchange(&side.socket, to, number, &mut answers).await;
        lock(&self.waiting).remove(&(to, number));
        trips
    }

    async fn exchange(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        number: u32,
        answers: &mut mpsc::Receiver<Answer>,
    ) -> Trips {
        let Pace { round, from, count, every, timeout } = self.pace;
        let mut trips = Trips::default();
        let mut questions = HashMap::new();
        for sequence in 0..u32::from(count) {
            let datagram = Datagram { kind: Kind::Request, round, from, to: number, sequence };
            let now = Instant::now();
            match socket.send_to(&datagram.encode(), to).await {
                Ok(_) => {
                    trips.sent += 1;
                    questions.insert(sequence, now);
                }
                Err(error) => trips.error = trips.error.or_else(|| Some(error.to_string())),
            }
            let last = sequence + 1 == u32::from(count);
            let until = now + if last { timeout } else { every };
            while !(last && questions.is_empty()) {
                // `None` cannot be: the sender of the channel waits among the others.
                let Ok(Some((sequence, at))) = timeout_at(until.into(), answers.recv()).await else { break };
                let asked = questions.remove(&sequence);
                let took = asked.map(|asked| at.saturating_duration_since(asked));
                // Early questions are waited for longer than late ones, and none counts longer.
                trips.times.extend(took.filter(|took| *took <= timeout));
            }
        }
        trips
    }

    /// When to begin with one of them: spread over the pause between two datagrams, and differently on each host that asks, so
    /// that neither the answers nor the questions of a whole fleet come in one burst.
    pub async fn turn(&self, number: u32) {
        const TURNS: u32 = 256;
        let turn = self.pace.from.wrapping_add(number) % TURNS;
        sleep_until((Instant::now() + self.pace.every * turn / TURNS).into()).await;
    }
}

impl Side {
    fn open(at: SocketAddr, pace: Pace, waiting: &Waiting) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(at)?;
        socket::widen(&socket);
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let reader = tokio::spawn(read(Arc::clone(&socket), pace, Arc::clone(waiting))).abort_handle();
        Ok(Self { socket, reader })
    }
}

async fn read(socket: Arc<UdpSocket>, pace: Pace, waiting: Waiting) {
    let mut bytes = [0; LENGTH + 1];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut bytes).await else {
            sleep(PAUSE).await;
            continue;
        };
        let at = Instant::now();
        let Some(datagram) = bytes.get(..length).and_then(Datagram::decode) else { continue };
        let ours = (Kind::Reply, pace.round, pace.from);
        if (datagram.kind, datagram.round, datagram.from) != ours {
            continue;
        }
        if let Some(asker) = lock(&waiting).get(&(from, datagram.to)) {
            // Full: more answers than questions.
            let _ = asker.try_send((datagram.sequence, at));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trips {
    /// The shortest, and the one in the middle.
    pub fn round_trips(&self) -> Option<RoundTrips> {
        let mut times = self.times.iter().map(|time| micros(*time)).collect::<Vec<_>>();
        times.sort_unstable();
        Some(RoundTrips { min: *times.first()?, median: *times.get(times.len() / 2)? })
    }
}

pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
