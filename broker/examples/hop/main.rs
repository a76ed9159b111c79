//! Both ends of a call, for `cargo xtask bench broker`, and what others have between them.
//!
//! ```text
//! hop tool                              a server of MCP at standard input and output
//! hop echo SOCKET                       says each line back
//! hop relay SOCKET TO                   carries lines between whoever connects and TO, a hop more
//! hop service BUS                       says each call of D-Bus back
//! hop call WAY WHERE BYTES CALLERS      calls as often as each number on standard input says
//! ```
//!
//! `WAY` is `broker`, `socket` or `bus`. For each number it says how many nanoseconds all calls of all
//! callers took together, and at which number half and 99 of 100 of them were answered. For `open` it says how
//! long one more connection took to its first answer. For `quiet` and a number it connects so often more and says
//! nothing there.
#![forbid(unsafe_code)]

mod bus;
mod line;

use std::io::{self, BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// One of two that call and answer.
trait Caller: Send {
    /// Calls, and waits for the answer.
    fn call(&mut self) -> io::Result<()>;
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tool"] => line::tool(),
        ["echo", socket] => line::echo(socket),
        ["relay", socket, to] => line::relay(socket, to),
        ["service", bus] => bus::service(bus),
        ["call", way, place, bytes, callers] => {
            let (bytes, callers) = (number(bytes)?, number(callers)?);
            call(|| open(way, place, bytes), callers)
        }
        _ => Err(io::Error::other("hop tool|echo|relay|service|call, see its source")),
    }
}

fn number(text: &str) -> io::Result<usize> {
    text.trim().parse().map_err(|_| io::Error::other(format!("{text:?} is no number")))
}

fn open(way: &str, place: &str, bytes: usize) -> io::Result<Box<dyn Caller>> {
    Ok(match way {
        "broker" => Box::new(line::Client::of_mcp(place, bytes)?),
        "socket" => Box::new(line::Client::bare(place, bytes)?),
        "bus" => Box::new(bus::Client::new(place, bytes)?),
        _ => return Err(io::Error::other(format!("{way} is no way"))),
    })
}

/// A caller's thread: it is told how often to call, and says how long each call took.
type Thread = (Sender<usize>, Receiver<io::Result<Vec<Duration>>>);

/// Calls as often as it is told to, in a thread for each caller.
fn call(open: impl Fn() -> io::Result<Box<dyn Caller>>, callers: usize) -> io::Result<()> {
    let mut threads: Vec<Thread> = Vec::new();
    for _ in 0..callers {
        let mut caller = open()?;
        let ((order, orders), (teller, told)) = (channel(), channel());
        thread::spawn(move || {
            for calls in orders {
                if teller.send(times(caller.as_mut(), calls)).is_err() {
                    return;
                }
            }
        });
        threads.push((order, told));
    }
    let mut quiet = Vec::new();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let said = if line == "open" {
            let from = Instant::now();
            let caller = open()?;
            let took = from.elapsed();
            drop(caller);
            took.as_nanos().to_string()
        } else if let Some(more) = line.strip_prefix("quiet ") {
            for _ in 0..number(more)? {
                quiet.push(open()?);
            }
            quiet.len().to_string()
        } else {
            round(&threads, number(&line)?)?
        };
        writeln!(stdout, "{said}")?;
        stdout.flush()?;
    }
    Ok(())
}

fn times(caller: &mut dyn Caller, calls: usize) -> io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let from = Instant::now();
        caller.call()?;
        times.push(from.elapsed());
    }
    Ok(times)
}

fn round(threads: &[Thread], calls: usize) -> io::Result<String> {
    let gone = || io::Error::other("a caller is gone");
    let from = Instant::now();
    for (order, _) in threads {
        order.send(calls).map_err(|_| gone())?;
    }
    let mut all = Vec::new();
    for (_, told) in threads {
        all.extend(told.recv().map_err(|_| gone())??);
    }
    let took = from.elapsed();
    all.sort();
    let at = |percent| {
        let place = all.len().saturating_sub(1) * percent / 100;
        all.get(place).map_or(0, Duration::as_nanos)
    };
    Ok(format!("{} {} {}", took.as_nanos(), at(50), at(99)))
}
