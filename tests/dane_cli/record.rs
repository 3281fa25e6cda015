//! `danelaw dane record`: what is made, what it is of, and what is warned of or refused.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::chains::{Cert, Family, server};
use crate::{Files, MX, T0, answer, dane, word};

/// Makes records; gives stdout, stderr and the exit code.
fn make(arguments: &[&str]) -> (String, String, Option<i32>) {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    let output = dane("record", &arguments);
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

#[test]
fn what_is_made_is_what_matches() {
    let family = Family::of(&[MX]);
    let files = Files::new();
    let chain = files.chain(&family.chain());
    let cert = chain.to_str().unwrap();
    for usage in ["3", "2"] {
        for selector in ["0", "1"] {
            for matching in ["0", "1", "2"] {
                let kind = [
                    "--usage",
                    usage,
                    "--selector",
                    selector,
                    "--matching-type",
                    matching,
                ];
                let name = ["--name", MX, "--ttl", "3600", "--cert", cert];
                let (zone, _, code) = make(&[&kind[..], &name].concat());
                assert_eq!(code, Some(0), "{kind:?}");
                let line = format!("_25._tcp.{MX}. 3600 IN TLSA {usage} {selector} {matching} ");
                assert!(zone.contains(&line), "{zone}");
                let zone = files.put("made.zone", &zone);
                let mut arguments = vec![OsStr::new("--tlsa-file"), zone.as_os_str()];
                arguments.extend([OsStr::new("--chain"), chain.as_os_str()]);
                arguments.extend(["--json", "--time", T0, "--name", MX].map(OsStr::new));
                let found = answer(&dane("verify", &arguments));
                let depth = if usage == "3" { "0" } else { "2" };
                assert_eq!(word(&found), depth, "{kind:?}: {}", found.0);
            }
        }
    }
}

#[test]
fn by_default_it_is_3_1_1_and_the_next_key_may_stand_beside_it() {
    let family = Family::of(&[MX]);
    let next = rcgen::KeyPair::generate().unwrap();
    let files = Files::new();
    let chain = files.chain(&family.chain());
    let key = files.put("next.pub.pem", next.public_key_pem());
    let (cert, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let name = ["--name", MX];

    let (zone, warned, code) = make(&["--cert", cert, name[0], name[1]]);
    assert_eq!((warned.as_str(), code), ("", Some(0)));
    let expected = family.leaf.record([3, 1, 1]);
    assert_eq!(
        zone,
        format!("; certificate 1 of 3 in {cert:?} ({MX})\n_25._tcp.{MX}. IN TLSA {expected}\n")
    );

    let port = ["--port", "2525", "--json"];
    let (both, _, code) = make(&[&["--cert", cert, "--key", key][..], &name, &port].concat());
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!((&both["warnings"], code), (&json!([]), Some(0)));
    assert_eq!(both["owner"], format!("_2525._tcp.{MX}."));
    assert_eq!(both["records"][0]["rdata"], expected);
    // The certificate that the key gets later matches the record that was made before.
    let later = family.issuer.issue_to(server(&[MX]), next);
    assert_eq!(both["records"][1]["rdata"], later.record([3, 1, 1]));

    let (alone, warned, _) = make(&["--key", key]);
    assert!(alone.contains(&format!("\n_25._tcp IN TLSA {}\n", later.record([3, 1, 1]))));
    assert!(warned.contains("--name"), "{warned}");
}

#[test]
fn with_usage_2_it_is_about_the_last_certificate_and_warns_of_the_leaf() {
    let family = Family::of(&[MX]);
    let files = Files::new();
    let [leaf, issuer, root] = family.chain();
    let elsewhere = Family::of(&["mx.example.org"]);
    for (sentence, chain, certificate, warned) in [
        ("a whole chain", &family.chain()[..], root, ""),
        ("a chain up to an issuer", &[leaf, issuer], issuer, ""),
        ("a CA alone", &[root], root, "one certificate only"),
        ("the leaf alone", &[leaf], leaf, "cannot be a trust anchor"),
        ("the leaf last", &[root, issuer, leaf], leaf, "dane-path"),
        ("a gap", &[leaf, root], root, "dane-path"),
        (
            "a chain for another host",
            &elsewhere.chain(),
            &elsewhere.root,
            "dane-name",
        ),
    ] {
        let file = files.chain(chain);
        let (zone, warnings, code) = make(&[
            "--usage",
            "2",
            "--name",
            MX,
            "--cert",
            file.to_str().unwrap(),
        ]);
        assert_eq!(code, Some(0), "{sentence}");
        // RFC 7672 §3.1 recommends 2 0 1 where usage 2 is wanted.
        let line = format!("_25._tcp.{MX}. IN TLSA {}\n", certificate.record([2, 0, 1]));
        assert!(zone.ends_with(&line), "{sentence}: {zone}");
        assert!(warnings.contains(warned), "{sentence}: {warnings}");
        // Three go without saying: about dates and names, about the CA in the chain, and about its renewal.
        let expected = 3 + usize::from(!warned.is_empty());
        assert_eq!(warnings.lines().count(), expected, "{sentence}: {warnings}");
    }
}

#[test]
fn what_is_unwise_is_warned_of_and_what_is_useless_refused() {
    let leaf = Cert::self_signed(server(&[MX]));
    let files = Files::new();
    let cert = files.chain(&[&leaf]);
    let private = files.put("private.pem", leaf.key.serialize_pem());
    let (cert, private) = (cert.to_str().unwrap(), private.to_str().unwrap());
    for (arguments, code, said) in [
        (&["--selector", "0"][..], 0, "breaks with every renewal"),
        (&["--matching-type", "0"], 0, "makes answers long"),
        (
            &["--usage", "2", "--selector", "1"],
            0,
            "no part of a 2 1 x record",
        ),
        (&["--usage", "0"], 2, "not for SMTP"),
        (&["--usage", "1"], 2, "not for SMTP"),
        (&["--usage", "4"], 2, "--usage 3 or 2"),
        (&["--selector", "2"], 2, "--selector 1 or 0"),
        (&["--matching-type", "3"], 2, "--matching-type 1, 2 or 0"),
        (&["--key", private], 2, "openssl pkey"),
        (&["--key", cert], 2, "no `BEGIN PUBLIC KEY` section"),
        (&["--key", cert, "--selector", "0"], 2, "--selector 1"),
        (&["--name", "a b"], 2, "no host name may have"),
    ] {
        let (zone, told, exit) = make(&[&["--cert", cert][..], arguments].concat());
        assert_eq!(exit, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
        assert_eq!(zone.is_empty(), code != 0, "{arguments:?}");
        assert!(!told.contains("PRIVATE"), "{arguments:?}: {told}");
    }
}
