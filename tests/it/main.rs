//! The proxy as its users meet it: a process, two files, sockets.

mod cutover;
mod demo;
mod equality;
mod floors;
mod hostile;
mod ledger;
mod origins;
mod overload;
mod page;
mod probe_header;
mod readme;
mod reload;
mod restart;
mod retry;
mod rollback;
mod shadow;
mod world;
