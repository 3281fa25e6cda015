//! Every way in which a policy host and its records can be wrong, on a real nginx and a real name server, through
//! `danelaw sts lint` and `danelaw check`; and policies that are fetched before any mail.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::kept::publish;
use super::mail::Message;
use super::postfix::Client;
use super::rules::{self, Exempt};
use super::sandbox::{Daemon, HOME, Namespace, log_of, read, sandboxed, sh, until, write};
use super::world::{Network, v4, v6};
use super::{Lab, danelaw, dns, pki, stays};

/// The host number of the policy hosts that are wrong.
pub(crate) const NUMBER: u8 = 81;

/// The zone of the domains that are wrong, all of them below it.
pub(crate) const ZONE: &str = "faults.test";

/// A domain below [`ZONE`].
struct Row {
    name: String,
    /// At `_mta-sts`, type and data as in a zone file.
    txt: Vec<String>,
    certificate: Certificate,
    /// What nginx does with a request.
    answer: String,
    /// The address of the policy host instead of nginx's, type and data as in a zone file.
    elsewhere: Option<String>,
    /// `part rule` of each error of the linter.
    errors: Vec<String>,
    /// How the policy is told of by a check.
    policy: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certificate {
    Good,
    Odd(Odd),
}

/// As OpenSSL makes it; `HOST` in it is the policy host.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Odd {
    subject: &'static str,
    names: &'static str,
    purpose: &'static str,
    digest: &'static str,
    /// From when to when.
    life: [&'static str; 2],
    signer: Signer,
}

const SOUND: Odd = Odd {
    subject: "x",
    names: "DNS:HOST",
    purpose: "serverAuth",
    digest: "sha256",
    life: ["20200101000000Z", "21000101000000Z"],
    signer: Signer::Lab,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Lab,
    Itself,
    /// A CA below the lab's that may sign for other names only.
    Constrained,
}

/// One that is as it should be, which each row changes in one thing.
fn row(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        txt: vec![record("v=STSv1; id=1;")],
        certificate: Certificate::Good,
        answer: serves(POLICY),
        elsewhere: None,
        errors: Vec::new(),
        policy: "enforce",
    }
}

fn rows() -> Vec<Row> {
    let mut rows = vec![row("good")];
    rows.extend(records());
    rows.extend(certificates());
    rows.extend(answers());
    rows.extend(floods());
    rows.extend(bodies());
    rows.extend(addresses());
    rows
}

/// STS-01, STS-06.
fn records() -> Vec<Row> {
    let unannounced = |name: &str, txt: Vec<String>, error: &str| Row {
        txt,
        errors: vec![format!("record {error}")],
        policy: "none",
        ..row(name)
    };
    let split = "TXT \"v=STS\" \"v1; \" \"id=1;\"".to_owned();
    let alias = format!("CNAME _mta-sts.good.{ZONE}.");
    let chain = format!("CNAME _mta-sts.txt-alias.{ZONE}.");
    let nowhere = format!("CNAME _mta-sts.nowhere.{ZONE}.");
    vec![
        unannounced("txt-none", vec![], "no-record"),
        unannounced("txt-other", vec![record("v=STSv2; id=1")], "no-record"),
        unannounced(
            "txt-two",
            vec![record("v=STSv1; id=1"), record("v=STSv1; id=2")],
            "several-records",
        ),
        unannounced("txt-no-id", vec![record("v=STSv1;")], "bad-record"),
        unannounced(
            "txt-long-id",
            vec![record(&format!("v=STSv1; id={}", "a".repeat(33)))],
            "bad-record",
        ),
        unannounced(
            "txt-hyphen",
            vec![record("v=STSv1; id=2024-09")],
            "bad-record",
        ),
        unannounced(
            "txt-8-bit",
            vec![record("v=STSv1; id=1; x=\\195\\169")],
            "bad-record",
        ),
        Row {
            txt: vec![split],
            ..row("txt-split")
        },
        Row {
            txt: vec![alias],
            ..row("txt-alias")
        },
        Row {
            txt: vec![chain],
            ..row("txt-aliases")
        },
        unannounced("txt-alias-nowhere", vec![nowhere], "no-record"),
        Row {
            txt: vec![record("v=STSv1; id=1; id=2; x=y"), record("v=spf1 -all")],
            ..row("txt-others")
        },
    ]
}

