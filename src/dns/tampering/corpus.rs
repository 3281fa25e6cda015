//! The seeds of the fuzz target for answers: honest conversations with the resolver about this world, and what they are about.

#![expect(
    clippy::disallowed_methods,
    reason = "IO: writes the corpus, when it is told to"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use super::honest::ANSWERS;
use super::*;

/// The keys of a world are made anew whenever one is built, so the corpus is written together with the anchor and the answers
/// that belong to it, and only when `DANELAW_REGENERATE=corpus` says so.
#[tokio::test]
async fn the_corpus_is_about_the_questions_of_this_world() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if std::env::var_os("DANELAW_REGENERATE").is_some_and(|value| value == "corpus") {
        write(&fuzz).await;
    }
    let answers = fs::read_to_string(fuzz.join("answers.txt")).unwrap();
    let (_, lines) = answers.split_once('\n').unwrap();
    let present: Vec<&str> = lines
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    let expected: Vec<String> = ANSWERS
        .iter()
        .map(|(_, owner, record_type, comes_out)| format!("{owner} {record_type} {comes_out}"))
        .collect();
    assert_eq!(
        present, expected,
        "`DANELAW_REGENERATE=corpus cargo test --lib corpus` writes it anew"
    );
}

async fn write(fuzz: &Path) {
    let corpus = fuzz.join("corpus/answer");
    fs::remove_dir_all(&corpus).ok();
    fs::create_dir_all(&corpus).unwrap();
    let world = Arc::new(world());
    let mut answers = format!(". IN DNSKEY {}\n", world.zone(".").key().dnskey());
    for (index, (_, owner, record_type, comes_out)) in ANSWERS.iter().enumerate() {
        let (tape, data) = record_of(&world, index).await;
        writeln!(answers, "{owner} {record_type} {comes_out}: {data}").unwrap();
        let file = format!("{index:02}-{}", comes_out.replace(' ', "-"));
        fs::write(corpus.join(file), tape).unwrap();
    }
    fs::write(fuzz.join("answers.txt"), answers).unwrap();
}

/// The number of the question and all messages, each after its length; and the data that came out.
async fn record_of(world: &Arc<World>, index: usize) -> (Vec<u8>, String) {
    let (_, owner, record_type, _) = ANSWERS[index];
    let tape = Arc::new(Mutex::new(vec![u8::try_from(index).unwrap()]));
    let recorder = Arc::clone(&tape);
    let liar = Liar::new(Arc::clone(world), move |_, _, message| {
        let wire = message.to_vec().unwrap();
        let mut tape = recorder.lock().unwrap();
        tape.extend(u16::try_from(wire.len()).unwrap().to_be_bytes());
        tape.extend(wire);
    });
    let chase = chase(liar, Hand::at(T0));
    let outcome = chase.look_up(&name(owner), record_type, &errand()).await;
    let mut data: Vec<String> = match outcome.end.map(|end| end.found) {
        Ok(Found::Records(data)) => data.iter().filter_map(crate::dns::answers::text).collect(),
        Ok(Found::Absent(_)) | Err(_) => Vec::new(),
    };
    data.sort();
    let tape = tape.lock().unwrap().clone();
    (tape, data.join("; "))
}
