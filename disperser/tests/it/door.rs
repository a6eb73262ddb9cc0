//! Who may send how much: senders, each from a network of this machine of its own.

use crate::support::{Temper, World, config, http_from, problem};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

/// Declares a body, and sends only its beginning.
async fn stuck_upload(
    from: [u8; 4],
    to: std::net::SocketAddr,
    length: u64,
) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let head = format!("POST /v1/blobs HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nx");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Sixty-four uploads of the largest size, of which there would be room for four: what they declare takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_do_not_go_on_keep_nobody_out() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.max_payload = 8 << 20;
    settings.accept.body_memory_bytes = 4 * settings.max_body();
    let running = world.start(settings).await;
    let address = running.disperser.http_addr();
    let mut stuck = Vec::new();
    for n in 0..64 {
        stuck.push(stuck_upload([127, 0, 100 + n % 4, 1], address, 8 << 20).await);
    }
    let accepted = running.accepted("", &vec![7; 8 << 20]).await;
    running.certified(&accepted.id).await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_its_share_is_told_so_and_others_are_taken_in() {
    let world = World::new(&[(Temper::Hangs, 1)]);
    let mut settings = config();
    settings.accept.max_open_blobs = 50;
    let running = world.start(settings).await;
    let post = async |from: &str, salt: u64| {
        let url = running.url(&format!("/v1/blobs?salt={salt}"));
        let http = http_from(from);
        http.post(url).body("payload").send().await.unwrap()
    };
    let fill = async |from: &str, first: u64| {
        for n in 0..50 {
            let answer = post(from, first + n).await;
            if answer.status() != 202 {
                let after = answer.headers()["retry-after"].to_str().unwrap();
                assert!((1..=60).contains(&after.parse::<u64>().unwrap()), "{after}");
                let told = problem(answer).await;
                assert_eq!((told.status, told.code.as_str()), (429, "intake.share"));
                return n;
            }
        }
        panic!("one sender has everything");
    };
    let greedy = fill("127.6.6.6", 0).await;
    assert!(greedy >= 30, "{greedy}");
    let other = fill("127.1.1.1", 100).await;
    assert!(other >= 5, "{other}");
    // Refused before the body: it never comes.
    let address = running.disperser.http_addr();
    let mut waiting = stuck_upload([127, 6, 6, 6], address, 1000).await;
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut waiting, &mut answer)
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    running.disperser.shutdown().await;
}

/// Ten waits of one network are all that there are; another comes and has a place: one of the ten is answered early.
#[tokio::test(flavor = "multi_thread")]
async fn places_to_wait_are_given_back_to_others() {
    let world = World::new(&[(Temper::Hangs, 1)]);
    let mut settings = config();
    settings.accept.max_waiters = 10;
    let running = world.start(settings).await;
    let wait = |from: &str, salt: u64| {
        let url = running.url(&format!("/v1/blobs?wait=certified&salt={salt}"));
        let request = http_from(from).post(url).body("payload").send();
        tokio::spawn(async move { request.await.unwrap() })
    };
    let mut waiting: Vec<_> = (0..10).map(|n| wait("127.6.6.6", n)).collect();
    let full = async || {
        let mut status = 0;
        for salt in 20..1000 {
            let told = problem(wait("127.6.6.6", salt).await.unwrap()).await;
            status = told.status;
            if told.code == "waiters.full" {
                break;
            }
        }
        status
    };
    assert_eq!(full().await, 503);
    let others = wait("127.1.1.1", 2000);
    let early = futures::future::select_all(&mut waiting).await.0.unwrap();
    assert_eq!(early.status(), 202);
    assert!(!others.is_finished());
    running.disperser.shutdown().await;
}
