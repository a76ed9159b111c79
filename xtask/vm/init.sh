#!/bin/busybox sh
# The first program of the guest: loads what it takes to reach the disks, mounts them, and hands over
# to systemd.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
stop() { echo "guest: $*"; $b poweroff -f; }
for module in $($b cat /modules/list); do
  $b insmod "/modules/$module" || echo "guest: $module cannot be loaded"
done
tries=0
while [ ! -b /dev/vda ] || [ ! -b /dev/vdb ]; do
  [ $tries -lt 500 ] || stop "no disks"
  $b usleep 20000
  tries=$((tries + 1))
done
$b mount -t ext4 -o noatime /dev/vda /newroot || stop "no root disk"
$b mount -t ext4 -o ro /dev/vdb /newroot/vm || stop "no disk with the product"
$b umount /proc
$b umount /sys
$b mount -o move /dev /newroot/dev
exec $b switch_root /newroot /sbin/init
