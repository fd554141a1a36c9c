# Overlays over raw, QED and qcow2 images, with and without a size of their own.
qemu-img create -q -f raw base.raw 3M
qemu-img create -q -f qed base.qed 4M
qemu-img create -q -f qcow2 base.qcow2 5M
for format in raw qed qcow2; do
    qemu-img create -f qed -b "base.$format" -F "$format" "over-$format.qed"; echo "status $?"
    qemu-img create -f qed -b "base.$format" -F "$format" "large-$format.qed" 7M; echo "status $?"
    qemu-img create -f qcow2 -F "$format" -b "base.$format" "over-$format.qcow2"; echo "status $?"
done
qemu-img create -f qed -o backing_file=base.raw,backing_fmt=raw small.qed 512; echo "status $?"
qemu-img create -f qed -u -b nowhere.raw -F raw unsafe.qed 1M; echo "status $?"
for image in over-raw over-qcow2 large-qed small unsafe; do
    qemu-img info "$image.qed" | grep -e image -e size: -e backing | grep -v disk
done
