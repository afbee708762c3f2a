//! Ctrl-C, a polite kill, and a terminal that goes away. Listened for before there is a fault to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Interrupt([Signal; 3]);

impl Interrupt {
    pub fn listen() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [int, term, hup] = kinds.map(signal);
        Ok(Self([int?, term?, hup?]))
    }

    pub async fn comes(&mut self) {
        let [int, term, hup] = &mut self.0;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
