//! `danelaw trace`: a refusal is explained by the id that the mail server heard.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::place::{DELIVERED, MISMATCH, Place, REFUSED, deliver, domains, world};
use crate::service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_found_by_its_id_its_domain_and_its_age_and_holds_all_it_came_from() {
    let world = world().await;
    let place = Place::new();
    let service = Service::start(&place.configure(&world, ""));
    for name in [DELIVERED, REFUSED, MISMATCH] {
        deliver(&service, &world, name).await;
    }
    let last = place.objects(0, &["trace", "--last", "9", "--json"]);
    // Refusals only.
    let both = ["dane-ee-mismatch.test", "sts-enforce-wrong-name.test"];
    assert_eq!(domains(&last), both);
    let of = |name: &str| place.objects(0, &["trace", "--domain", name, "--json"]);
    assert_eq!(of(both[0]), last[..1]);
    let id = last[0]["id"].as_str().unwrap();
    assert_eq!(
        place.objects(0, &["trace", &id.to_lowercase(), "--json"]),
        last[..1]
    );

    holds_all_of_dane(&last[0]);
    let sts = &last[1];
    assert_eq!(sts["mta_sts"]["state"], "live");
    assert!(
        sts["mta_sts"]["text"]
            .as_str()
            .unwrap()
            .contains("mode: enforce")
    );
    assert_eq!(sts["outcome"]["rule"], "sts-name");
    assert_eq!(sts["demand"]["candidates"][0]["level"], "LS");

    let story = place.printed(0, &["trace", id]);
    for part in [
        "DNS said",
        "TLSA: secure",
        "no policy is announced",
        "TLSv1.3",
        "key sha256",
        "refuse: dane-mismatch (demanded: LD",
        "the mail server heard: 451 4.7.5",
        "to do",
    ] {
        assert!(story.contains(part), "{part} in {story}");
    }
    assert!(
        place
            .complaint(1, &["trace", "NOSUCHID"])
            .contains("trace.keep")
    );

    // A proxy that ends in order has written all of them down.
    deliver(&service, &world, MISMATCH).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
    assert_eq!(domains(&of(both[0])), [both[0]; 2]);
}

fn holds_all_of_dane(trace: &Value) {
    assert_eq!(trace["outcome"]["verdict"], "refuse");
    assert_eq!(trace["outcome"]["rule"], "dane-mismatch");
    assert!(
        trace["outcome"]["reply"]
            .as_str()
            .unwrap()
            .starts_with("451 4.7.5 ")
    );
    let answers = trace["dns"].as_array().unwrap();
    let types: Vec<_> = answers
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["MX", "A", "TLSA"], "{trace:#}");
    assert!(
        answers
            .iter()
            .all(|one| one["state"] == "secure" && one["ttl"].is_u64())
    );
    let attempts = trace["attempts"].as_array().unwrap();
    let chain = &attempts.last().unwrap()["showing"]["channel"]["tls"]["chain"];
    let leaf = &chain[0];
    for field in ["subject", "issuer", "not_after", "spki_sha256", "der"] {
        assert!(leaf[field].is_string(), "{field} in {leaf}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_configured_and_what_was_known_is_said_to_be() {
    let world = world().await;
    for (keep, kept) in [("all", 3), ("off", 0)] {
        let place = Place::new();
        let more = format!("[trace]\nkeep = \"{keep}\"\n");
        let service = Service::start(&place.configure(&world, &more));
        for name in [DELIVERED, MISMATCH, MISMATCH] {
            deliver(&service, &world, name).await;
        }
        let code = if kept == 0 { 1 } else { 0 };
        let traces = place.objects(code, &["trace", "--last", "9", "--json"]);
        assert_eq!(traces.len(), kept, "{keep}");
        let Some(newest) = traces.first() else {
            continue;
        };
        let answers = newest["dns"].as_array().unwrap();
        assert!(
            answers.iter().all(|one| one["cached"] == true),
            "{newest:#}"
        );
        assert_eq!(newest["mta_sts"]["cached"], true);
        assert_eq!(traces[2]["outcome"]["verdict"], "pin");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_without_a_store_answers_from_memory() {
    let world = world().await;
    let place = Place::new();
    let config = place.configure(&world, "");
    let (config, _) = config.split_once("[store]").unwrap();
    std::fs::write(place.path("danelaw.toml"), config).unwrap();
    let service = Service::start(config);
    deliver(&service, &world, REFUSED).await;
    let refused = ["sts-enforce-wrong-name.test"];
    let asked = |command: &[&str]| place.objects(0, command);
    assert_eq!(domains(&asked(&["policy", "list", "--json"])), refused);
    assert_eq!(
        domains(&asked(&["trace", "--last", "1", "--json"])),
        refused
    );
    service.logged("request=\"policy list\"");
}
