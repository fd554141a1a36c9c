# Entries that name nothing are cleared by any -r: text, JSON, quiet, status, and what is read then.
for how in leaks all; do
    for print in --output=human --output=json -q; do
        rm -f disk.qed
        qemu-img create -q -f qed disk.qed 10M
        qemu-io -c 'write -q -P 7 0 1M' disk.qed
        table=$(od -An -t u8 -j 65536 -N 8 disk.qed)
        # Past the end of the file, and not where a cluster begins.
        to="of=disk.qed bs=1 conv=notrunc"
        printf '\0\0\0\0\0\1\0\0' | dd $to seek=$((table + 8 * 40)) 2> dd
        printf '\71\60\0\0\0\0\0\0' | dd $to seek=$((table + 8 * 50)) 2> dd
        qemu-img check disk.qed > before; echo "status $?"
        grep 'errors were found' before
        qemu-img check $print -r $how disk.qed; echo "status $?"
        qemu-img check -r $how disk.qed; echo "status $?"
        qemu-io -c 'read -P 7 0 1M' -c 'read -P 0 1M 9M' disk.qed
    done
done
qemu-img check -r some disk.qed; echo "status $?"
