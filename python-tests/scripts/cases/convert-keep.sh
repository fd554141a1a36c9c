# A copy over the source's own backing file holds only what the source holds above it.
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c "write -q -P 1 0 512k" base.raw
for format in qed qcow2; do
    qemu-img create -q -f $format -b base.raw -F raw top.$format
    qemu-io -f $format -c "write -q -P 3 128k 64k" -c "write -q -z 192k 64k" top.$format
    qemu-img convert -f $format -O $format -B base.raw -F raw top.$format kept.$format
    qemu-img convert -m 16 -W -f $format -O $format \
        -o backing_file=base.raw,backing_fmt=raw top.$format option.$format
    for copy in kept option; do
        qemu-img compare -f $format -F $format top.$format $copy.$format
        [ $format = qcow2 ] || qemu-img check -q -f $format $copy.$format; echo "status $?"
        qemu-img map -f $format --output=json $copy.$format | sed 's/, "offset": [0-9]*//'
    done
done
