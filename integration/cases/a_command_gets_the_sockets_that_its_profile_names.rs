//! Of the sockets that systemd listens at, a command gets those that its profile names, as
//! sd_listen_fds(3) says and with nothing else open. Where one is passed that nobody would answer, or is
//! no socket that accepts, nothing is started.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, raw};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["F06", "N05"],
    by: By::Anybody,
    seconds: 180,
    outside,
    probes: &[("serve", serve)],
    ..Case::NEW
};

const F_GETFD: u64 = 1;
const NAMED: &str = "extends = [\"builtin:base\"]\n[command]\nsockets = [\"web\", \"control\"]\n";
const UNNAMED: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let path = outside.dir().join("web.sock");
    let web = UnixListener::bind(&path)?;
    let control = UnixListener::bind(outside.dir().join("control.sock"))?;
    both_are_served(outside, &web, &control)?;
    a_pinned_program_too(outside, &web, &control)?;
    over_tcp(outside, &control)?;
    what_is_not_executed_is_told(outside, &web, &control)?;
    what_nobody_would_answer(outside, &web, &control)?;
    what_is_no_socket_that_accepts(outside, &control)
}

fn both_are_served(outside: &Outside, web: &UnixListener, control: &UnixListener) -> Result<()> {
    let mut clients = Vec::new();
    for listener in [web, control] {
        // It waits in the socket's queue, as a client of a unit that is just being started does.
        let address = listener.local_addr()?;
        clients.push(UnixStream::connect(address.as_pathname().context("a path")?)?);
    }
    let sockets = [("web", web.as_fd()), ("control", control.as_fd())];
    let run = outside.sandbox(NAMED).listening(&sockets)?.probe("serve", &["2"]).run()?;
    run.ran()?;
    for (fact, wanted) in
        [("pid", "own"), ("fds", "2"), ("names", "web:control"), ("open", "0 1 2 3 4")]
    {
        let found = run.fact(fact)?;
        ensure!(found == wanted, "{fact} is {found:?}, not {wanted:?}");
    }
    for (client, wanted) in clients.iter_mut().zip(["answered by 3", "answered by 4"]) {
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        ensure!(answer == wanted, "{answer:?} is not {wanted:?}");
    }
    Ok(())
}

/// One that is executed from its checked descriptor, which lies where the sockets go.
fn a_pinned_program_too(
    outside: &Outside,
    web: &UnixListener,
    control: &UnixListener,
) -> Result<()> {
    let said = Command::new("/usr/bin/sha256sum").arg("/usr/bin/env").output()?.stdout;
    let said = String::from_utf8(said)?;
    let digest = said.split_whitespace().next().context("sha256sum")?;
    let profile = format!("{NAMED}exec = [\"/usr/bin/env\"]\nsha256 = \"{digest}\"\n");
    let sockets = [
        ("web", web.as_fd()),
        ("control", control.as_fd()),
        ("web", web.as_fd()),
        ("web", web.as_fd()),
    ];
    let run = outside.sandbox(&profile).listening(&sockets)?.run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("LISTEN_FDNAMES=web:control:web:web\n"), "{}", run.stdout);
    Ok(())
}

fn over_tcp(outside: &Outside, control: &UnixListener) -> Result<()> {
    let web = TcpListener::bind("127.0.0.1:0")?;
    let sockets = [("web", web.as_fd()), ("control", control.as_fd())];
    let sandbox = outside.sandbox(NAMED).listening(&sockets)?.probe("serve", &["1"]);
    // Without it the kernel would let the command dial with that socket.
    if raw::landlock_abi().unwrap_or(0) < 4 {
        let run = sandbox.run()?;
        run.has_problem(&["\"web\"", "could connect to the host's network"])?;
        outside.not_run("a TCP socket that is served; Landlock is older than ABI 4");
        return Ok(());
    }
    let mut client = TcpStream::connect(web.local_addr()?)?;
    sandbox.run()?.ran()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    ensure!(answer == "answered by 3", "{answer:?}");
    Ok(())
}

/// The supervisor's own descriptors are put back where they are looked for.
fn what_is_not_executed_is_told(
    outside: &Outside,
    web: &UnixListener,
    control: &UnixListener,
) -> Result<()> {
    let sockets = [("web", web.as_fd()), ("control", control.as_fd())];
    let run = outside.sandbox(NAMED).listening(&sockets)?.command(&["/bin/no-such-program"]);
    let run = run.run()?;
    run.exited(127)?;
    ensure!(run.stderr.contains("/bin/no-such-program"), "{}", run.stderr);
    Ok(())
}

fn what_nobody_would_answer(
    outside: &Outside,
    web: &UnixListener,
    control: &UnixListener,
) -> Result<()> {
    let says = |profile: &str| outside.sandbox(profile).command(&["/bin/echo", "runs"]);
    let both = [("web", web.as_fd()), ("control", control.as_fd())];
    let only = [("web", web.as_fd())];
    says(UNNAMED).listening(&only)?.run()?.has_problem(&["LISTEN_FDS", "\"web\""])?;
    says(NAMED).listening(&only)?.run()?.has_problem(&["command.sockets[1]", "\"control\""])?;
    says(NAMED).run()?.has_problem(&["command.sockets[0]", "\"web\""])?;
    let told = says(NAMED).listening(&both)?.option("--env").option("LISTEN_FDS");
    told.run()?.has_problem(&["--env", "sandboxd sets this variable"])?;
    // Passed to somebody else, whose variables came along.
    let others = says(UNNAMED).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    others.run()?.exited(0)?;
    // Nothing is started by these: what they need to be passed is seen then.
    for verb in ["check", "plan"] {
        outside.sandbox(NAMED).verb(verb).command(&["/bin/true"]).run()?.exited(0)?;
    }
    Ok(())
}

fn what_is_no_socket_that_accepts(outside: &Outside, control: &UnixListener) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let connected = TcpStream::connect(listener.local_addr()?)?;
    let wrong: [(&str, OwnedFd); 4] = [
        ("datagram socket", UdpSocket::bind("127.0.0.1:0")?.into()),
        ("does not listen", connected.into()),
        ("does not listen", UnixStream::pair()?.0.into()),
        ("not a socket", File::open("/dev/null")?.into()),
    ];
    for (words, fd) in &wrong {
        let sockets = [("web", fd.as_fd()), ("control", control.as_fd())];
        let sandbox = outside.sandbox(NAMED).listening(&sockets)?;
        let run = sandbox.command(&["/bin/echo", "runs"]).run()?;
        run.not_started()?;
        ensure!(run.stderr.contains(words), "not {words:?}: {}", run.stderr);
    }
    Ok(())
}

fn serve(inside: &Inside) -> Result<()> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let own = variable("LISTEN_PID") == std::process::id().to_string();
    inside.fact("pid", if own { "own" } else { "another's" });
    inside.fact("fds", &variable("LISTEN_FDS"));
    inside.fact("names", &variable("LISTEN_FDNAMES"));
    let is_open = |number: &u64| raw::call_numbers(libc::SYS_fcntl, &[*number, F_GETFD]).is_ok();
    let open: Vec<String> = (0..1024).filter(is_open).map(|number| number.to_string()).collect();
    inside.fact("open", &open.join(" "));
    for number in (3..).take(inside.argument(0)?.parse()?) {
        let mut client = File::from(raw::accept(number)?);
        client.write_all(format!("answered by {number}").as_bytes())?;
    }
    Ok(())
}
