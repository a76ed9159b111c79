//! Bytes of all amounts, in pieces and through a pipe.

use super::world::*;

fn bytes(count: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(count).collect()
}

/// Some of them by hand, some through a pipe, and both on one connection.
const AMOUNTS: [usize; 9] =
    [1, 16_383, 16_384, 16_385, 1, (1 << 20) - 1, (1 << 20) + 1, 5 << 20, 3];

#[test]
fn all_bytes_come_back_in_order_whatever_their_number() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    let mut stream = running.led();
    for amount in AMOUNTS {
        let said = bytes(amount);
        let mut writes = stream.try_clone().unwrap();
        let written = said.clone();
        // Nobody reads meanwhile, so that what goes back has to wait.
        let writing = thread::spawn(move || writes.write_all(&written).unwrap());
        thread::sleep(Duration::from_millis(20));
        let mut heard = vec![0; amount];
        stream.read_exact(&mut heard).unwrap();
        writing.join().unwrap();
        assert!(heard == said, "of {amount} bytes");
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "");
    let total = u64::try_from(AMOUNTS.iter().sum::<usize>()).unwrap();
    let record = running.record();
    assert_eq!((record.verdict, record.up, record.down), (Verdict::Carried, total, total));
}

#[test]
fn not_a_byte_more_than_is_left_goes_whatever_their_number() {
    for most in [1, 16_384, 16_385, (1 << 20) + 1] {
        let port = echo();
        let mut plan = plan(to_host(port, Carries::Tcp));
        plan.accounts[1].up = Bound::AtMost(most);
        let running = start(plan, port);
        let mut stream = running.led();
        let said = bytes(usize::try_from(most).unwrap() + 1);
        let mut writes = stream.try_clone().unwrap();
        let writing = thread::spawn(move || writes.write_all(&said).ok());
        rest(&mut stream);
        writing.join().unwrap();
        let record = running.record();
        assert_eq!((record.verdict, record.up), (Verdict::Spent, most));
    }
}

/// All of it arrives, whoever says it, with an urgent byte after so many; that byte does not.
fn goes_past_an_urgent_byte(before: usize, after: usize, end: bool) {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    let mut stream = running.led();
    let said = [bytes(before), bytes(after)].concat();
    let mut writes = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        writes.write_all(&bytes(before)).unwrap();
        rustix::net::send(&writes, b"!", rustix::net::SendFlags::OOB).unwrap();
        writes.write_all(&bytes(after)).unwrap();
        if end {
            writes.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut heard = vec![0; said.len()];
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let all = stream.read_exact(&mut heard);
    assert!(all.is_ok() && heard == said, "{all:?}: {before} and {after}");
    writing.join().unwrap();
}

#[test]
fn what_comes_after_an_urgent_byte_is_not_left_lying() {
    for (before, after) in [(3, 5), (1 << 20, 5), (1 << 20, 1 << 20), (40_000, 3)] {
        goes_past_an_urgent_byte(before, after, false);
        goes_past_an_urgent_byte(before, after, true);
    }
}

#[test]
#[ignore = "takes all descriptors of its process: the test below starts it in one of its own"]
fn without_descriptors() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    let mut stream = running.led();
    let mut writes = stream.try_clone().unwrap();
    let mut heard = vec![0; 3 << 20];
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut heard[..1]).unwrap();
    let taken: Vec<_> = std::iter::from_fn(|| writes.try_clone().ok()).collect();
    assert!(!taken.is_empty());
    let writing = thread::spawn(move || writes.write_all(&bytes(3 << 20)).unwrap());
    stream.read_exact(&mut heard).unwrap();
    writing.join().unwrap();
    drop(taken);
    assert!(heard == bytes(3 << 20));
}

#[test]
fn bytes_go_on_where_there_is_no_descriptor_left_for_a_pipe() {
    let own = std::env::current_exe().unwrap();
    let name = "io::tests::carried::without_descriptors";
    let mut child = std::process::Command::new(own);
    let ended = child.args(["--exact", name, "--include-ignored"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
