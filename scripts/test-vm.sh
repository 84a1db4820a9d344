#!/usr/bin/env bash
# Runs built tests on another kernel: Debian's, in a virtual machine of its own (qemu) that has this machine's files.
#
#   scripts/test-vm.sh [WORD...]     as scripts/test.mjs; default: cuse, which the kernel of many machines lacks
#
# Needs root, and Debian's packages qemu-system-x86, busybox-static, kmod and cpio. The kernel (linux-image-amd64) is downloaded and
# unpacked, not installed. Without KVM the machine is emulated: some ten times slower. Exit status: that of the tests, 77 skipped.
set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
project=$PWD
folder=$project/build/vm
words=("${@:-cuse}")

skip() {
  echo "tests in a virtual machine: skipped, $1"
  exit 77
}
[ "$(id -u)" = 0 ] || skip 'needs root'
[ "$(uname -m)" = x86_64 ] || skip 'written for x86_64'
for program in qemu-system-x86_64 busybox cpio depmod modprobe dpkg-deb; do
  PATH=$PATH:/sbin:/usr/sbin command -v "$program" > /dev/null || skip "no $program"
done
export PATH=$PATH:/sbin:/usr/sbin

mkdir -p "$folder"
package=$(apt-cache depends linux-image-amd64 2> /dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$package" ] || skip 'apt knows no linux-image-amd64'
version=${package#linux-image-}
if [ ! -e "$folder/kernel/boot/vmlinuz-$version" ]; then
  (cd "$folder" && rm -rf ./*.deb kernel && apt-get download -q "$package" > /dev/null 2>&1) || skip "$package cannot be downloaded"
  dpkg-deb -x "$folder/$package"_*.deb "$folder/kernel"
  rm -f "$folder"/*.deb
  depmod -b "$folder/kernel" "$version"
fi

# The first file system: busybox, the modules, and an init that goes on in this machine's own files.
initial=$folder/initial
rm -rf "$initial"
mkdir -p "$initial"/{bin,modules,root,proc,sys}
cp "$(command -v busybox)" "$initial/bin/busybox"
for module in virtio_pci 9p 9pnet_virtio fuse cuse overlay loop; do
  modprobe -d "$folder/kernel" -S "$version" --show-depends "$module"
done | awk '/^insmod/ && !seen[$2]++ { print $2 }' > "$folder/modules"
xargs cp -t "$initial/modules" < "$folder/modules"
sed 's|.*/||' "$folder/modules" > "$initial/modules/order"
cat > "$initial/init" << 'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in $($b cat /modules/order); do $b insmod "/modules/$module"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144 files /root || $b poweroff -f
for place in proc:proc sysfs:sys devtmpfs:dev tmpfs:run tmpfs:mnt fusectl:sys/fs/fuse/connections; do
  $b mount -t "${place%%:*}" none "/root/${place#*:}"
done
$b ip link set lo up
$b chroot /root /bin/bash "$($b sed -n 's/.*devfuse.run=\([^ ]*\).*/\1/p' /proc/cmdline)"
$b poweroff -f
END
chmod +x "$initial/init"
(cd "$initial" && find . | cpio -o -H newc 2> /dev/null | gzip -1) > "$folder/initial.gz"

rm -f "$folder/status"
cat > "$folder/run.sh" << END
export PATH=$PATH HOME=/root TMPDIR=/mnt
cd $project
chmod 666 /dev/fuse
set -o pipefail
$(command -v node) scripts/test.mjs ${words[*]} | cat
echo \$? > $folder/status
END

timeout "${VM_TIMEOUT:-600}" qemu-system-x86_64 -accel "${VM_ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 3G \
  -nographic -no-reboot -monitor none -serial stdio -net none \
  -kernel "$folder/kernel/boot/vmlinuz-$version" -initrd "$folder/initial.gz" \
  -append "console=ttyS0 quiet panic=-1 mitigations=off devfuse.run=$folder/run.sh" \
  -virtfs local,path=/,mount_tag=files,security_model=none,multidevs=remap < /dev/null | tr -d '\r' || true
[ -e "$folder/status" ] || skip 'the machine did not come up, or took too long'
exit "$(cat "$folder/status")"
