#!/usr/bin/env bash
# devicelab.sh: an emulated Raspberry Pi (Debian's userland under QEMU) for tests and demos.
#
#   devicelab.sh build            assemble it once: about half a minute, 350 MB; prints its root
#   devicelab.sh python ARGS...   run the device's python3 here, over this machine's files (no root needed)
#   devicelab.sh run PROGRAM...   run a program that was compiled for the device, likewise
#   devicelab.sh headers          onnxruntime's C headers, from Debian 13's libonnxruntime-dev; prints their folder
#   devicelab.sh up               start it as a host of its own: sshd at 10.77.0.2, user pi (root needed)
#   devicelab.sh ssh CMD...       run a command on it; `devicelab.sh scp SRC... pi@10.77.0.2:DST` copies
#   devicelab.sh down             stop it
#
# Knobs: DEVICELAB (folder, default ~/.cache/edgeonnx/devicelab), ARCH (arm64, the default, or armhf: 32 bits, for
# build, python and run), QEMU_CPU (arm64: cortex-a53 is a Pi 3, cortex-a72 a Pi 4 and the default, cortex-a76 a Pi 5;
# armhf: cortex-a7 is a Pi 2 and the default), ORT (arm64: release of onnxruntime to build it with, default the newest),
# MEM_MB, CPUS.
#
# arm64 has Debian 12's Python 3.11 with numpy and onnxruntime from PyPI, and nothing else of Python: what a device has.
# For armhf PyPI has no onnxruntime: it has Debian 13's Python 3.13, numpy and onnxruntime 1.21.
# Times under emulation say nothing about a board; results, imports and errors do.
set -euo pipefail
LAB=${DEVICELAB:-$HOME/.cache/edgeonnx/devicelab}
ARCH=${ARCH:-arm64} KEYS=$LAB/keys NETNS=edgepi ADDRESS=10.77.0.2
case $ARCH in
  arm64) ROOT=$LAB/root SUITE=bookworm QEMU=qemu-aarch64-static PYTHON=python3.11
    export QEMU_CPU=${QEMU_CPU:-cortex-a72} ;;
  armhf) ROOT=$LAB/root-armhf SUITE=trixie QEMU=qemu-arm-static PYTHON=python3.13
    export QEMU_CPU=${QEMU_CPU:-cortex-a7} ;;
  *) echo "devicelab: ARCH: expected arm64 or armhf, got $ARCH" >&2; exit 2 ;;
esac
SITE=usr/local/lib/$PYTHON/dist-packages
SSH_OPTIONS=(-i "$KEYS/id" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)

die() { echo "devicelab: $*" >&2; exit 1; }

qemu() {
  command -v "$QEMU" || die "no $QEMU; install qemu-user-static, or build the lab as root on Debian"
}

install_qemu() {
  command -v "$QEMU" >/dev/null && return
  command -v apt-get >/dev/null || die "no $QEMU and no apt-get; install QEMU's user mode emulators"
  [[ $(id -u) == 0 ]] || die "no $QEMU and not root; run: sudo apt-get install qemu-user-static"
  apt-get -qq update
  apt-get -qq install -y qemu-user-static openssh-client iproute2 >/dev/null
}

# A lab is whole or not there: it is put together beside its place, under a lock, and moved into it at the end.
build() {
  mkdir -p "$LAB"
  exec 9>"$LAB/lock"
  flock 9
  install_qemu
  if [[ ! -d $ROOT ]]; then
    rm -rf "$LAB/partial"
    mkdir -p "$LAB/partial/root"
    "$ARCH" "$LAB/partial/apt" "$LAB/partial/root"
    settle "$LAB/partial/root"
    mv "$LAB/partial/root" "$ROOT"
    rm -rf "$LAB/partial"
  fi
  flock -u 9
  echo "$ROOT"
}

# What a 64-bit device has. $1: apt's state, $2: the root.
arm64() {
  debian "$1" "$2" "$ARCH" "$SUITE" install dash bash coreutils sed grep tar gzip findutils procps python3-minimal \
    libpython3-stdlib python3-distutils libstdc++6 openssh-server openssh-sftp-server libnss-systemd-
  packages "$2"
}

# What a 32-bit device has. $1, $2 as above.
armhf() {
  debian "$1" "$2" "$ARCH" "$SUITE" install dash bash coreutils python3-onnxruntime
  # What update-alternatives would have set.
  ln -s blas/libblas.so.3 lapack/liblapack.so.3 "$2/usr/lib/arm-linux-gnueabihf/"
}

