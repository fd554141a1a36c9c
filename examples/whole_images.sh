#!/usr/bin/env bash
# Every operation on whole images, one after the other, in the working directory. QED is the command
# (`qed` as it is installed).
set -euo pipefail
qed() { ${QED:-qed} "$@"; }

# create, with all tables laid out; resize; map.
command -v "${QED:-qed}" >/dev/null
qed create -q -o preallocation=metadata base.qed 10M
qed io -c 'write -q -P 7 1M 300000' base.qed
qed resize base.qed 20M
qed map --output=json base.qed

# measure, convert, compare.
qed measure -O qed base.qed
qed convert -O raw base.qed copy.raw
qed compare -F raw base.qed copy.raw

# An overlay, and commit and rebase, after which it reads the same.
qed create -q -b base.qed -F qed over.qed
qed io -c 'write -q -P 8 5M 512' over.qed
qed commit over.qed
qed rebase -b copy.raw -F raw over.qed
qed io -c 'read -P 8 5M 512' over.qed

# An external snapshot of a disk in use; stream and compact; at rest the file may be copied.
qed io -C -c 'overlay snapshot.qed' -c 'write -q -P 9 6M 512' over.qed
qed stream snapshot.qed
qed compact snapshot.qed
qed io -c quiesce -c resume snapshot.qed
cp snapshot.qed backup.qed

# probe, with a judgement; lint; check, and repair with a way back.
qed probe --safety backup.qed
qed lint --for qemu backup.qed
qed check backup.qed
head -c 300000 /dev/zero | tr '\0' x >>backup.qed
qed check -r all --undo undo backup.qed
qed repair --undo undo backup.qed

# bench: requests through a queue.
qed bench -c 1000 -d 8 base.qed
