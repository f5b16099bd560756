use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, ETAG, HeaderValue, TE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::upstream::UpstreamError;
use crate::upstream::error::Breakage;
use crate::upstream::outgoing::{Ear, Outgoing};

/// Content that comes step by step. By default there is none.
#[derive(Default)]
struct Steps(VecDeque<Step>);

#[derive(Clone, Copy)]
enum Step {
    Data(&'static str),
    Trailer(&'static str),
    /// Nothing comes, and nobody is woken.
    Wait,
    Fail,
}

impl Body for Steps {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.0.front().copied() {
            None => return Poll::Ready(None),
            Some(Step::Wait) => return Poll::Pending,
            Some(_) => {}
        }
        Poll::Ready(self.0.pop_front().map(|step| match step {
            Step::Data(data) => Ok(Frame::data(Bytes::from_static(data.as_bytes()))),
            Step::Trailer(value) => {
                Ok(Frame::trailers(HeaderMap::from_iter([(ETAG, HeaderValue::from_static(value))])))
            }
            Step::Wait | Step::Fail => Err("the consumer left".into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn outgoing(method: Method, headers: &[(http::HeaderName, &'static str)], steps: &[Step]) -> Outgoing<Steps> {
    let mut request = Request::new(Steps(steps.iter().copied().collect()));
    *request.method_mut() = method;
    *request.uri_mut() = "/a?b".parse().expect("a path");
    for (name, value) in headers {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    Outgoing { request, spelling: None }
}

fn sending(mut outgoing: Outgoing<Steps>) -> Sending<Steps> {
    let host = HeaderValue::from_static("h");
    Sending::new(&mut outgoing, Line { base_path: "/base", host: Some(&host) })
}

fn get() -> Sending<Steps> {
    sending(outgoing(Method::GET, &[], &[]))
}

fn post(steps: &[Step]) -> Sending<Steps> {
    sending(outgoing(Method::POST, &[], steps))
}

fn connection() -> (Box<Connection>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    (Box::new(Connection::new(Stream::InMemory(ours), Instant::now() + Duration::from_secs(60))), theirs)
}

/// Runs it on a runtime whose clock stands still, and says so where it waits for something that never comes.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let within = async { tokio::time::timeout(Duration::from_secs(10), test).await };
    runtime.expect("a runtime").block_on(within).expect("nothing is left to wait for")
}

async fn read_all(reading: &mut Reading<Steps>) -> Result<(String, Option<HeaderMap>), UpstreamError> {
    let (mut content, mut trailers) = (BytesMut::new(), None);
    while let Some(frame) = poll_fn(|cx| reading.poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => content.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((String::from_utf8(content.to_vec()).expect("text"), trailers))
}

#[derive(Default)]
struct Heard(RefCell<Vec<StatusCode>>);

impl Ear for Heard {
    fn interim(&self, status: StatusCode, _: &HeaderMap) {
        self.0.borrow_mut().push(status);
    }
}

/// What somebody who asks gets when these bytes come as an answer in these pieces, and then the end.
async fn answered(bytes: &'static str, cuts: &[usize]) -> String {
    let (connection, mut theirs) = connection();
    let heard = Heard::default();
    let asked = async {
        let mut call = Call::new(connection, get());
        let answer = call.head(&Method::GET, &heard).await?;
        let mut reading = call.read(&answer);
        let content = read_all(&mut reading).await?;
        let again = reading.into_connection().is_some_and(|mut it| it.rest(Instant::now()));
        Ok::<_, UpstreamError>(format!("{:?} {content:?} {again}", answer.head))
    };
    let told = async {
        let mut from = 0;
        for to in cuts.iter().copied().chain([bytes.len()]) {
            // Whoever has heard enough listens no longer.
            let _ = theirs.write_all(&bytes.as_bytes()[from..to]).await;
            from = to;
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        let _ = theirs.shutdown().await;
    };
    let (asked, ()) = tokio::join!(asked, told);
    let asked = asked.map_err(|error| format!("{error:?}"));
    format!("{asked:?} {:?}", heard.0.borrow())
}

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    "HTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello",
    "HTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: ",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "",
];

proptest! {
    #[test]
    fn however_an_answer_is_cut_it_is_the_same(
        bytes in prop::sample::select(ANSWERS),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(run(answered(bytes, &cuts)), run(answered(bytes, &[])));
    }
}

#[test]
fn an_answer_is_read_to_its_end_and_its_connection_used_again() {
    let seen = run(answered(ANSWERS[6], &[]));
    for part in ["hello!", r#"{\"a\": \"b\"}"#, "true"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    let seen = run(answered(ANSWERS[5], &[]));
    assert!(seen.contains("true") && seen.ends_with("[103, 100]"), "{seen}");
    for once in [2, 3, 10] {
        assert!(run(answered(ANSWERS[once], &[])).contains("false"), "{}", ANSWERS[once]);
    }
}

#[test]
fn what_follows_an_answer_is_nobodys() {
    run(async {
        let (connection, mut theirs) = connection();
        theirs.write_all(b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n").await.expect("room");
        let mut call = Call::new(connection, get());
        let answer = call.head(&Method::GET, &()).await.expect("an answer");
        let mut connection = call.read(&answer).into_connection().expect("read to its end");
        assert!(!connection.rest(Instant::now()));
    });
}

/// What is sent for a request, as far as that needs no answer.
fn sent(sending: Sending<Steps>) -> String {
    run(async {
        let (connection, mut theirs) = connection();
        let mut call = Call::new(connection, sending);
        let mut seen = Vec::new();
        tokio::select! {
            biased;
            _ = call.head(&Method::GET, &()) => {}
            () = tokio::task::yield_now() => {}
        }
        drop(call);
        theirs.read_to_end(&mut seen).await.expect("all that was written");
        String::from_utf8(seen).expect("text")
    })
}

#[test]
fn a_request_says_its_length_once_whatever_it_is() {
    let of = |headers: &[_], steps: &[Step]| sent(sending(outgoing(Method::POST, headers, steps)));
    let start = "POST /base/a?b HTTP/1.1\r\nhost: h\r\n";
    assert_eq!(of(&[], &[]), format!("{start}\r\n"));
    assert_eq!(of(&[(CONTENT_LENGTH, "0")], &[]), format!("{start}content-length: 0\r\n\r\n"));
    let two = [Step::Data("ab"), Step::Data("c")];
    assert_eq!(of(&[(CONTENT_LENGTH, "3")], &two), format!("{start}content-length: 3\r\n\r\nabc"));
    let chunked = format!("{start}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n");
    assert_eq!(of(&[], &two), format!("{chunked}\r\n"));
    let with_trailer = [&two[..], &[Step::Trailer("t")]].concat();
    assert_eq!(of(&[], &with_trailer), format!("{chunked}etag: t\r\n\r\n"), "announced or not");
}

#[test]
fn te_is_named_in_connection_beside_what_is_there() {
    let of = |headers: &[_]| sent(sending(outgoing(Method::GET, headers, &[])));
    assert!(of(&[(TE, "trailers")]).contains("connection: TE\r\n"));
    let both = of(&[(CONNECTION, "upgrade"), (TE, "trailers")]);
    assert!(both.contains("connection: upgrade\r\nconnection: TE\r\n"), "{both}");
}

#[test]
fn an_early_answer_is_heard_and_read_while_the_request_goes_on() {
    run(async {
        let (connection, mut theirs) = connection();
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("room");
        let mut call = Call::new(connection, post(&[Step::Data("ab"), Step::Wait]));
        let answer = call.head(&Method::POST, &()).await.expect("an answer");
        let mut reading = call.read(&answer);
        assert_eq!(read_all(&mut reading).await.expect("content").0, "ok");
        assert!(reading.into_connection().is_none(), "the request is not over");
        let mut seen = String::new();
        theirs.read_to_string(&mut seen).await.expect("text");
        assert!(seen.ends_with("\r\n\r\n2\r\nab\r\n"), "{seen}");
    });
}

#[test]
fn a_request_goes_on_while_nobody_asks_for_more_of_its_early_answer() {
    const SIZE: usize = 1 << 20;
    let local = tokio::task::LocalSet::new();
    run(local.run_until(async {
        let (ours, mut theirs) = duplex(64);
        let connection = Box::new(Connection::new(Stream::InMemory(ours), Instant::now() + Duration::from_secs(60)));
        let (sent, half) = (vec![b'x'; SIZE].leak(), SIZE / 2);
        let sent = std::str::from_utf8(sent).expect("text");
        let length: &'static str = SIZE.to_string().leak();
        let steps = [Step::Data(&sent[..half]), Step::Data(&sent[half..])];
        let mut call = Call::new(connection, sending(outgoing(Method::POST, &[(CONTENT_LENGTH, length)], &steps)));
        let (answer, _) = tokio::join!(
            call.head(&Method::POST, &()),
            theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        );
        let Ok(mut early) = call.read(&answer.expect("a head")).early() else { panic!("the request is not over") };
        let (mut read, mut write) = tokio::io::split(theirs);
        let answering = async { write.write_all(&[b'y'; 1000]).await };
        let mut seen = 0;
        let reading = async {
            while seen < SIZE {
                seen += read.read(&mut [0; 4096]).await.expect("more of the request");
            }
        };
        tokio::pin!(answering);
        tokio::select! {
            biased;
            () = reading => {}
            _ = &mut answering => panic!("there is no room for the answer that nobody reads"),
        }
        let taking = async {
            let mut taken = 0;
            while let Some(frame) = poll_fn(|cx| early.poll_frame(cx)).await {
                taken += frame.expect("content").data_ref().map_or(0, Bytes::len);
            }
            taken
        };
        let (taken, answered) = tokio::join!(taking, answering);
        answered.expect("it is read");
        assert_eq!((taken, early.is_over()), (1000, true));
    }));
}

#[test]
fn an_answer_that_is_there_counts_although_the_request_could_not_be_written() {
    run(async {
        let (connection, mut theirs) = connection();
        theirs.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno").await.expect("room");
        drop(theirs);
        let mut call = Call::new(connection, post(&[Step::Data("ab"), Step::Wait]));
        let answer = call.head(&Method::POST, &()).await.expect("an answer");
        assert_eq!(answer.head.status, StatusCode::PAYLOAD_TOO_LARGE);
        let mut reading = call.read(&answer);
        assert_eq!(read_all(&mut reading).await.expect("content").0, "no");
        assert!(reading.into_connection().is_none());
    });
}

#[test]
fn content_that_breaks_off_is_the_senders_fault() {
    run(async {
        let (connection, _theirs) = connection();
        let mut call = Call::new(connection, post(&[Step::Data("ab"), Step::Fail]));
        let failed = call.head(&Method::POST, &()).await.expect_err("no answer");
        assert!(matches!(failed, UpstreamError::Unsent(_)), "{failed:?}");
        let (connection, mut theirs) = self::connection();
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.expect("room");
        let wrong = outgoing(Method::POST, &[(CONTENT_LENGTH, "1")], &[Step::Data("ab")]);
        let failed = Call::new(connection, sending(wrong)).head(&Method::POST, &()).await.expect_err("no answer");
        assert!(matches!(failed, UpstreamError::Unsent(_)), "{failed:?}");
    });
}

/// What can be sent again after a connection failed that behaved like this.
async fn again(first: Sending<Steps>, answer: Option<&str>) -> Option<String> {
    let (connection, mut theirs) = connection();
    let mut call = Call::new(connection, first);
    let failed = async {
        let failed = call.head(&Method::GET, &()).await.expect_err("no answer");
        assert!(matches!(failed, UpstreamError::Broken(Breakage::Cut | Breakage::Connection(_))), "{failed:?}");
        call.again()
    };
    let failing = async move {
        if let Some(answer) = answer {
            assert!(theirs.read_u8().await.is_ok());
            theirs.write_all(answer.as_bytes()).await.expect("room");
        }
    };
    let (again, ()) = tokio::join!(biased; failed, failing);
    let (connection, mut theirs) = self::connection();
    let mut call = Call::new(connection, again?);
    theirs.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.expect("room");
    call.head(&Method::GET, &()).await.expect("an answer");
    drop(call);
    let mut seen = String::new();
    theirs.read_to_string(&mut seen).await.expect("text");
    Some(seen)
}

#[test]
fn a_request_goes_out_again_where_nobody_can_have_acted_on_it() {
    let whole = "GET /base/a?b HTTP/1.1\r\nhost: h\r\n\r\n";
    assert_eq!(run(again(get(), Some(""))).as_deref(), Some(whole), "it was sent, and nothing came");
    assert_eq!(run(again(get(), Some("HTTP"))), None, "something came");
    let two = [Step::Data("ab"), Step::Data("c")];
    assert_eq!(run(again(post(&two), Some(""))), None, "it was sent");
    run(async {
        let (connection, theirs) = connection();
        drop(theirs);
        let mut call = Call::new(connection, post(&two));
        call.head(&Method::POST, &()).await.expect_err("nobody listens");
        let again = sent_by(call.again().expect("nothing of it was written")).await;
        assert!(again.ends_with("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), "{again}");
    });
}

async fn sent_by(sending: Sending<Steps>) -> String {
    let (connection, mut theirs) = connection();
    theirs.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.expect("room");
    let mut call = Call::new(connection, sending);
    call.head(&Method::GET, &()).await.expect("an answer");
    drop(call);
    let mut seen = String::new();
    theirs.read_to_string(&mut seen).await.expect("text");
    seen
}

#[test]
fn a_connection_that_left_http_begins_with_what_was_read_ahead() {
    run(async {
        let (connection, mut theirs) = connection();
        theirs.write_all(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nfirst").await.expect("room");
        let mut call = Call::new(connection, get());
        let answer = call.head(&Method::GET, &()).await.expect("an answer");
        let mut switched = call.read(&answer).into_switched();
        theirs.write_all(b" second").await.expect("room");
        let mut seen = [0; 12];
        switched.read_exact(&mut seen[..2]).await.expect("bytes");
        switched.read_exact(&mut seen[2..]).await.expect("bytes");
        assert_eq!(&seen, b"first second");
    });
}

#[test]
fn whoever_waits_holds_no_memory_for_reading() {
    run(async {
        let (connection, theirs) = connection();
        let mut call = Call::new(connection, get());
        assert!(poll_once(&mut call).is_pending());
        assert_eq!(call.connection.buffer.capacity(), 0);
        drop(theirs);
    });
    let size = size_of::<Connection>() + size_of::<Call<Steps>>();
    assert!(size <= 512, "{size} bytes");
    assert!(size_of::<Reading<Steps>>() <= 96, "{} bytes", size_of::<Reading<Steps>>());
}

fn poll_once(call: &mut Call<Steps>) -> Poll<()> {
    let asked = Method::GET;
    let polled = std::pin::pin!(call.head(&asked, &())).poll(&mut Context::from_waker(Waker::noop()));
    polled.map(|_| ())
}

#[tokio::test]
async fn an_idle_connection_is_quiet_until_its_peer_says_or_does_something() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    for says in [&b"x"[..], b""] {
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (mut theirs, _) = listener.accept().await.expect("a connection");
        let mut connection = Connection::new(Stream::Clear(stream), Instant::now() + Duration::from_secs(60));
        assert!(connection.is_quiet());
        theirs.write_all(says).await.expect("they listen");
        theirs.shutdown().await.expect("they listen");
        if let Stream::Clear(tcp) = &connection.stream {
            tcp.readable().await.expect("readable");
        }
        assert!(!connection.is_quiet());
        assert!(!connection.is_kept(Instant::now(), Duration::from_secs(60)));
    }
}