/// STS-02.
fn certificates() -> Vec<Row> {
    let odd = |name: &str, odd: Odd| Row {
        certificate: Certificate::Odd(odd),
        errors: vec!["fetch sts-webpki-invalid".to_owned()],
        policy: "announced, but the policy host's certificate is not valid",
        ..row(name)
    };
    let of = |names| Odd { names, ..SOUND };
    let by = |signer| Odd { signer, ..SOUND };
    let lives = |from, to| Odd {
        life: [from, to],
        ..SOUND
    };
    let common_name = Odd {
        subject: "HOST",
        ..of("DNS:other.test")
    };
    let for_clients = Odd {
        purpose: "clientAuth",
        ..SOUND
    };
    let sha1 = Odd {
        digest: "sha1",
        ..SOUND
    };
    vec![
        odd("cert-expired", lives("20200101000000Z", "20200201000000Z")),
        odd("cert-early", lives("20900101000000Z", "21000101000000Z")),
        odd("cert-other", of("DNS:mta-sts.other.test")),
        odd("cert-self", by(Signer::Itself)),
        odd("cert-constrained", by(Signer::Constrained)),
        odd("cert-cn", common_name),
        odd("cert-address", of("IP:192.0.2.81")),
        odd("cert-wildcard", of("DNS:*.faults.test")),
        odd("cert-part", of("DNS:mta-*.cert-part.faults.test")),
        odd("cert-client", for_clients),
        odd("cert-sha1", sha1),
        Row {
            certificate: Certificate::Odd(of("DNS:*.cert-label.faults.test")),
            ..row("cert-label")
        },
    ]
}

/// Where the policy host is.
fn addresses() -> Vec<Row> {
    let only = |name: &str, elsewhere: String| Row {
        elsewhere: Some(elsewhere),
        ..row(name)
    };
    let lost = |name: &str, elsewhere: &str| Row {
        elsewhere: Some(elsewhere.to_owned()),
        ..failing(name, String::new())
    };
    vec![
        only("only-v4", format!("A {}", v4(NUMBER))),
        only("only-v6", format!("AAAA {}", v6(NUMBER))),
        only("alias", format!("CNAME mta-sts.good.{ZONE}.")),
        lost("no-address", "TXT none"),
        lost("nobody-listens", "A 127.0.0.1"),
        // The signatures of that zone ran out.
        lost("bogus", "CNAME mx.bogus.test."),
    ]
}

/// STS-03.
fn answers() -> Vec<Row> {
    let mut rows: Vec<Row> = [301, 302, 303, 307, 308]
        .iter()
        .flat_map(|code| {
            let to = |url: &str| format!("return {code} {url};");
            [
                failing(
                    format!("moved-{code}"),
                    to("https://mta-sts.good.faults.test/.well-known/mta-sts.txt"),
                ),
                failing(
                    format!("moved-{code}-clear"),
                    to("http://mta-sts.good.faults.test/.well-known/mta-sts.txt"),
                ),
            ]
        })
        .collect();
    rows.extend([204, 206, 304, 404, 500, 503].map(|code| {
        failing(
            format!("status-{code}"),
            format!("default_type text/plain; return {code} \"{POLICY}\";"),
        )
    }));
    rows
}

/// STS-04: what is no plain body of ordinary size.
fn floods() -> Vec<Row> {
    let typed = |kind: &str| format!("default_type \"{kind}\"; return 200 \"{POLICY}\";");
    let mut rows = vec![
        failing("type-html", typed("text/html")),
        failing("type-none", typed("")),
        failing("type-octets", typed("application/octet-stream")),
        failing("charset-utf-16", typed("text/plain; charset=utf-16")),
        Row {
            answer: typed("text/plain; charset=utf-8"),
            ..row("charset-utf-8")
        },
        failing(
            "gzip",
            format!("add_header Content-Encoding gzip; {}", serves(POLICY)),
        ),
        // Nothing but the body's end would end it, a month from now.
        failing(
            "slow",
            format!("default_type text/plain; limit_rate 1; alias {HOME}/sts/policy;"),
        ),
        failing(
            "gigabyte",
            format!("default_type text/plain; alias {HOME}/sts/gigabyte;"),
        ),
        failing("many-headers", {
            let headers: String = (0..100).map(|n| format!("add_header X-{n} y;")).collect();
            format!("{headers} {}", serves(POLICY))
        }),
        // More than a megabyte of them.
        failing("long-headers", {
            let line = "$y".repeat(15);
            let headers: String = (0..20)
                .map(|n| format!("add_header X-{n} {line};"))
                .collect();
            format!("set $y {}; {headers} {}", "y".repeat(4000), serves(POLICY))
        }),
        // A quarter of a gigabyte, once it is unpacked.
        failing(
            "bomb",
            format!(
                "default_type text/plain; add_header Content-Encoding gzip; alias {HOME}/sts/bomb.gz;"
            ),
        ),
        // In chunks that have no end, and without a length.
        failing("endless", format!("proxy_pass http://{BACKEND};")),
        failing("silence", "return 444;".to_owned()),
    ];
    rows.extend(["br", "deflate", "x-gzip", "identity, gzip"].map(|coding| {
        failing(
            format!("coding-{}", coding.replace(", ", "-")),
            format!(
                "add_header Content-Encoding \"{coding}\"; {}",
                serves(POLICY)
            ),
        )
    }));
    rows
}

