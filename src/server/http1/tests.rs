use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderValue, LINK};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tower::service_fn;

use super::*;
use crate::server::connections::Connections;
use crate::server::stream::{Observed, Readable};

type Answer = Response<UnsyncBoxBody<Bytes, Error>>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>>>>;

const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, streams: 1 };
const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// The server's end. A consumer that leaves may reset it, which a pipe has no word for.
struct Socket {
    pipe: DuplexStream,
    resets: Rc<Cell<bool>>,
}

impl Readable for Socket {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.pipe).poll_read(cx, buf))?;
        let is_reset = buf.filled().len() == before && self.resets.get();
        Poll::Ready(if is_reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// A consumer of a connection whose requests are answered by a closure.
struct Place {
    consumer: DuplexStream,
    resets: Rc<Cell<bool>>,
    connections: Rc<Connections>,
    served: JoinHandle<Result<(), Error>>,
}

impl Place {
    fn serve(answer: impl Fn(Request<Content>, Rc<Line>) -> Answering + 'static) -> Self {
        let (consumer, pipe) = duplex(1 << 10);
        let resets = Rc::new(Cell::new(false));
        let socket = Socket { pipe, resets: Rc::clone(&resets) };
        let connections = Rc::new(Connections::default());
        let registration = connections.open();
        let service = service_fn(move |(request, peer): (Request<Content>, Peer)| {
            answer(request, peer.line.expect("HTTP/1 is spoken"))
        });
        let peer = Peer::new("127.0.0.1:1".parse().expect("an address"), false);
        let served = tokio::task::spawn_local(async move {
            let witness = registration.witness();
            speak(socket, BytesMut::new(), LIMITS, (service, peer), witness).await
        });
        Self { consumer, resets, connections, served }
    }

    async fn write(&mut self, text: &str) {
        self.consumer.write_all(text.as_bytes()).await.expect("the connection is read");
    }

    /// As much as a text has, which it has to be, but for the `Date`.
    async fn reads(&mut self, expected: &str) {
        let mut got = String::new();
        while got.len() < expected.len() || got.contains("\ndate") {
            let byte = self.consumer.read_u8().await.unwrap_or_else(|_| panic!("the end after {got:?}"));
            got.push(char::from(byte));
            if got.ends_with(" GMT\r\n") {
                let at = got.rfind("date: ").expect("a line of its own");
                got.truncate(at);
            }
        }
        assert_eq!(got, expected);
    }

    async fn ends(&mut self) {
        let mut rest = Vec::new();
        self.consumer.read_to_end(&mut rest).await.expect("a pipe");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

fn test(life: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(LocalSet::new().run_until(life));
}

fn full(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync())
}

fn streamed() -> (Sender<Bytes, Error>, Answer) {
    let (sender, content) = Channel::new(8);
    (sender, Response::new(content.boxed_unsync()))
}

/// Says what was asked, once all of it is read.
fn echo(request: Request<Content>, _: Rc<Line>) -> Answering {
    Box::pin(async move {
        let (head, content) = request.into_parts();
        if head.extensions.get::<crate::refusal::Refusal>().is_some() {
            return Ok(full("refused"));
        }
        let Ok(content) = content.collect().await else { return Ok(full("broken")) };
        let trailers = content.trailers().map(|trailers| format!("{trailers:?}")).unwrap_or_default();
        let content = content.to_bytes();
        Ok(full(format!("{} {} {:?}{trailers}", head.method, head.uri, String::from_utf8_lossy(&content))))
    })
}

fn answer(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

#[test]
fn requests_are_answered_one_after_the_other() {
    test(async {
        let mut place = Place::serve(echo);
        let chunks = "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n";
        place.write(&format!("\r\n{GET}POST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi{chunks}{GET}")).await;
        place.reads(&answer("GET /a \"\"")).await;
        place.reads(&answer("POST /b \"hi\"")).await;
        place.reads(&answer("POST /c \"hi!\"{\"x\": \"y\"}")).await;
        place.reads(&answer("GET /a \"\"")).await;
        place.write(&GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        place.reads(&answer("GET /a \"\"").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
        place.ends().await;
        assert!(place.served.await.expect("no panic").is_ok());
    });
}

#[test]
fn a_consumer_that_has_said_all_is_answered_and_one_that_left_is_not() {
    test(async {
        for resets in [false, true] {
            let (ask, asked) = oneshot::channel::<()>();
            let asked = RefCell::new(Some(asked));
            let mut place = Place::serve(move |_, _| {
                let asked = asked.take().expect("asked once");
                Box::pin(async move { asked.await.map(|()| full("late")).or_else(|_| Ok(full("never"))) })
            });
            place.resets.set(resets);
            place.write(GET).await;
            place.consumer.shutdown().await.expect("a pipe");
            if resets {
                assert!(place.served.await.expect("no panic").is_err());
                assert!(ask.is_closed(), "the exchange is over");
            } else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                ask.send(()).expect("the exchange goes on");
                place.reads(&answer("late")).await;
                place.ends().await;
            }
        }
    });
}

#[test]
fn a_consumer_is_told_to_continue_when_its_content_is_wanted() {
    test(async {
        let ask = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        let mut place = Place::serve(echo);
        place.write(ask).await;
        place.reads("HTTP/1.1 100 Continue\r\n\r\n").await;
        place.write("hi").await;
        place.reads(&answer("POST / \"hi\"")).await;
        place.write(&format!("{ask}hi")).await;
        place.reads(&answer("POST / \"hi\"")).await;
        place.write(&ask.replace("1.1", "1.0")).await;
        place.write("hi").await;
        place.reads("HTTP/1.0 200 OK\r\ncontent-length: 11\r\n\r\nPOST / \"hi\"").await;
        place.ends().await;
        // What would come next is content, or a request.
        let mut place = Place::serve(|_, _| Box::pin(async { Ok(full("no")) }));
        place.write(ask).await;
        place.reads("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await;
        place.ends().await;
    });
}

#[test]
fn interim_answers_come_before_their_answer() {
    test(async {
        let mut place = Place::serve(|_, line| {
            let interim = line.interim();
            let hints = HeaderMap::from_iter([(LINK, HeaderValue::from_static("</a>"))]);
            Box::pin(async move {
                interim.send(StatusCode::PROCESSING, &HeaderMap::new());
                tokio::time::sleep(Duration::from_secs(1)).await;
                interim.send(StatusCode::EARLY_HINTS, &hints);
                Ok(full("ok"))
            })
        });
        place.write(&GET.repeat(2)).await;
        for _ in 0..2 {
            place.reads("HTTP/1.1 102 Processing\r\n\r\n").await;
            place.reads("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
            place.reads(&answer("ok")).await;
        }
    });
}

#[test]
fn content_that_nobody_read_is_passed_over_where_it_is_little_and_there() {
    test(async {
        let mut place = Place::serve(|_, _| Box::pin(async { Ok(full("ok")) }));
        place.write(&format!("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello{GET}")).await;
        place.reads(&answer("ok").repeat(2)).await;
        // The consumer goes on sending, and sees its answer all the same.
        place.write("POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n").await;
        for _ in 0..100 {
            place.write(&"x".repeat(1000)).await;
        }
        place.reads(&answer("ok").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
        place.ends().await;
        assert!(place.served.await.expect("no panic").is_ok(), "after a second");
    });
}

#[test]
fn a_head_that_is_none_is_refused_and_what_follows_is_lost() {
    test(async {
        let mut place = Place::serve(|request, _| {
            let refused = request.extensions().get::<crate::refusal::Refusal>().copied();
            Box::pin(async move { Ok(full(refused.map_or("ok", crate::refusal::Refusal::as_str))) })
        });
        place.write(&format!("GET /#a HTTP/1.1\r\n\r\n{GET}")).await;
        place.reads("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\ntarget").await;
        place.ends().await;
    });
}

#[test]
fn an_answer_that_breaks_off_looks_broken() {
    test(async {
        let mut place = Place::serve(|_, _| {
            let (mut sender, answer) = streamed();
            Box::pin(async move {
                sender.send(Frame::data(Bytes::from_static(b"begun"))).await.expect("it is read");
                sender.abort("broken".into());
                Ok(answer)
            })
        });
        place.write(GET).await;
        place.reads("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n").await;
        place.ends().await;
        assert!(place.served.await.expect("no panic").is_err());
    });
}

#[test]
fn trailers_go_to_whoever_reads_them() {
    test(async {
        let mut place = Place::serve(|_, _| {
            let (mut sender, answer) = streamed();
            Box::pin(async move {
                let lines = [("x-sum", "1"), ("content-length", "9")];
                let lines = lines.map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
                sender.send(Frame::trailers(HeaderMap::from_iter(lines))).await.expect("it is read");
                Ok(answer)
            })
        });
        place.write(&GET.replace("\r\n\r\n", "\r\nTE: trailers\r\n\r\n")).await;
        place.reads("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n").await;
        place.write(GET).await;
        place.reads("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
    });
}

#[test]
fn a_drain_is_told_with_the_next_answer() {
    test(async {
        let mut place = Place::serve(echo);
        place.write(GET).await;
        place.reads(&answer("GET /a \"\"")).await;
        place.connections.drain();
        place.write(GET).await;
        place.reads(&answer("GET /a \"\"").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
        place.ends().await;
    });
}

#[test]
fn another_protocol_gets_what_was_read_ahead() {
    test(async {
        let mut place = Place::serve(|_, line| {
            line.take_over(Box::new(|mut stream| {
                Box::pin(async move {
                    let mut early = [0; 5];
                    stream.read_exact(&mut early).await.expect("it was read");
                    stream.write_all(&early).await.expect("a pipe");
                })
            }));
            let mut answer = full("");
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            Box::pin(async { Ok(answer) })
        });
        place.write(&format!("{GET}early")).await;
        place.reads("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\nearly").await;
        place.ends().await;
    });
}

#[test]
fn content_may_be_read_by_another_task_and_after_the_answer_by_nobody() {
    test(async {
        let (read, been_read) = oneshot::channel();
        let read = RefCell::new(Some(read));
        let mut place = Place::serve(move |request, _| {
            let (mut content, read) = (request.into_body(), read.take());
            let reading = tokio::task::spawn_local(async move {
                let first = content.frame().await.is_some_and(|frame| frame.is_ok());
                if let Some(read) = read {
                    let _: Result<(), Content> = read.send(content);
                }
                first
            });
            Box::pin(async move { Ok(full(if reading.await.expect("no panic") { "read" } else { "ended" })) })
        });
        place.write("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe").await;
        place.reads(&answer("read")).await;
        place.ends().await;
        let mut content = been_read.await.expect("it was read");
        assert!(matches!(content.frame().await, Some(Err(crate::server::ContentError::Answered))));
    });
}

#[test]
fn an_endless_answer_waits_for_its_consumer() {
    test(async {
        let sent = Rc::new(Cell::new(0));
        let count = Rc::clone(&sent);
        let mut place = Place::serve(move |_, _| {
            let ((mut sender, answer), count) = (streamed(), Rc::clone(&count));
            tokio::task::spawn_local(async move {
                while sender.send(Frame::data(Bytes::from(vec![b'x'; 1000]))).await.is_ok() {
                    count.set(count.get() + 1);
                }
            });
            Box::pin(async { Ok(answer) })
        });
        place.write(GET).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!((60..90).contains(&sent.get()), "{}", sent.get());
        drop(place.consumer);
        assert!(place.served.await.expect("no panic").is_err());
    });
}

#[test]
fn an_idle_connection_is_small() {
    let connections = Rc::new(Connections::default());
    let service = service_fn(|_: (Request<Content>, Peer)| -> Answering { Box::pin(async { Ok(full("")) }) });
    let peer = Peer::new("127.0.0.1:1".parse().expect("an address"), false);
    let (socket, _consumer) = duplex(1);
    let socket = Socket { pipe: socket, resets: Rc::default() };
    let life = speak(socket, BytesMut::new(), LIMITS, (service, peer), connections.open().witness());
    let sizes = [size_of_val(&life), size_of::<Shared<Observed>>(), size_of::<Line>()];
    assert!(sizes.iter().sum::<usize>() <= 1 << 10, "{sizes:?}");
}

/// Everything that the consumer gets for bytes that come in pieces.
fn answers(bytes: &[u8], pieces: usize) -> String {
    let (got, told) = std::sync::mpsc::channel();
    let bytes = bytes.to_vec();
    test(async move {
        let place = Place::serve(echo);
        let (mut reads, mut writes) = tokio::io::split(place.consumer);
        tokio::task::spawn_local(async move {
            for piece in bytes.chunks(pieces) {
                if writes.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            let _ = writes.shutdown().await;
        });
        let mut all = Vec::new();
        reads.read_to_end(&mut all).await.expect("a pipe");
        let text = String::from_utf8_lossy(&all).into_owned();
        got.send(text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\r\n"))
            .expect("somebody listens");
    });
    told.recv().expect("told")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn however_the_bytes_are_cut_the_answers_are_the_same(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                GET,
                "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
                "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
                "PUT /d HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx",
                "POST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd",
                "GET /f HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                "HEAD /g HTTP/1.1\r\n",
                "\r\n",
            ]),
            0..8,
        ),
        pieces in 1..40_usize,
    ) {
        let bytes = parts.concat().into_bytes();
        prop_assert_eq!(answers(&bytes, pieces), answers(&bytes, 1 << 20));
    }
}

#[test]
fn an_answer_to_head_has_no_content() {
    test(async {
        let mut place = Place::serve(|_, _| Box::pin(async { Ok(full("ok")) }));
        place.write(&format!("{}{GET}", GET.replace("GET", "HEAD"))).await;
        place.reads(&format!("HTTP/1.1 200 OK\r\n\r\n{}", answer("ok"))).await;
    });
}
