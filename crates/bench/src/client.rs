//! A client that costs little: one kept-alive connection, one request after the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to a server on this machine.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub async fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends bytes that are a whole request; the status and the body of its answer.
    pub async fn send(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server hung up");
            }
            let Some(head) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?;
            let status = text.get(9..12).context("no status")?.parse()?;
            let length: usize = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(Ok(0), |(_, value)| value.trim().parse())?;
            let (from, to) = (head + 4, head + 4 + length);
            while self.buffer.len() < to {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the server hung up");
                }
            }
            return Ok((status, self.buffer.get(from..to).unwrap_or_default().to_vec()));
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A request's bytes.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let token =
        if token.is_empty() { String::new() } else { format!("api_access_token: {token}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// How a load went.
#[derive(Debug)]
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// Times from request to answer, sorted.
    times: Vec<Duration>,
}

impl Load {
    /// Answers that came one after the other.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let whole: Duration = times.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
        let rate = times.len() as f64 / whole.as_secs_f64();
        Self { rate, times }
    }

    /// The time that `share` of the answers stayed under.
    pub fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a list of times"
        )]
        let index =
            ((self.times.len() as f64 * share) as usize).min(self.times.len().saturating_sub(1));
        self.times.get(index).copied().unwrap_or_default()
    }
}

/// Sends each of `requests` again and again on a connection of its own, after a warm-up of a fifth of
/// `lasting`. An answer that is no success ends the run.
pub async fn load(port: u16, requests: Vec<Vec<u8>>, lasting: Duration) -> Result<Load> {
    let begin = Instant::now() + lasting / 5;
    let end = begin + lasting;
    let mut running = Vec::new();
    for request in requests {
        running.push(async move {
            let mut client = Client::connect(port).await?;
            let mut times = Vec::new();
            loop {
                let sent = Instant::now();
                if sent >= end {
                    return anyhow::Ok(times);
                }
                success(client.send(&request).await?)?;
                if sent >= begin {
                    times.push(sent.elapsed());
                }
            }
        });
    }
    let mut times: Vec<Duration> = futures::future::try_join_all(running).await?.concat();
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
    let rate = times.len() as f64 / lasting.as_secs_f64();
    Ok(Load { rate, times })
}

/// Sends each of `requests` in turn over one connection, there and back, so many times after a tenth more; how each
/// went.
pub async fn in_turn(port: u16, requests: &[Vec<u8>], times: usize) -> Result<Vec<Load>> {
    let mut client = Client::connect(port).await?;
    let mut asked: Vec<(&Vec<u8>, Vec<Duration>)> =
        requests.iter().map(|request| (request, Vec::new())).collect();
    for round in 0..times + times / 10 {
        for (request, taken) in &mut asked {
            let sent = Instant::now();
            success(client.send(request).await?)?;
            if round >= times / 10 {
                taken.push(sent.elapsed());
            }
        }
        asked.reverse();
    }
    if (times + times / 10) % 2 == 1 {
        asked.reverse();
    }
    Ok(asked.into_iter().map(|(_, taken)| Load::of(taken)).collect())
}

/// Sends each of `requests` so many times, each on a connection of its own.
pub async fn work(port: u16, requests: &[Vec<u8>], times: usize) -> Result<()> {
    let running = requests.iter().map(async |request| {
        let mut client = Client::connect(port).await?;
        for _ in 0..times {
            success(client.send(request).await?)?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(running).await.map(drop)
}

fn success((status, body): (u16, Vec<u8>)) -> Result<()> {
    ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