/// STS-05: what stands in `testdata/mtasts` is judged as the parser judges it.
fn bodies() -> Vec<Row> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mtasts");
    let mut rows: Vec<Row> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension() == Some("txt".as_ref()))
        .map(|path| {
            let stem = path.file_stem().expect("it has a name").to_string_lossy();
            let body = fs::read(&path).expect("it can be read");
            let answer = format!("default_type text/plain; alias {};", path.display());
            let sound = Row {
                answer: answer.clone(),
                ..row(format!("body-{stem}"))
            };
            match ::danelaw::mtasts::Policy::read(&body) {
                Ok(policy) => Row {
                    policy: policy.mode.label(),
                    ..sound
                },
                Err(_) if body.len() > 64 * 1024 => failing(format!("body-{stem}"), answer),
                Err(faults) => Row {
                    errors: std::iter::once(faults.first)
                        .chain(faults.others)
                        .map(|fault| format!("policy {}", fault.rule.label()))
                        .collect(),
                    policy: "announced, but the policy is invalid",
                    ..sound
                },
            }
        })
        .collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

fn failing(name: impl Into<String>, answer: String) -> Row {
    Row {
        answer,
        errors: vec!["fetch sts-policy-fetch-error".to_owned()],
        policy: "announced, but the policy could not be fetched",
        ..row(name)
    }
}

fn serves(body: &str) -> String {
    format!("default_type text/plain; return 200 \"{body}\";")
}

pub(crate) fn record(text: &str) -> String {
    format!("TXT \"{text}\"")
}

impl Row {
    fn domain(&self) -> String {
        format!("{}.{ZONE}", self.name)
    }

    fn host(&self) -> String {
        format!("mta-sts.{}", self.domain())
    }
}

/// The records of [`ZONE`].
pub(crate) fn zone() -> Vec<String> {
    let mut records = Vec::new();
    for row in rows() {
        let (domain, host) = (row.domain(), row.host());
        records.push(format!("{domain}. MX 10 mx.sts.test."));
        records.extend(
            row.txt
                .iter()
                .map(|txt| format!("_mta-sts.{domain}. {txt}")),
        );
        match row.elsewhere {
            Some(elsewhere) => records.push(format!("{host}. {elsewhere}")),
            None => {
                records.push(format!("{host}. A {}", v4(NUMBER)));
                records.push(format!("{host}. AAAA {}", v6(NUMBER)));
            }
        }
    }
    records
}

/// Starts nginx with one server for each row.
fn serve(world: &Namespace, rows: &[Row]) -> [Daemon; 2] {
    write("sts/policy", POLICY.replace("\\n", "\n"));
    sh(&format!(
        "truncate -s 1G {HOME}/sts/gigabyte; head -c 256M /dev/zero | gzip -1 >{HOME}/sts/bomb.gz"
    ));
    make_certificates(rows);
    let blocks: String = rows.iter().map(block).collect();
    let conf = write(
        "sts/nginx.conf",
        format!(
            "daemon off; user root; worker_processes 1; pid {HOME}/sts/pid; error_log stderr notice;\n\
            events {{ worker_connections 64; }}\nhttp {{\n\
            server_names_hash_bucket_size 128; server_names_hash_max_size 2048; \n\
            client_body_temp_path {HOME}/sts; proxy_temp_path {HOME}/sts; fastcgi_temp_path {HOME}/sts;\n\
            uwsgi_temp_path {HOME}/sts; scgi_temp_path {HOME}/sts;\n\
            ssl_ciphers DEFAULT:@SECLEVEL=0; log_format whom '$host $scheme $request_uri'; access_log {ACCESS} whom;\n\
            server {{ listen {}:80; listen [{}]:80; {} }}\n{blocks}}}\n",
            v4(NUMBER),
            v6(NUMBER),
            serves(POLICY)
        ),
    );
    let backend = world
        .daemon("sts-backend", "python3", &["-c", ENDLESS])
        .await_ready("listens", || world.listens(BACKEND));
    let nginx = world.daemon(
        "sts-nginx",
        "nginx",
        &["-e", "stderr", "-c", &conf.to_string_lossy()],
    );
    let nginx = nginx.await_ready("listens", || {
        world.listens(&format!("[{}]:443", v6(NUMBER)))
    });
    [nginx, backend]
}

