#!/usr/bin/env bash
# C, Python and QEMU work on the same disk images and agree. `make demo` builds what this needs.
#
# The requests are those of a Debian installation (benches/data). They are replayed by a C program
# on libqed, from four threads and from one, and by qemu-io, one at a time, on images on the same
# disk, all through the page cache and with the same flushes, in turn; the best of three counts. That
# is for a feel, and no benchmark: on a disk that others use, the times say little.
#
# Takes about 3 GB below build/ while it runs (the images are sparse) and removes it at the end;
# KEEP=1 keeps it. ROUNDS=1 is quicker. PYTHON names an interpreter that can `import qed`.
set -eEuo pipefail
cd "$(dirname "$0")/.."

here=$PWD
python=${PYTHON:-$here/.venv/bin/python}
release=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
trace=benches/data/debian-install.trace.gz
for tool in cc qemu-img qemu-io awk gzip; do
    command -v "$tool" >/dev/null || { echo "demo: $tool is missing (see make setup)" >&2; exit 1; }
done

mkdir -p build
work=$(mktemp -d "$PWD/build/demo.XXXXXX")
finish() {
    if [ "${KEEP:-}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap finish EXIT

trap 'echo "demo: failed in line $LINENO" >&2' ERR

say() { # say WHO WHAT [HOW LONG]
    if [ $# = 3 ]; then printf '%-7s %-74s %s\n' "$@"; else printf '%-7s %s\n' "$@"; fi
}
timed() { # timed NAME COMMAND...: how long it took goes to the file times.NAME
    local name=$1 begin end
    shift
    begin=$(date +%s.%N)
    "$@" >output 2>&1 || { tail -c 2000 output >&2; return 1; }
    end=$(date +%s.%N)
    awk -v begin="$begin" -v end="$end" 'BEGIN { printf "%.2f\n", end - begin }' >>"times.$name"
    rm -f again.qed # and with it what of it was not on disk yet: a clean start for the next
}
best() { printf '%5.2f s' "$(sort -n "times.$1" | head -n 1)"; }
by_qemu() {
    qemu-img create -q -f qed again.qed 6G
    qemu-io -f qed -t writeback again.qed <commands
}
agree() { # agree IMAGE RAW: both judges must find nothing
    local status=0
    qemu-img check -q -f qed "$1" || status=$?
    [ "$status" = 0 ] || [ "$status" = 3 ] # 3: space that nobody uses, which is no error
    qemu-img compare -q -f qed -F raw "$1" "$2"
}
steps() { "$python" "$here/examples/python/demo.py" "$@"; }

gzip -dc "$trace" >"$work/trace"
awk -f examples/qemu-io.awk "$work/trace" >"$work/commands"
mkdir "$work/lib"
ln -s "$release/libqed.so" "$work/lib/libqed.so"
ln -s "$release/libqed.so" "$work/lib/libqed.so.0"
cc -O2 -Iinclude examples/c/replay.c -o "$work/replay" -L"$work/lib" -lqed -pthread \
    -Wl,-rpath,"$work/lib"
requests=$(grep -vc '^#' "$work/trace")
cd "$work"
export LC_ALL=C

./replay --also-raw disk.raw disk.qed trace 4 6G >output || { cat output >&2; exit 1; }
sync disk.qed disk.raw
for _ in $(seq "${ROUNDS:-3}"); do
    timed threads ./replay --no-verify again.qed trace 4 6G
    timed single ./replay --no-verify again.qed trace 1 6G
    timed qemu by_qemu
done
say "" "a Debian installation's $requests requests, on a disk of 6 GiB:" "  took"
say C "libqed, four threads; every sector reads back as it was written" "$(best threads)"
say C "libqed, one thread, one request at a time" "$(best single)"
say QEMU "qemu-io, one request at a time" "$(best qemu)"
agree disk.qed disk.raw
say QEMU "qemu-img check and compare: disk.qed is sound and holds what it should"

say Python "$(steps extents disk.qed)"
cp --sparse=always disk.raw overlay.raw
say Python "$(steps overlay disk.qed overlay.qed overlay.raw)"
agree overlay.qed overlay.raw
agree disk.qed disk.raw
say QEMU "check and compare: the overlay is sound, and the disk below it unchanged"

qemu-img create -q -f qed theirs.qed 2G
qemu-img create -q -f raw theirs.raw 2G
writes=(-c 'write -q -P 0x5a 0 8M' -c 'write -q -P 0xa5 1G 1000k' -c 'write -q -z 2M 1M' -c flush)
qemu-io -f qed "${writes[@]}" theirs.qed
qemu-io -f raw "${writes[@]}" theirs.raw
say QEMU "qemu-img and qemu-io made theirs.qed"
say Python "$(steps extend theirs.qed theirs.raw)"
agree theirs.qed theirs.raw
qemu-io -f qed -c 'write -q -P 0x33 700M 3M' theirs.qed
qemu-io -f raw -c 'write -q -P 0x33 700M 3M' theirs.raw
agree theirs.qed theirs.raw
say QEMU "check and compare agree; wrote to it again, and they still do"
