//! Where a running proxy is looked at and spoken to: the admin address and the control socket.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: waits for what another process leaves"
)]

use std::time::Duration;

use tracing::{error, info};

use crate::config::Config;
use crate::control::daemon::Orders;
use crate::control::server::{self, Control, Host};
use crate::privilege::sandbox::Sandboxed;
use crate::proxy::Proxy;
use crate::report::admin::{self, Admin};
use crate::report::metrics::{Metrics, Sessions};

/// They are bound, nothing is answered yet.
#[derive(Default)]
pub(super) struct Outlets {
    admin: Option<Admin>,
    control: Option<Control>,
}

/// They answer; it ends when this is dropped.
pub(super) struct Serving {
    _admin: Option<admin::Serving>,
    _control: Option<server::Serving>,
}

impl Outlets {
    /// As the configuration has them.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            admin: match config.admin.address {
                Some(address) => Some(Admin::bind(address).await?),
                None => None,
            },
            control: match &config.control {
                Some(socket) => Some(Control::bind(socket).await?),
                None => None,
            },
        })
    }

    /// The same where another process is just leaving them. Mail does not depend on them: without them it goes on.
    pub(super) async fn bind_soon(config: &Config) -> Self {
        for _ in 0..TRIES {
            if let Ok(outlets) = Self::bind(config).await {
                return outlets;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Self::bind(config).await.unwrap_or_else(|error| {
            error!(%error, "mail is served, but neither admin.address nor control.socket");
            Self::default()
        })
    }

    /// Answers from now on. A proxy that drains says so, too.
    pub(super) fn serve(
        self,
        proxy: &Proxy,
        sessions: &Sessions,
        (orders, sandboxed): (Orders, &Sandboxed),
    ) -> Serving {
        let control = self.control.map(|control| {
            info!("commands are answered at control.socket");
            control.serve(Host {
                engine: Box::new(proxy.engines()),
                orders,
            })
        });
        let admin = self.admin.map(|admin| {
            info!(address = %admin.address(), "state and metrics");
            let (status, vitals) = (proxy.status(), proxy.status());
            let metrics = Metrics::new(sessions, move || vitals.vitals());
            let sandbox = sandboxed.check();
            let checks = move || {
                status
                    .checks()
                    .into_iter()
                    .chain([sandbox.clone()])
                    .collect()
            };
            admin.serve(metrics, checks)
        });
        Serving {
            _admin: admin,
            _control: control,
        }
    }
}

/// How often what another process leaves is tried, and the time between.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