fn block(row: &Row) -> String {
    let file = match row.certificate {
        Certificate::Good => "sound",
        Certificate::Odd { .. } => &row.name,
    };
    format!(
        "server {{ listen {}:443 ssl http2; listen [{}]:443 ssl http2; server_name {};\n\
        ssl_certificate {HOME}/sts/{file}.pem; ssl_certificate_key {HOME}/sts/{file}.pem;\n\
        location = /.well-known/mta-sts.txt {{ {} }} }}\n",
        v4(NUMBER),
        v6(NUMBER),
        row.host(),
        row.answer
    )
}

fn make_certificates(rows: &[Row]) {
    sh(&format!(
        "cd {HOME}/pki; openssl req -x509 {KEY} -keyout limited.key -out limited.crt -days 20 -subj '/CN=Limited CA' \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -addext 'nameConstraints=critical,permitted;DNS:elsewhere.test' -CA ca.pem -CAkey ca.key 2>&1
        touch {HOME}/sts/index"
    ));
    let names: Vec<String> = rows
        .iter()
        .map(|row| format!("DNS:{}", row.host()))
        .collect();
    certificate("sound", "", SOUND, &names.join(","));
    for row in rows {
        if let Certificate::Odd(odd) = row.certificate {
            let names = odd.names.replace("HOST", &row.host());
            certificate(&row.name, &row.host(), odd, &names);
        }
    }
}

fn certificate(file: &str, host: &str, odd: Odd, names: &str) {
    let Odd {
        subject,
        purpose,
        digest,
        life: [from, to],
        signer,
        ..
    } = odd;
    let (by, chain) = match signer {
        Signer::Lab => ("-cert ca.pem -keyfile ca.key", ""),
        Signer::Itself => (&*format!("-selfsign -keyfile {HOME}/sts/{file}.key"), ""),
        Signer::Constrained => ("-cert limited.crt -keyfile limited.key", "limited.crt"),
    };
    let subject = subject.replace("HOST", host);
    // The names do not fit on a command line.
    write(
        "sts/openssl.cnf",
        format!(
            "[req]\ndistinguished_name=dn\n[dn]\n[ext]\nsubjectAltName={names}\nextendedKeyUsage={purpose}\n\
            basicConstraints=critical,CA:FALSE\n[ca]\ndefault_ca=d\n[d]\ndatabase={HOME}/sts/index\n\
            new_certs_dir={HOME}/sts\nrand_serial=yes\nunique_subject=no\npolicy=p\nemail_in_dn=no\n[p]\ncommonName=supplied\n"
        ),
    );
    sh(&format!(
        "cd {HOME}/pki; openssl req -new -config {HOME}/sts/openssl.cnf {KEY} -keyout {HOME}/sts/{file}.key \
        -out {HOME}/sts/{file}.csr -subj '/CN={subject}' 2>&1
        openssl ca -batch -config {HOME}/sts/openssl.cnf -md {digest} -startdate {from} -enddate {to} -extensions ext \
        -notext -in {HOME}/sts/{file}.csr -out {HOME}/sts/{file}.crt {by} 2>&1
        cat {HOME}/sts/{file}.key {HOME}/sts/{file}.crt {chain} >{HOME}/sts/{file}.pem"
    ));
}

/// Runs danelaw on the MTA's host with the lab's resolver and CA.
fn ask(mta: &Namespace, arguments: &[&str]) -> String {
    let config = write(
        "sts/danelaw.toml",
        format!(
            "[dns]\nresolvers = [\"{}:53\"]\ntrust_anchor = \"{}\"\nprobe_bogus = [\"bogus.test MX\"]\n\
            [tls]\nca_file = \"{}\"\n[mta_sts]\ntimeout = \"3s\"\n",
            dns::RESOLVER,
            dns::TRUST_ANCHOR,
            pki::CA
        ),
    );
    let mut command = mta.command(env!("CARGO_BIN_EXE_danelaw"));
    let output = command
        .args(arguments)
        .arg("--json")
        .arg("--config")
        .arg(config)
        // A proxy of the environment is none of its business.
        .envs(["HTTPS_PROXY", "https_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9")))
        .output()
        .expect("danelaw runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{arguments:?}: {complaints}");
    String::from_utf8(output.stdout).expect("JSON")
}

