//! A way to a machine: what gives a steward's stdin and stdout there, and says why it ended.

pub mod pipe;
pub mod ssh;

use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

use crate::error::{Error, Result};
use crate::fingerprint;
use crate::lines::Lines;
use crate::steward::words::{Hello, Tell};

/// Connecting, authenticating, copying, starting: each on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub type Orders = Pin<Box<dyn AsyncWrite + Send>>;
pub type Words = Lines<BufReader<Pin<Box<dyn AsyncRead + Send>>>>;

/// How a way ended, once it has.
#[derive(Debug)]
pub struct End {
    /// In a few words, for a way that had a steward on it.
    pub why: String,
    /// For one that never had.
    pub error: Error,
}

/// An open way, with a steward at its other end that has said nothing yet.
pub struct Channel {
    pub orders: Orders,
    pub words: Words,
    /// Waits for its end. Whoever drops this ends it.
    pub ended: BoxFuture<'static, End>,
    /// The program there is a copy of this very one.
    pub copied: bool,
}

/// One of the ways there are: ssh, a pipe.
pub trait Reach {
    /// What is tried: `reaching server by ssh user@host`.
    fn what(&self) -> String;

    fn open(&self) -> BoxFuture<'_, Result<Channel>>;
}

/// Opens the way, and hears the steward's first word.
pub async fn greeted(reach: &dyn Reach) -> Result<(Channel, Hello)> {
    let mut channel = reach.open().await?;
    let hello = match first_word(reach, &mut channel).await? {
        Tell::Hello(hello) => *hello,
        other => return Err(Error::host(reach.what(), format!("its first word was {other:?}"))),
    };
    check(reach, &hello, channel.copied)?;
    Ok((channel, hello))
}

async fn first_word(reach: &dyn Reach, channel: &mut Channel) -> Result<Tell> {
    let line = waited(reach.what(), channel.words.next()).await?;
    let unknown =
        |why: std::io::Error| Error::host(reach.what(), format!("it said something unknown: {why}"));
    match line {
        Ok(Some(line)) => serde_json::from_slice(&line).map_err(|why| unknown(why.into())),
        // What is no steward's word may have no end either.
        Err(why) if why.kind() == std::io::ErrorKind::InvalidData => Err(unknown(why)),
        Ok(None) | Err(_) => Err((&mut channel.ended).await.error),
    }
}

/// Does one step, which has its time.
async fn waited<T>(what: String, step: impl Future<Output = T>) -> Result<T> {
    let late = |_| Error::host(what, format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, step).await.map_err(late)
}

fn check(reach: &dyn Reach, hello: &Hello, copied: bool) -> Result<()> {
    let ours = env!("CARGO_PKG_VERSION");
    if copied && hello.fingerprint != fingerprint::own() {
        return Err(Error::host(reach.what(), "the copy of this program is not the same there"));
    }
    if hello.version == ours {
        return Ok(());
    }
    Err(Error::host(reach.what(), format!("c1m-lab is version {} there, and {ours} here", hello.version))
        .remedy("put the same version there, or leave `machines: {binary}` out: it is copied then"))
}
