//! The proxy as its users meet it: a process, two files, sockets.

mod backtest;
mod copies;
mod cutover;
mod demo;
mod drill;
mod endpoints;
mod equality;
mod floors;
mod grpc;
mod h2;
mod hostile;
mod ledger;
mod origins;
mod overload;
mod page;
mod probe_header;
mod readme;
mod reload;
mod report;
mod restart;
mod retry;
mod rollback;
mod shadow;
mod tls;
mod trailers;
mod world;
