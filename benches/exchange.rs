//! One request and its answer over loopback sockets on a kept-alive connection: straight to an origin, through the proxy
//! alone (`off`), and through the proxy with a shadow, both answers scored (`shadow`). The difference to `direct` is what
//! the proxy costs in latency; client, origin and kernel are in every figure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;

use crossfade::app::App;

fn main() {
    divan::main();
}

#[divan::bench(args = [1 << 10, 16 << 10])]
fn direct(bencher: divan::Bencher<'_, '_>, size: usize) {
    let mut client = Client::connect(origin(size));
    bencher.bench_local(|| client.exchange());
}

#[divan::bench(args = [1 << 10, 16 << 10])]
fn off(bencher: divan::Bencher<'_, '_>, size: usize) {
    through_the_proxy(bencher, size, "stage = \"off\"");
}

#[divan::bench(args = [1 << 10, 16 << 10])]
fn shadow(bencher: divan::Bencher<'_, '_>, size: usize) {
    through_the_proxy(bencher, size, "stage = \"shadow\"\nslo = 0.95");
}

fn through_the_proxy(bencher: divan::Bencher<'_, '_>, size: usize, rollout: &str) {
    let folder = tempfile::tempdir().expect("a folder for the bench");
    let proxy = proxy(folder.path(), origin(size), origin(size), rollout);
    let mut client = Client::connect(proxy);
    bencher.bench_local(|| client.exchange());
}

/// Starts the proxy on a thread of its own, where it stays until the process ends.
fn proxy(folder: &Path, v1: SocketAddr, v2: SocketAddr, rollout: &str) -> SocketAddr {
    let config = folder.join("crossfade.toml");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nworkers = 1\n\
         [dependency.bench]\nv1 = {{ url = \"http://{v1}\" }}\nv2 = {{ url = \"http://{v2}\" }}\n\
         [[dependency.bench.route]]\nname = \"all\"\n\
         [dependency.bench.route.score]\nrequired = [\"/items\"]\nnon_empty = [\"/items\"]\n"
    );
    std::fs::write(&config, text).expect("the folder is writable");
    std::fs::write(folder.join("rollout.toml"), format!("[bench]\n{rollout}\n")).expect("the folder is writable");
    let (told, listens) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let app = App::start(&config, None).await.expect("the configuration is valid");
            told.send(app.listen[0]).expect("the bench waits for it");
            std::future::pending::<()>().await;
            drop(app);
        });
    });
    listens.recv().expect("the proxy starts")
}

/// An origin that answers every request with the same JSON.
fn origin(size: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let address = listener.local_addr().expect("it is bound");
    let items: String = (0..).map(|n| format!("{{\"id\":{n},\"name\":\"item {n}\"}},")).take(size / 28).collect();
    let body = format!("{{\"items\":[{}]}}", items.trim_end_matches(','));
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, answer.as_bytes()));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_nodelay(true);
    let Ok(reading) = stream.try_clone() else { return };
    let mut reader = BufReader::new(reading);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" && stream.write_all(answer).is_err() {
            return;
        }
        line.clear();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("it is connected");
        Self { reader: BufReader::with_capacity(64 << 10, stream), body: Vec::new() }
    }

    fn exchange(&mut self) -> usize {
        let request = b"GET /recommendations/user-1 HTTP/1.1\r\nhost: bench\r\nx-user-id: user-1\r\n\r\n";
        self.reader.get_mut().write_all(request).expect("it is connected");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a head comes");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body).expect("a body comes");
        length
    }
}
