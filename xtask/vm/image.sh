#!/bin/bash
# image.sh OUT KERNEL ROOT.tar INIT FOLDER: makes OUT.ext4, the guest's root disk with its kernel's
# modules, and OUT.initrd. Runs in a mount namespace of its own; the work is done in memory.
set -eu
out=$1 kernel=$2 tar=$3 init=$4 work=$5
release=$(cat "$kernel/release")
mkdir -p "$work"
mount -t tmpfs -o size=4g guest "$work"
root=$work/root initrd=$work/initrd
mkdir "$root"
tar -C "$root" --numeric-owner --xattrs --xattrs-include='*' -xf "$tar"
# The modules lie in the root file system itself: a mount below /usr would stop overlay mounts of it
# in a user namespace.
mkdir -p "$root/usr/lib/modules" "$root/vm"
cp -a "$kernel/modules/$release" "$root/usr/lib/modules/"
chroot "$root" depmod "$release"

mkdir -p "$initrd"/{bin,modules,dev,proc,sys,newroot}
cp "$root/bin/busybox" "$initrd/bin/"
# A module that is built into this kernel has no file to insert.
for module in virtio_pci virtio_blk ext4 virtio_console virtio_rng; do
  chroot "$root" modprobe -S "$release" --show-depends $module 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  name=${file##*/}
  name=${name%.xz}
  name=${name%.zst}
  case $file in
    *.xz) xz -dc "$root$file" ;;
    *.zst) zstd -qdc "$root$file" ;;
    *) cat "$root$file" ;;
  esac >"$initrd/modules/$name"
  echo "$name" >>"$initrd/modules/list"
done
cp "$init" "$initrd/init"
chmod 755 "$initrd/init"
(cd "$initrd" && find . | bin/busybox cpio -o -H newc 2>/dev/null) >"$out.initrd.new"

megabytes=$(du -sm "$root" | cut -f1)
mke2fs -q -F -t ext4 -O ^has_journal -m0 -d "$root" "$work/disk" $((megabytes + 2048))M
cp --sparse=always "$work/disk" "$out.ext4.new"
mv "$out.initrd.new" "$out.initrd"
mv "$out.ext4.new" "$out.ext4"
