//! The policy hosts of the domains with MTA-STS: one nginx on the HTTPS port, one server block per domain.

use super::sandbox::{Daemon, HOME, Namespace, write};
use super::world::{DOMAINS, Domain, Sts, v4, v6};

/// The host number that all policy hosts share.
pub(crate) const NUMBER: u8 = 80;

/// The names that need a certificate.
pub(crate) fn names() -> Vec<String> {
    domains()
        .map(|domain| format!("mta-sts.{}", domain.name))
        .collect()
}

/// Starts nginx and waits for it.
pub(crate) fn serve(world: &Namespace) -> Daemon {
    let blocks: String = domains().map(block).collect();
    let conf = write(
        "nginx/nginx.conf",
        format!(
            "daemon off; user root; worker_processes 1; pid {HOME}/nginx/pid; error_log stderr notice;\n\
            events {{ worker_connections 64; }}\nhttp {{ access_log {HOME}/log/nginx-access;\n\
            client_body_temp_path {HOME}/nginx; proxy_temp_path {HOME}/nginx; fastcgi_temp_path {HOME}/nginx;\n\
            uwsgi_temp_path {HOME}/nginx; scgi_temp_path {HOME}/nginx;\n{blocks}}}\n"
        ),
    );
    let daemon = world.daemon(
        "nginx",
        "nginx",
        &["-e", "stderr", "-c", &conf.to_string_lossy()],
    );
    daemon.await_ready("listens", || {
        [v4(NUMBER), format!("[{}]", v6(NUMBER))]
            .iter()
            .all(|address| world.listens(&format!("{address}:443")))
    })
}

fn domains() -> impl Iterator<Item = &'static Domain> {
    DOMAINS.iter().filter(|domain| domain.sts == Sts::Enforce)
}

fn block(domain: &Domain) -> String {
    let host = format!("mta-sts.{}", domain.name);
    let listed: String = domain
        .exchangers
        .iter()
        .map(|exchanger| format!("mx: {}\\r\\n", exchanger.host(domain)))
        .collect();
    format!(
        "server {{ listen {}:443 ssl; listen [{}]:443 ssl; server_name {host};\n\
        ssl_certificate {HOME}/pki/{host}.pem; ssl_certificate_key {HOME}/pki/{host}.pem;\n\
        location = /.well-known/mta-sts.txt {{ default_type text/plain;\n\
        return 200 \"version: STSv1\\r\\nmode: enforce\\r\\n{listed}max_age: 86400\\r\\n\"; }} }}\n",
        v4(NUMBER),
        v6(NUMBER)
    )
}
