//! By UDP and TCP: what breaks the rules is no answer, and what nobody asked for is not heard.

use hickory_resolver::proto::op::{Edns, MessageType, ResponseCode};

use super::*;

/// What goes back to whoever asked, given the question and the honest answer.
type Manner = fn(Message, Message) -> Vec<Vec<u8>>;

/// A resolver that answers by UDP in its own manner; by TCP it is honest, or not there.
#[derive(Clone)]
struct Server {
    world: Arc<World>,
    manner: Manner,
    asked: Arc<Mutex<Vec<(Message, SocketAddr)>>>,
}

impl Server {
    fn new(world: &Arc<World>, manner: Manner) -> Self {
        Self {
            world: Arc::clone(world),
            manner,
            asked: Arc::default(),
        }
    }

    async fn start(&self) -> ServerAddress {
        let (address, udp, tcp) = bind().await;
        tokio::spawn(self.clone().by_udp(udp));
        tokio::spawn(Self::by_tcp(Arc::clone(&self.world), tcp));
        ServerAddress::plain(address)
    }

    async fn start_without_tcp(&self) -> ServerAddress {
        let (address, udp, tcp) = bind().await;
        drop(tcp);
        tokio::spawn(self.clone().by_udp(udp));
        ServerAddress::plain(address)
    }

    async fn by_udp(self, udp: UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            let (query, answer) = answer(&self.world, &buffer[..length]);
            self.asked.lock().unwrap().push((query.clone(), client));
            for reply in (self.manner)(query, answer) {
                udp.send_to(&reply, client).await.unwrap();
            }
        }
    }

    async fn by_tcp(world: Arc<World>, tcp: TcpListener) {
        while let Ok((mut stream, _)) = tcp.accept().await {
            while let Some(query) = read_message(&mut stream).await {
                let (_, answer) = answer(&world, &query);
                write_message(&mut stream, &answer.to_vec().unwrap()).await;
            }
        }
    }
}

/// What does not fit into a datagram is left to TCP.
fn honest(_: Message, mut answer: Message) -> Vec<Vec<u8>> {
    let wire = answer.to_vec().unwrap();
    if wire.len() <= 1232 {
        return vec![wire];
    }
    answer.metadata.truncation = true;
    answer.answers.clear();
    vec![answer.to_vec().unwrap()]
}

fn refusing(mut answer: Message, code: ResponseCode) -> Vec<Vec<u8>> {
    answer.answers.clear();
    answer.authorities.clear();
    answer.metadata.response_code = code;
    let mut edns = Edns::new();
    edns.set_rcode_high(code.high());
    answer.edns = Some(edns);
    vec![answer.to_vec().unwrap()]
}

const BREACHES: &[(&str, Manner)] = &[
    ("silence", |_, _| Vec::new()),
    ("garbage", |_, _| {
        vec![vec![0xff; 40], Vec::new(), vec![0; 12]]
    }),
    ("the wrong id", |_, mut answer| {
        answer.metadata.id = answer.metadata.id.wrapping_add(1);
        vec![answer.to_vec().unwrap()]
    }),
    ("another question", |_, mut answer| {
        answer.queries[0].set_name(name("mx1.free"));
        vec![answer.to_vec().unwrap()]
    }),
    ("no question", |_, mut answer| {
        answer.queries.clear();
        vec![answer.to_vec().unwrap()]
    }),
    ("the question itself", |query, _| {
        vec![query.to_vec().unwrap()]
    }),
    ("QR=0 with an answer", |_, mut answer| {
        answer.metadata.message_type = MessageType::Query;
        vec![answer.to_vec().unwrap()]
    }),
    ("cut off in the middle of a record", |_, answer| {
        let wire = answer.to_vec().unwrap();
        vec![wire[..wire.len() - 9].to_vec()]
    }),
    ("SERVFAIL", |_, answer| {
        refusing(answer, ResponseCode::ServFail)
    }),
    ("REFUSED", |_, answer| {
        refusing(answer, ResponseCode::Refused)
    }),
    ("NOTIMP", |_, answer| refusing(answer, ResponseCode::NotImp)),
    ("FORMERR", |_, answer| {
        refusing(answer, ResponseCode::FormErr)
    }),
    ("BADVERS", |_, answer| {
        refusing(answer, ResponseCode::BADVERS)
    }),
    ("FORMERR, and not a word of EDNS", |_, mut answer| {
        answer.answers.clear();
        answer.metadata.response_code = ResponseCode::FormErr;
        vec![answer.to_vec().unwrap()]
    }),
];

#[tokio::test]
async fn dns_05_18_dnssec_25_a_resolver_that_breaks_the_rules_by_udp_is_stepped_over() {
    let world = world();
    let world = &world;
    let trials = BREACHES
        .iter()
        .map(|breach| is_stepped_over(world, *breach));
    futures_util::future::join_all(trials).await;
}