headers() {
  mkdir -p "$LAB"
  exec 9>"$LAB/lock"
  flock 9
  if [[ ! -d $LAB/headers ]]; then
    rm -rf "$LAB/partial"
    mkdir -p "$LAB/partial/root"
    debian "$LAB/partial/apt" "$LAB/partial/root" "$(dpkg --print-architecture)" trixie download libonnxruntime-dev
    mv "$LAB/partial/root/usr/include/onnxruntime" "$LAB/headers"
    rm -rf "$LAB/partial"
  fi
  flock -u 9
  echo "$LAB/headers"
}

# Unpacks packages, from the mirror this machine's apt uses. $1: apt's state, $2: the root, $3: the architecture,
# $4: the suite, $5: `install`, with what they need, or `download`, without; then their names.
debian() {
  local state=$1 root=$2 arch=$3 suite=$4 how=$5 mirror deb o
  shift 5
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "no apt-get and dpkg-deb; build the lab on Debian"
  mirror=$(awk '/^URIs:/{print $2; exit} /^deb /{for(i=2;i<=NF;i++) if($i~/^http/){print $i; exit}}' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1) || true
  [[ -n $mirror ]] || die "no mirror in apt's sources"
  mkdir -p "$state"/{lists/partial,cache/archives/partial}
  : >"$state/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$state/sources.list"
  o=(-o APT::Architecture=$arch -o APT::Architectures::=$arch -o Dir::State="$state" -o Dir::State::Lists="$state/lists"
    -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources.list"
    -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o APT::Install-Recommends=false
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Debug::NoLocking=1)
  apt-get "${o[@]}" -qq update
  (cd "$state/cache/archives" && apt-get "${o[@]}" -qq -y --download-only "$how" "$@") >/dev/null
  for deb in "$state"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$root"; done
}

# What the packages' own scripts would have set up. $1: the root.
settle() {
  local root=$1
  mkdir -p "$root"/{tmp,proc,dev,sys,root,etc/ssh,run/sshd,var/empty,home/pi/.ssh,root/.ssh,opt}
  chmod 1777 "$root/tmp"
  [[ -e $root/bin/sh ]] || ln -s dash "$root/bin/sh"
  [[ -e $root/usr/bin/python3 ]] || ln -s "$PYTHON" "$root/usr/bin/python3"
  # onnxruntime asks here what CPUs there are. Under QEMU's user mode it would find nothing, or this machine's CPUs, and
  # releases up to 1.22 abort. Which kernels it takes it asks QEMU's CPU: dot products on cortex-a76, not on cortex-a72.
  mkdir -p "$root/sys/devices/system/cpu"
  for file in possible present online; do echo 0-3 >"$root/sys/devices/system/cpu/$file"; done
  local cpu file part=0xd08 version=8 features='fp asimd evtstrm crc32 cpuid'
  [[ $ARCH == armhf ]] && part=0xc07 version=7 features='half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt'
  for cpu in 0 1 2 3; do
    printf '%s\t: %s\n' processor $cpu BogoMIPS 108.00 Features "$features" \
      'CPU implementer' 0x41 'CPU architecture' $version 'CPU variant' 0x0 'CPU part' $part 'CPU revision' 3
    echo
  done >"$root/proc/cpuinfo"
  printf '%s\n' root:x:0:0:root:/root:/bin/bash sshd:x:101:65534::/run/sshd:/usr/sbin/nologin \
    pi:x:1000:1000:pi:/home/pi:/bin/bash nobody:x:65534:65534::/:/usr/sbin/nologin >"$root/etc/passwd"
  printf '%s\n' root:x:0: pi:x:1000: nogroup:x:65534: tty:x:5: >"$root/etc/group"
  printf '%s\n' 'root:*:19000:0:99999:7:::' 'sshd:!:19000::::::' 'pi:*:19000:0:99999:7:::' >"$root/etc/shadow"
  chmod 600 "$root/etc/shadow"
  printf '%s: files\n' passwd group shadow hosts >"$root/etc/nsswitch.conf"
  echo '127.0.0.1 localhost edgepi' >"$root/etc/hosts"
  echo edgepi >"$root/etc/hostname"
}

# What a bundle needs, as aarch64 wheels, and what onnxruntime imports. $1: the root.
packages() {
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --target "$1/$SITE" \
    --python-version 311 --only-binary=:all: --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 numpy "onnxruntime${ORT:+==$ORT}" flatbuffers packaging
}

