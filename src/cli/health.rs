//! `danelaw health`: asks the running proxy whether it is alive, or ready, at its admin address: for supervisors that run
//! a command, as those of containers do.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "IO: asks over TCP, with a bound on its patience"
)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Exit;
use crate::config::{Config, defaults};

/// Whom, and what.
#[derive(clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[command(after_help = "\
Examples:
  danelaw health
  danelaw health --ready
  danelaw health --ready --json | jq '.checks[] | select(.ok | not)'
  danelaw health --address 127.0.0.1:9225

Alive is a reason to go on: whoever hears nothing may restart the process. Not being ready is no reason for that: it
would not help.

Exit codes:
  0   alive (with --ready: ready)
  1   not ready
  2   nobody answers within five seconds, or the configuration has no admin.address
  64  the command line is wrong")]
pub(super) struct Args {
    /// The proxy's configuration: it names the admin address.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Asks there, and reads no configuration.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    address: Option<SocketAddr>,
    /// Asks whether it is ready, and if not, why.
    #[arg(long)]
    ready: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

const PATIENCE: Duration = Duration::from_secs(5);

/// A line for each check.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Asks, prints the answer, and ends with it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let address = args.address()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, ask(address, args.target(), LONGEST_ANSWER))
            .await
            .context("it took more than five seconds")?
    });
    let (status, answer) = asked.with_context(|| format!("no danelaw answers at {address}"))?;
    io::stdout().lock().write_all(&answer)?;
    Ok(if status == StatusCode::OK {
        Exit::Ok.into()
    } else {
        Exit::Negative.into()
    })
}

/// The status and the body of a page that is no longer than that.
pub(super) async fn ask(
    address: SocketAddr,
    target: &str,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(target)
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), longest);
        match body.collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => Err(anyhow::anyhow!(error)),
        }
    };
    // The connection is driven until the answer is whole, and ends with it.
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => {
            ended?;
            answered.await
        }
    }
}

impl Args {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.address {
            return Ok(address);
        }
        let admin = Config::load(&self.config)?.config.admin.address;
        admin.with_context(|| {
            format!(
                "{} sets no admin.address: expected one, or --address",
                self.config.display()
            )
        })
    }

    const fn target(&self) -> &'static str {
        match (self.ready, self.json) {
            (false, false) => "/healthz",
            (false, true) => "/healthz?format=json",
            (true, false) => "/readyz",
            (true, true) => "/readyz?format=json",
        }
    }
}