async fn is_stepped_over(world: &Arc<World>, (says, manner): (&str, Manner)) {
    let broken = Server::new(world, manner);
    let second = Server::new(world, honest).start().await;
    let two = resolver(
        world,
        vec![broken.start().await, second],
        Validate::Local,
        None,
    );
    let found = tlsa_at(&two, "_25._tcp.mx0.safe").await;
    assert!(is_secure(&found), "{says}: {found:?}");
    let alone = [
        (Validate::Local, "_25._tcp.mx0.free"),
        (Validate::TrustAd, "_25._tcp.no.free"),
        (Validate::Both, "_25._tcp.mx0.safe"),
    ];
    for (validate, owner) in alone {
        let one = resolver(world, vec![broken.start().await], validate, None);
        let found = tlsa_at(&one, owner).await;
        assert!(is_unreachable(&found), "{says}, {validate:?}: {found:?}");
    }
    // Nobody was ever asked without DO and CD, or for a verdict without AD.
    for (query, _) in &*broken.asked.lock().unwrap() {
        let wants_data = query.edns.as_ref().unwrap().flags().dnssec_ok;
        assert_eq!(query.metadata.checking_disabled, wants_data, "{says}");
        assert_eq!(query.metadata.authentic_data, !wants_data, "{says}");
    }
}

#[tokio::test]
async fn dns_05_dnssec_25_a_truncated_answer_without_tcp_is_none() {
    let world = world();
    let server = Server::new(&world, honest);
    let owner = "_25._tcp.big.safe";
    let one = resolver(
        &world,
        vec![server.start_without_tcp().await],
        Validate::Local,
        None,
    );
    let found = tlsa_at(&one, owner).await;
    assert!(is_unreachable(&found), "{found:?}");
    let servers = vec![server.start_without_tcp().await, server.start().await];
    let found = tlsa_at(&resolver(&world, servers, Validate::Local, None), owner).await;
    assert!(is_secure(&found), "{found:?}");
}

#[tokio::test]
async fn dns_05_18_where_nobody_listens_the_next_one_is_asked() {
    let world = world();
    let (nobody, udp, tcp) = bind().await;
    drop((udp, tcp));
    let server = Server::new(&world, honest).start().await;
    let servers = vec![ServerAddress::plain(nobody), server];
    let found = tlsa_at(
        &resolver(&world, servers, Validate::Local, None),
        "_25._tcp.mx0.safe",
    )
    .await;
    assert!(is_secure(&found), "{found:?}");
    let servers = vec![ServerAddress::plain(nobody)];
    let found = tlsa_at(
        &resolver(&world, servers, Validate::Local, None),
        "_25._tcp.mx0.safe",
    )
    .await;
    assert!(is_unreachable(&found), "{found:?}");
}

#[tokio::test]
async fn dns_17_dnssec_3_4_questions_carry_the_right_bits_and_cannot_be_guessed() {
    let world = world();
    for (validate, wants_data) in [(Validate::Local, true), (Validate::TrustAd, false)] {
        let server = Server::new(&world, honest);
        let resolver = resolver(&world, vec![server.start().await], validate, None);
        for host in 0..12 {
            let found = tlsa_at(&resolver, &format!("_25._tcp.mx{host}.safe")).await;
            assert!(is_secure(&found), "{found:?}");
        }
        let asked = server.asked.lock().unwrap();
        for (query, _) in &*asked {
            let edns = query.edns.as_ref().unwrap();
            assert!(query.metadata.recursion_desired);
            assert_eq!(edns.max_payload(), 1232);
            assert_eq!(edns.flags().dnssec_ok, wants_data, "DO");
            assert_eq!(query.metadata.checking_disabled, wants_data, "CD");
            assert_eq!(query.metadata.authentic_data, !wants_data, "AD");
        }
        let mut ids: Vec<u16> = asked.iter().map(|(query, _)| query.metadata.id).collect();
        let mut ports: Vec<u16> = asked.iter().map(|(_, client)| client.port()).collect();
        for numbers in [&mut ids, &mut ports] {
            numbers.sort_unstable();
            numbers.dedup();
            // By chance two may be alike.
            assert!(numbers.len() + 2 >= asked.len(), "{numbers:?}");
        }
    }
}

#[tokio::test]
async fn dns_17_an_answer_from_somewhere_else_or_with_another_id_does_not_count() {
    let world = world();
    let (address, udp, _tcp) = bind().await;
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let by_udp = Arc::clone(&world);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            let (_, genuine) = answer(&by_udp, &buffer[..length]);
            let mut forged = genuine.clone();
            for record in &mut forged.answers {
                if record.record_type() == RecordType::TLSA {
                    record.data = tlsa(66);
                }
            }
            elsewhere
                .send_to(&forged.to_vec().unwrap(), client)
                .await
                .unwrap();
            for guess in 1..50 {
                forged.metadata.id = genuine.metadata.id.wrapping_add(guess);
                udp.send_to(&forged.to_vec().unwrap(), client)
                    .await
                    .unwrap();
            }
            udp.send_to(&genuine.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    });
    for validate in [Validate::Local, Validate::TrustAd] {
        let resolver = resolver(&world, vec![ServerAddress::plain(address)], validate, None);
        let found = tlsa_at(&resolver, "_25._tcp.mx0.free").await;
        let Answer::Insecure(records) = &found else {
            panic!("{validate:?}: {found:?}");
        };
        assert_eq!(records[0][3], 1, "{validate:?}");
    }
}
