//! `store.url`: which database, by whom, and how its server proves itself. Shown without the password.
//!
//! A database that is not on this host must prove itself by TLS (`sslmode=verify-full`, which is the default there):
//! whoever can pose as it could write policies. `require` and `verify-ca` are taken for `verify-full`; `prefer` and `allow`
//! are refused, since they protect nothing.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    written: String,
    pub(super) config: Box<Config>,
    pub(super) is_verified: bool,
    pub(super) ca_file: Option<PathBuf>,
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Something else.
    #[error("a URL as \"postgres://user@host/database\"")]
    NotPostgres,
    /// Fields that do not go together or are not known.
    #[error("a URL with parameters that PostgreSQL knows")]
    Parameters,
    /// Nobody to connect to.
    #[error("a URL with a host, a user and a database")]
    Incomplete,
    /// Another sslmode.
    #[error("sslmode=verify-full or sslmode=disable")]
    SslMode,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(written: &str) -> Result<Self, BadAddress> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| written.starts_with(scheme))
        {
            return Err(BadAddress::NotPostgres);
        }
        let (base, query) = written.split_once('?').unwrap_or((written, ""));
        let (mut mode, mut ca_file, mut others) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|one| !one.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => ca_file = Some(PathBuf::from(value)),
                Some(_) | None => others.push(parameter),
            }
        }
        let mut config: Config = format!("{base}?{}", others.join("&"))
            .parse()
            .map_err(|_| BadAddress::Parameters)?;
        if config.get_hosts().is_empty()
            || config.get_user().is_none()
            || config.get_dbname().is_none()
        {
            return Err(BadAddress::Incomplete);
        }
        let is_verified = match mode {
            None => !config.get_hosts().iter().all(is_here),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(BadAddress::SslMode),
        };
        config.ssl_mode(if is_verified {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        Ok(Self {
            written: written.to_owned(),
            config: Box::new(config),
            is_verified,
            ca_file,
        })
    }
}

impl Address {
    /// The CAs that its server proves itself by, where they are named.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The same with a password, unless it has one.
    #[must_use]
    pub fn or_password(mut self, password: Option<String>) -> Self {
        if let (None, Some(password)) = (self.config.get_password(), password) {
            self.config.password(password);
        }
        self
    }
}

/// On this host: a socket of the file system, or loopback.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, query) = self.written.split_once('?').unwrap_or((&self.written, ""));
        let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
        let shown = match rest.rsplit_once('@') {
            Some((who, whither)) => {
                let user = who.split_once(':').map_or(who, |(user, _)| user);
                format!("{scheme}://{user}@{whither}")
            }
            None => base.to_owned(),
        };
        let mut kept = query
            .split('&')
            .filter(|one| !one.is_empty() && !one.starts_with("password="));
        write!(f, "{shown}")?;
        if let Some(first) = kept.next() {
            write!(f, "?{first}")?;
        }
        kept.try_for_each(|one| write!(f, "&{one}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_password() {
        for (url, is_verified, shown) in [
            (
                "postgres://u:secret@db.example/danelaw",
                true,
                "postgres://u@db.example/danelaw",
            ),
            (
                "postgresql://u@127.0.0.1:5433/d",
                false,
                "postgresql://u@127.0.0.1:5433/d",
            ),
            ("postgres://u@[::1]/d", false, "postgres://u@[::1]/d"),
            (
                "postgres://u@db.example/d?sslmode=disable",
                false,
                "postgres://u@db.example/d?sslmode=disable",
            ),
            (
                "postgres://u@localhost/d?sslmode=require",
                true,
                "postgres://u@localhost/d?sslmode=require",
            ),
            (
                "postgres://u@db.example/d?password=secret&sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3",
                true,
                "postgres://u@db.example/d?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3",
            ),
            (
                "postgres:///d?host=/run/postgresql&user=u",
                false,
                "postgres:///d?host=/run/postgresql&user=u",
            ),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!(address.is_verified, is_verified, "{url}");
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("secret"));
        }
        for (url, expected) in [
            ("mysql://u@h/d", BadAddress::NotPostgres),
            ("/var/lib/danelaw.db", BadAddress::NotPostgres),
            ("postgres://u@h", BadAddress::Incomplete),
            ("postgres://h/d", BadAddress::Incomplete),
            ("postgres:///d?user=u", BadAddress::Incomplete),
            ("postgres://u@h/d?nonsense=1", BadAddress::Parameters),
            ("postgres://u@h/d?sslmode=prefer", BadAddress::SslMode),
            ("postgres://u@h/d?sslmode=allow", BadAddress::SslMode),
        ] {
            assert_eq!(url.parse::<Address>(), Err(expected), "{url}");
        }
    }

    #[test]
    fn a_password_of_the_url_goes_before_another() {
        let with = |url: &str| {
            let address: Address = url.parse().unwrap();
            let address = address.or_password(Some("other".to_owned()));
            String::from_utf8(address.config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(with("postgres://u:own@h/d"), "own");
        assert_eq!(with("postgres://u@h/d"), "other");
    }
}
