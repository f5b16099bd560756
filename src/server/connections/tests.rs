use super::*;

const PATIENCE: Patience =
    Patience { header: Duration::from_secs(1), idle: Duration::from_secs(2), farewell: Duration::from_secs(1) };

fn sweep(connections: &Connections, times: u32) {
    (0..times).for_each(|_| connections.sweep(PATIENCE));
}

#[test]
fn a_silent_connection_ends_after_the_idle_timeout() {
    let connections = Rc::new(Connections::default());
    let registration = connections.open();
    sweep(&connections, 20);
    assert_eq!(registration.activity().doom(), None);
    sweep(&connections, 1);
    assert_eq!(registration.activity().doom(), Some(Doom::Idle));
}

#[test]
fn a_head_that_comes_slowly_ends_the_connection_however_often_bytes_come() {
    let connections = Rc::new(Connections::default());
    let registration = connections.open();
    for _ in 0..11 {
        registration.witness().read_some();
        sweep(&connections, 1);
    }
    assert_eq!(registration.activity().doom(), Some(Doom::SlowHead));
}

#[test]
fn a_connection_with_an_exchange_under_way_is_not_idle() {
    let connections = Rc::new(Connections::default());
    let registration = connections.open();
    let witness = registration.witness();
    witness.read_some();
    let exchange = witness.exchange();
    sweep(&connections, 100);
    assert_eq!(registration.activity().doom(), None);
    drop(exchange);
    sweep(&connections, 21);
    assert_eq!(registration.activity().doom(), Some(Doom::Idle));
}

#[test]
fn a_consumer_that_does_not_read_its_answer_loses_the_connection() {
    let connections = Rc::new(Connections::default());
    let registration = connections.open();
    let witness = registration.witness();
    let _exchange = witness.exchange();
    witness.wrote(true);
    sweep(&connections, 10);
    witness.wrote(true);
    sweep(&connections, 11);
    assert_eq!(registration.activity().doom(), Some(Doom::Stuck));
}

#[test]
fn a_drain_waits_for_one_more_request_of_whoever_does_not_know_of_it() {
    let connections = Rc::new(Connections::default());
    let (idle, busy) = (connections.open(), connections.open());
    let witness = busy.witness();
    let exchange = witness.exchange();
    connections.drain();
    assert!(witness.is_draining());
    sweep(&connections, 10);
    assert_eq!(idle.activity().doom(), None);
    sweep(&connections, 1);
    assert_eq!(idle.activity().doom(), Some(Doom::Idle));
    drop(exchange);
    sweep(&connections, 10);
    assert_eq!(busy.activity().doom(), None, "its time begins with the end of its answer");
    sweep(&connections, 1);
    assert_eq!(busy.activity().doom(), Some(Doom::Idle));
}
