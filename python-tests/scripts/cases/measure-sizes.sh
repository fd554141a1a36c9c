# The length of a new raw or qcow2 file is told beforehand, for a disk and for a size.
qemu-img create -q -f qed base.qed 1G
qemu-io -c 'write -q 0 1M' -c 'write -q 100M 3k' -c 'write -q -z 10M 64k' base.qed
qemu-img create -q -f qed -b base.qed -F qed top.qed
qemu-io -c 'write -q 64k 64k' -c 'write -q 700M 1M' top.qed
for options in cluster_size=64k cluster_size=4k cluster_size=2M; do
    qemu-img measure -O qcow2 -o $options base.qed
    qemu-img measure -O qcow2 -o $options -f qed top.qed
    qemu-img measure -O qcow2 -o $options --size 5000000000001
done
qemu-img measure base.qed
qemu-img measure --output=json -O qcow2 base.qed
qemu-img measure --output json -O raw --size 1001
qemu-img measure -O qcow2 --size 0
qemu-img measure -O qcow2 --image-opts driver=qed,file.filename=base.qed
qemu-img measure -O qcow2 --output=json top.qed
qemu-img measure -O raw top.qed
ls
