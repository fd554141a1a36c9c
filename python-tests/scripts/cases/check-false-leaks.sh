# A file of more than cluster size times cluster size has no leaks because of that.
# differs: QEMU divides the file's length by the cluster size less one, and finds clusters that
# differs: are not there
# ours: No errors were found on the image.
qemu-img create -q -f qed -o cluster_size=4k,table_size=16 disk.qed 32M
qemu-io -c 'write -q 0 10M' -c 'write -q 10M 10M' disk.qed
qemu-img check disk.qed; echo "status $?"