#[test]
fn sts_2_sts_10_sts_01_02_03_04_05_06_attack_sts_14_sts_33_every_fault_is_found_on_a_real_policy_host()
 {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let rows = rows();
        let _nginx = serve(world, &rows);
        for row in &rows {
            let said = ask(mta, &["sts", "lint", "--allow-private", &row.domain()]);
            let told: Value = serde_json::from_str(&said).expect("JSON");
            let findings = told["findings"].as_array().expect("a list").iter();
            let errors: Vec<String> = findings
                .filter(|finding| finding["severity"] == "error" && finding["part"] != "mx")
                .map(|finding| format!("{} {}", text(&finding["part"]), text(&finding["rule"])))
                .collect();
            assert_eq!(errors, row.errors, "{}: {said}", row.name);
        }
        let domains: Vec<String> = rows.iter().map(Row::domain).collect();
        let mut arguments = vec!["check", "--no-connect", "--allow-private"];
        arguments.extend(domains.iter().map(String::as_str));
        let said = ask(mta, &arguments);
        let told: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(told.len(), rows.len());
        for (row, told) in rows.iter().zip(&told) {
            assert!(
                text(&told["mta_sts"]).starts_with(row.policy),
                "{}: {told:#}",
                row.name
            );
        }
        // Nothing but the one path was ever asked for, of nobody but a domain's own host, and never in clear.
        let asked: BTreeSet<String> = read(ACCESS).lines().map(str::to_owned).collect();
        let allowed: BTreeSet<String> = rows
            .iter()
            .map(|row| format!("{} https /.well-known/mta-sts.txt", row.host()))
            .collect();
        let strange: Vec<&String> = asked.difference(&allowed).collect();
        assert!(
            strange.is_empty() && asked.len() > rows.len() / 2,
            "{strange:?}"
        );
    });
}

#[test]
fn attack_sts_13_a_policy_host_that_is_not_on_the_public_internet_hears_nothing() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let rows = rows();
        let _nginx = serve(world, &rows);
        let said = ask(mta, &["sts", "lint", "good.faults.test"]);
        assert!(
            said.contains("which is this host or not on the public internet"),
            "{said}"
        );
        assert_eq!(read(ACCESS), "");
    });
}

#[test]
fn a_signed_list_of_hints_is_gone_through_before_any_mail_and_one_by_a_stranger_stops_the_start() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, .. } = &lab.network;
        let list = "danelaw hints 1\nserial: 1\nexpires: 2999-01-01T00:00:00Z\n\nsts.test\nsts-wrong.test\nplain.test\n";
        write("danelaw/hints.txt", list);
        sh(&format!(
            "cd {HOME}/danelaw; for key in ours theirs; do openssl genpkey -algorithm ed25519 -out $key.key
            openssl pkey -in $key.key -pubout -out $key.pem
            openssl pkeyutl -sign -inkey $key.key -rawin -in hints.txt -out hints.txt.$key; done
            chmod 644 ours.pem; cp hints.txt.theirs hints.txt.sig"
        ));
        let problems = sh(&format!(
            "{} config check --config {} || true",
            env!("CARGO_BIN_EXE_danelaw"),
            danelaw::hinted().display()
        ));
        let expected = "mta_sts.hints.file: expected a list that the key has signed, got \
            /run/lab/danelaw/hints.txt: the signature is not that of the key over this list";
        assert!(problems.contains(expected), "{problems}");
        sh(&format!(
            "cp {HOME}/danelaw/hints.txt.ours {HOME}/danelaw/hints.txt.sig"
        ));
        let _daemon = danelaw::start_hinted(mta);
        until("the end of the list", || {
            read(log_of("danelaw"))
                .contains("the domains on the list were asked")
                .then_some(())
        });
        let fetched: BTreeSet<String> = read(format!("{HOME}/log/nginx-access"))
            .lines()
            .filter_map(|line| Some(line.split('"').nth(1)?.to_owned()))
            .collect();
        assert_eq!(
            fetched,
            ["GET /.well-known/mta-sts.txt HTTP/1.1".to_owned()].into()
        );
        // The record and the host may be gone now: the policy is known.
        publish(&lab, &lab.network.world, &[], "return 404;");
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let message = Message::short("first@sts-wrong.test");
        client.send(&message);
        stays(
            &client,
            "the first contact",
            &message,
            &["451 4.7.5", "sts-cert"],
        );
    });
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const POLICY: &str = "version: STSv1\\nmode: enforce\\nmx: mx.sts.test\\nmax_age: 604800\\n";
const ACCESS: &str = "/run/lab/log/sts-access";
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// Answers each request with a body that has neither length nor end.
const BACKEND: &str = "127.0.0.1:8081";
const ENDLESS: &str = r#"
import http.server
class Endless(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"mx: mx.sts.test\n" * 64)
        except OSError:
            pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Endless).serve_forever()
"#;
