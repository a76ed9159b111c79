#!/bin/bash
# What the guest does once systemd is up: the job, told through two ports of the machine. One carries
# words for people, the other a line of JSON for each thing found.
port() { # by name; there are no links, since nothing like udev runs here
  local one
  for one in /sys/class/virtio-ports/*; do
    if [ "$(cat "$one/name" 2>/dev/null)" = "$1" ]; then echo "/dev/${one##*/}"; return; fi
  done
  echo /dev/console
}
# A port can be opened once only. With pipes in between, whoever runs may reopen its output.
mkdir -p /run/vm
mkfifo -m 666 /run/vm/words /run/vm/results
cat /run/vm/words >"$(port words)" & words=$!
cat /run/vm/results >"$(port results)" & results=$!
exec 8>/run/vm/results 9>/run/vm/words >/run/vm/words 2>&1 </dev/null
# Nothing is started a second time by whoever boots, once this is said.
echo '{"started":true}' >&8

# step NAME USER COMMAND…: as root, or as a user with a login session.
step() {
  local name=$1 user=$2 status
  shift 2
  if [ "$user" = root ]; then
    (cd / && HOME=/root exec "$@" 8>&- 9>&-)
  else
    # With PAM, such a service stays in its start, which would be over after 90 s.
    systemd-run --quiet --wait --pipe --service-type=exec --uid="$user" -p TimeoutStartSec=infinity \
      -p PAMName=login -p WorkingDirectory=/ "$@" 8>&- 9>&-
  fi
  status=$?
  echo "{\"step\":\"$name\",\"status\":$status}" >&8
}
# The checkout stands at its usual place, where the cases look for it.
if [ -d /vm/tree ]; then
  place=$(cat /vm/place)
  mkdir -p "$place" && mount --bind /vm/tree "$place"
fi
# shellcheck source=/dev/null
. /vm/job.sh

echo '{"done":true}' >&8
exec 8>&- 9>&- >/dev/null 2>&1
# Until both ports have everything, however long a daemon left behind holds its output open.
for _ in $(seq 50); do
  kill -0 "$words" 2>/dev/null || kill -0 "$results" 2>/dev/null || break
  sleep 0.1
done
sync
systemctl poweroff --force --force
