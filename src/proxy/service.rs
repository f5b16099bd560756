//! The exchange as a tower service, with the fence that keeps a panic in one exchange from everyone else.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

use super::exchange::exchange;
use super::refuse;
use super::relay::ServedBody;
use super::worker::Worker;
use crate::server::{Content, Peer};

/// Answers the requests of one worker's consumers.
#[derive(Clone)]
pub(super) struct Proxy {
    worker: Rc<Worker>,
}

impl Proxy {
    pub(super) const fn new(worker: Rc<Worker>) -> Self {
        Self { worker }
    }
}

impl Service<(Request<Content>, Peer)> for Proxy {
    type Response = Response<ServedBody>;
    type Error = Infallible;
    type Future = Fenced;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (request, peer): (Request<Content>, Peer)) -> Self::Future {
        let exchange = Box::pin(exchange(Rc::clone(&self.worker), request, peer));
        Fenced { worker: Rc::clone(&self.worker), exchange }
    }
}

/// An exchange whose panics end here.
pub(super) struct Fenced {
    worker: Rc<Worker>,
    exchange: Pin<Box<dyn Future<Output = Response<ServedBody>>>>,
}

impl Future for Fenced {
    type Output = Result<Response<ServedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.exchange.as_mut().poll(cx)));
        polled.map_or_else(|_| Poll::Ready(Ok(panicked(&self.worker))), |polled| polled.map(Ok))
    }
}

/// The exchange is gone, and its account, admission and legs were closed as it was dropped.
fn panicked(worker: &Worker) -> Response<ServedBody> {
    worker.count_panic();
    tracing::error!("an exchange panicked; its consumer got a 500");
    refuse::internal().map(ServedBody::Own)
}
