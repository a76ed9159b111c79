#!/bin/bash
# Runs commands under the units of the package: told ready, reloaded, called, stopped, hung, killed, refused; fails where
# systemd makes something else of it than is meant.
set -euo pipefail
fail() { echo "unit: $*" >&2; journalctl --no-pager -n 60 >&2; exit 1; }
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

profiles=/etc/sandboxd/profiles
# profile NAME SCRIPT [LINES]: what sandboxd@NAME runs.
profile() {
  mkdir -p "$profiles"
  printf 'name = "%s"\nextends = ["builtin:base"]\n[command]\nexec = ["/bin/sh", "-c", """%s"""]\n%s\n' \
    "$1" "$2" "${3:-}" >"$profiles/$1.toml"
}
show() { systemctl show --property "$2" --value "sandboxd@$1"; }
is() { [ "$(show "$1" "$2")" = "$3" ] || fail "$1: $2 is $(show "$1" "$2"), not $3"; }
# For a minute at most, on the slowest of machines.
eventually() {
  local _
  for _ in $(seq 600); do
    if "$@"; then return; fi
    sleep 0.1
  done
  fail "never came true: $*"
}
restarted() { [ "$(show "$1" NRestarts)" -ge 1 ] && [ "$(show "$1" ActiveState)" = active ]; }
nothing_left() { [[ "$(sandboxd doctor --clean)" == "nothing is left behind"* ]]; }

examples=/usr/share/doc/sandboxd/examples/systemd
systemd-analyze verify --man=no /usr/lib/systemd/system/sandboxd* "$examples/agent.service"
profile stays "trap 'echo reads again' HUP; while :; do sleep 0.2; done"
profile other 'while :; do sleep 0.2; done'

systemctl start sandboxd@stays sandboxd@other
is stays ActiveState active
[[ "$(show stays StatusText)" == "Running stays-"*": /bin/sh" ]] || fail "$(show stays StatusText)"
group=/sys/fs/cgroup$(show stays ControlGroup)
[ -n "$(find "$group" -mindepth 2 -name cgroup.procs)" ] || fail "no sandbox below $group"

systemctl reload sandboxd@stays
reads_again() { [[ "$(journalctl --no-pager -u sandboxd@stays)" == *"reads again"* ]]; }
eventually reads_again
is stays ActiveState active
is stays NRestarts 0

# Started by who connects, it answers at the socket that systemd listens at.
profile listens 'exec perl -e "open(S, q(+<&=3)) or die; while (accept(C, S)) { print C qq(from inside\\n); close C }" ' \
  'sockets = ["web"]'
cat >/run/systemd/system/sandboxd@listens.socket <<END
[Socket]
ListenStream=/run/listens.sock
FileDescriptorName=web
END
systemctl daemon-reload
systemctl start sandboxd@listens.socket
is listens ActiveState inactive
for _ in 1 2; do
  said=$(timeout 60 perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un(shift)) or die $!;
    print <S>' /run/listens.sock) || fail "nobody answers"
  [ "$said" = "from inside" ] || fail "answered $said"
done
is listens ActiveState active
systemctl stop sandboxd@listens.socket sandboxd@listens
rm /run/systemd/system/sandboxd@listens.socket

# What systemd passes, it can read.
profile knows '[ "$(cat $CREDENTIALS_DIRECTORY/token)" = told ] && echo knows it; while :; do sleep 0.2; done' \
  'credentials = ["token"]'
mkdir -p /run/systemd/system/sandboxd@knows.service.d
printf '[Service]\nSetCredential=token:told\nSetCredential=other:not told\n' \
  >/run/systemd/system/sandboxd@knows.service.d/token.conf
systemctl daemon-reload
systemctl start sandboxd@knows
knows_it() { [[ "$(journalctl --no-pager -u sandboxd@knows)" == *"knows it"* ]]; }
eventually knows_it
systemctl stop sandboxd@knows
rm -r /run/systemd/system/sandboxd@knows.service.d

# The example, as its page has it installed.
install -D -m 644 "$examples/agent.toml" /etc/sandboxd/agent.toml
install -m 644 "$examples/agent.service" /run/systemd/system/
systemctl daemon-reload
systemctl start agent
works() { [ -s /var/lib/agent/last ] && [ -S /run/agent/metrics ]; }
eventually works
systemctl stop agent
[ "$(systemctl show --property Result --value agent)" = success ] || fail "the example's end is a failure"
rm -r /etc/sandboxd/agent.toml /run/systemd/system/agent.service /var/lib/agent
systemctl daemon-reload

# Ended by the signal that systemd sent, it is no failure: of one, the unit would keep that state.
systemctl stop sandboxd@stays
is stays ActiveState inactive
[ ! -e "$group" ] || fail "$group is left"
is other ActiveState active
is other NRestarts 0

# Killed alone, the supervisor takes its sandbox along, and what it held is given back at once.
systemctl start sandboxd@stays
kill -KILL "$(show stays MainPID)"
eventually restarted stays
nothing_left || fail "something was left by who was killed"
is other NRestarts 0
systemctl stop sandboxd@stays

# One that looks after nothing any more is noticed.
mkdir -p /run/systemd/system/sandboxd@stays.service.d
printf '[Service]\nWatchdogSec=5\n' >/run/systemd/system/sandboxd@stays.service.d/watchdog.conf
systemctl daemon-reload
systemctl start sandboxd@stays
sleep 12
is stays NRestarts 0
kill -STOP "$(show stays MainPID)"
eventually restarted stays
journalctl --no-pager -u sandboxd@stays | grep -q 'Watchdog timeout' || fail "no watchdog"
nothing_left || fail "something was left by who hung"
systemctl stop sandboxd@stays

# What cannot run is not tried again.
profile absent 'true' '[files]
read = ["/no/such/folder"]'
if systemctl start sandboxd@absent; then fail "it was started without what it needs"; fi
is absent Result exit-code
is absent ExecMainStatus 125
is absent NRestarts 0

# What fails is started again.
profile short 'sleep 1; exit 3'
systemctl start sandboxd@short
started_again() { [ "$(show short NRestarts)" -ge 1 ]; }
eventually started_again
systemctl stop sandboxd@short

systemctl stop sandboxd@other
is other ActiveState inactive
rm -rf "$profiles" /run/systemd/system/sandboxd@stays.service.d
systemctl daemon-reload
systemctl reset-failed
echo "unit: told ready, reloaded, called, stopped, killed, hung and refused"
