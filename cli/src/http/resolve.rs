//! Names to addresses, by the system's resolver: a bounded number at once. It cannot be told to give up, so where no name server answers
//! every question keeps a thread for as long as that takes; and the agent resolves the names of faults in the same pool of threads.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Far fewer than the threads of the pool, which are 512.
const AT_ONCE: usize = 64;

#[derive(Clone)]
pub struct Resolver(Arc<Semaphore>);

impl Resolver {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let places = Arc::clone(&self.0);
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            // The place is the thread's: whoever asks may have given up by then.
            let asked = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(place);
                found
            });
            asked.await?
        })
    }
}
