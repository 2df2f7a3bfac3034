//! Connections on which nothing is said.

use gen_worker_hub::HubRef;

use crate::server::{Answer, Server};

/// The kernel's list of connections (`proc_pid_net(5)`).
const CONNECTIONS: &str = "/proc/net/tcp";

/// A timer that probes an idle connection, in the words of that list.
const KEEPALIVE: &str = "02";

/// Hundredths of a second, which the list counts in, until the first probe.
fn until_probe(server_port: &str) -> Option<u64> {
    let list = std::fs::read_to_string(CONNECTIONS).ok()?;
    let server_port: u16 = server_port.parse().ok()?;
    let to_server = format!("0100007F:{server_port:04X}");
    list.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (remote, timer) = (fields.nth(2)?, fields.nth(2)?);
        let (kind, when) = timer.split_once(':')?;
        (remote == to_server && kind == KEEPALIVE).then(|| u64::from_str_radix(when, 16).ok())?
    })
}

#[tokio::test]
async fn h6_9_idle_connections_are_probed_after_a_minute() {
    let server = Server::start(vec![Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec())]).await;
    let client = server.client();
    let reference = HubRef::parse("o/r").unwrap();
    let asked = client.resolve(&reference);
    let port = server.base.rsplit(':').next().unwrap().to_owned();
    let looked = async {
        server.stalled.notified().await;
        // Other timers come first as long as something is on its way.
        loop {
            if let Some(found) = until_probe(&port) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = asked => panic!("the server says nothing more: {answer:?}"),
        found = looked => assert!((5_000..=6_000).contains(&found), "{found}"),
    }
}
