#!/usr/bin/env bash
# C, Python and QEMU work on the same disk images and agree. `make demo` builds what this needs.
#
# The requests are those of a Debian installation (benches/data). They are replayed by a C program
# on libqed, from four threads and from one, and by qemu-io, one at a time, on images on the same
# disk, all through the page cache and with the same flushes. One run each, for a feel: no benchmark.
#
# Takes about 4 GB below build/ while it runs (the images are sparse) and removes it at the end;
# KEEP=1 keeps it. PYTHON names an interpreter that can `import qed`.
set -euo pipefail
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

say() { printf '%-7s %-78s %s\n' "$1" "$2" "${3:-}"; }
seconds() { # seconds COMMAND...: runs it quietly and says how long it took
    local begin end
    begin=$(date +%s.%N)
    "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; return 1; }
    end=$(date +%s.%N)
    awk -v begin="$begin" -v end="$end" 'BEGIN { printf "%.1f s", end - begin }'
}
qemu_replay() { qemu-io -f qed -t writeback "$1" <"$work/commands"; }
agree() { # agree IMAGE RAW: both judges must find nothing
    qemu-img check -q -f qed "$1" || [ $? = 3 ] # 3: space nobody uses, which is no error
    qemu-img compare -q -f qed -F raw "$1" "$2"
}
steps() { "$python" "$here/examples/demo/steps.py" "$@"; }

gzip -dc "$trace" >"$work/trace"
awk -f examples/demo/qemu-io.awk "$work/trace" >"$work/commands"
mkdir "$work/lib"
ln -s "$release/libqed.so" "$work/lib/libqed.so"
ln -s "$release/libqed.so" "$work/lib/libqed.so.0"
cc -O2 -Iinclude examples/c/replay.c -o "$work/replay" -L"$work/lib" -lqed -pthread \
    -Wl,-rpath,"$work/lib"
requests=$(grep -vc '^#' "$work/trace")
cd "$work"
export LC_ALL=C

say "" "the $requests requests of a Debian installation, on a disk of 6 GiB:" "took"
took() { sed -n 's/^replayed by .* in \([0-9.]*\) s:.*/\1/p' report | awk '{ printf "%.1f s", $1 }'; }
./replay --also-raw disk.raw disk.qed trace 4 6G >report
say C "libqed, four threads: every sector read back as it was written" "$(took)"
./replay --no-verify single.qed trace 1 6G >report
say C "libqed, one thread, one request at a time" "$(took)"
qemu-img create -q -f qed qemu.qed 6G
say QEMU "qemu-io, one request at a time" "$(seconds qemu_replay qemu.qed)"
rm -f single.qed qemu.qed
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
