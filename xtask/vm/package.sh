#!/bin/bash
# Installs the Debian package, uses what is in it, and purges it; fails where something does not work or
# stays behind.
set -euo pipefail
fail() { echo "package: $*" >&2; exit 1; }
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
deb=/vm/sandboxd.deb

dpkg --install "$deb"
mapfile -t files < <(dpkg --listfiles sandboxd | while read -r path; do
  if [ -f "$path" ]; then echo "$path"; fi
done)
[ "${#files[@]}" -gt 30 ] || fail "it holds ${#files[@]} files"
dpkg --verify sandboxd | grep . && fail "files differ from the package"

mkdir /tmp/here && cd /tmp/here # what a run without a profile may read
sandboxd --version
[ "$(sandboxd run --quiet -- /bin/echo used)" = used ] || fail "a run does not answer"
sandboxd doctor >/tmp/doctor || fail "doctor: $(cat /tmp/doctor)"
getent passwd sandboxd-init >/dev/null || fail "the uid of init has no name"
[ "$(stat -c '%a %U' /run/sandboxd)" = "700 root" ] || fail "/run/sandboxd is not root's alone"
gzip -dc /usr/share/man/man1/sandboxd-run.1.gz | grep -q SYNOPSIS || fail "no man page"
bash -n /usr/share/bash-completion/completions/sandboxd
bash /vm/unit.sh

dpkg --purge sandboxd
for path in "${files[@]}"; do
  [ ! -e "$path" ] || fail "$path stays behind"
done
# A sandbox that still lives has its uid by what lies there; the next boot has it no more.
[ -d /run/sandboxd ] || fail "which uids are given out is forgotten"
getent passwd sandboxd-init >/dev/null && fail "a user stays behind"
echo "package: installed, used and purged"
