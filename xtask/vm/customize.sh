#!/bin/bash
# Makes a guest of a root file system that mmdebstrap built: no login prompt, nothing that only
# costs time, an ordinary user with a user manager, and the one service that does what the boot is for.
set -eu
root=$1
units=$root/etc/systemd/system

# The manual pages stay away; dpkg's path-exclude would make mmdebstrap need Python.
rm -rf "$root"/usr/share/{doc,man,locale,info}/*

cat >"$units/sandboxd-vm.service" <<'UNIT'
[Unit]
After=basic.target dbus.service systemd-logind.service systemd-user-sessions.service user@1000.service
Wants=user@1000.service
[Service]
Type=exec
ExecStart=/bin/bash /vm/start.sh
Delegate=yes
StandardOutput=null
StandardError=journal+console
TasksMax=infinity
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -sf ../sandboxd-vm.service "$units/multi-user.target.wants/sandboxd-vm.service"
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
for unit in \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer getty.target console-getty.service ldconfig.service modprobe@.service \
  dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount tmp.mount \
  systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
  systemd-machine-id-commit.service systemd-modules-load.service systemd-pstore.service \
  systemd-random-seed.service systemd-remount-fs.service systemd-repart.service \
  systemd-timesyncd.service systemd-tmpfiles-clean.timer systemd-update-done.service \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
  ln -sf /dev/null "$units/$unit"
done

echo guest >"$root/etc/hostname"
printf '127.0.0.1 localhost guest\n::1 localhost\n' >"$root/etc/hosts"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' >"$root/etc/systemd/journald.conf.d/guest.conf"

# The ordinary user, whose manager runs from the start and has the controllers of a usual desktop.
chroot "$root" useradd -m -u 1000 -s /bin/bash tester
mkdir -p "$root/var/lib/systemd/linger" "$units/user@.service.d"
: >"$root/var/lib/systemd/linger/tester"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$units/user@.service.d/delegate.conf"