device_python() {
  # Not this machine's user packages: the device has its own and no other.
  export PYTHONNOUSERSITE=1 PYTHONPATH="$ROOT/$SITE${PYTHONPATH:+:$PYTHONPATH}"
  device_run "$ROOT/usr/bin/python3" "$@"
}

device_run() {
  [[ -d $ROOT ]] || die "no lab in $ROOT; run: ARCH=$ARCH $0 build"
  exec "$(qemu)" -L "$ROOT" "$@"
}

up() {
  [[ $ARCH == arm64 ]] || die "up: expected ARCH arm64, got $ARCH"
  build >/dev/null
  local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  [[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]] ||
    printf '%s' ":qemu-aarch64:M::$magic:$mask:$(qemu):F" >/proc/sys/fs/binfmt_misc/register
  mkdir -p "$KEYS"
  [[ -e $KEYS/id ]] || ssh-keygen -q -t ed25519 -N '' -f "$KEYS/id"
  [[ -e $KEYS/host ]] || ssh-keygen -q -t ed25519 -N '' -f "$KEYS/host"
  install -m600 "$KEYS/host" "$ROOT/etc/ssh/ssh_host_ed25519_key"
  install -m600 "$KEYS/id.pub" "$ROOT/home/pi/.ssh/authorized_keys"
  chmod 700 "$ROOT/home/pi/.ssh"
  chown -R 1000:1000 "$ROOT/home/pi"
  printf '%s\n' 'Port 22' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'UsePAM no' "SetEnv QEMU_CPU=$QEMU_CPU" \
    'PasswordAuthentication no' 'Subsystem sftp /usr/lib/openssh/sftp-server' 'PidFile none' >"$ROOT/etc/ssh/sshd_config"
  ip netns list | grep -q "^$NETNS" || {
    ip netns add $NETNS
    ip link add vpi0 type veth peer name vpi1 netns $NETNS
    ip addr add 10.77.0.1/30 dev vpi0
    ip link set vpi0 up
    ip -n $NETNS addr add $ADDRESS/30 dev vpi1
    ip -n $NETNS link set vpi1 up
    ip -n $NETNS link set lo up
  }
  cat >"$LAB/init.sh" <<INIT
hostname edgepi; mount --make-rprivate /
mount -t proc proc $ROOT/proc; mount -t tmpfs -o mode=755 tmpfs $ROOT/dev
for n in 'null 3' 'zero 5' 'random 8' 'urandom 9'; do set -- \$n; mknod -m666 $ROOT/dev/\$1 c 1 \$2; done
mknod -m666 $ROOT/dev/tty c 5 0; mkdir $ROOT/dev/pts $ROOT/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts $ROOT/dev/pts; ln -s pts/ptmx $ROOT/dev/ptmx
mount -t tmpfs -o size=64m tmpfs $ROOT/dev/shm
exec prlimit --as=\$((${MEM_MB:-4096}*1048576)) taskset -c ${CPUS:-0} chroot $ROOT /usr/sbin/sshd -D -e
INIT
  nohup ip netns exec $NETNS unshare --mount --uts --pid --fork --kill-child bash "$LAB/init.sh" \
    >"$LAB/sshd.log" 2>&1 </dev/null &
  echo $! >"$LAB/pid"
  for _ in $(seq 50); do
    (echo >/dev/tcp/$ADDRESS/22) 2>/dev/null && { echo "ssh ${SSH_OPTIONS[*]} pi@$ADDRESS"; return; }
    sleep .2
  done
  cat "$LAB/sshd.log" >&2
  die "sshd did not come up"
}

down() {
  [[ -e $LAB/pid ]] && kill -9 "$(cat "$LAB/pid")" 2>/dev/null
  rm -f "$LAB/pid"
  sleep .3
  ip netns del $NETNS 2>/dev/null || true
}

case ${1:-} in
  build) build ;;
  python) shift; device_python "$@" ;;
  run) shift; device_run "$@" ;;
  headers) headers ;;
  up) up ;;
  ssh) shift; exec ssh "${SSH_OPTIONS[@]}" "pi@$ADDRESS" "$@" ;;
  scp) shift; exec scp -q "${SSH_OPTIONS[@]}" "$@" ;;
  down) down ;;
  *) sed -n '2,19p' "$0"; exit 2 ;;
esac
