# Commands on standard input: prompts, blank lines, comments, a last line without its end.
qemu-img create -q -f qed disk.qed 1M
printf 'write -P 3 0 64k\n\n   \nread -P 3 0 64k\nlength\n' | qemu-io disk.qed; echo "status $?"
printf '# a comment\nlength\n  length\nlength  \n\tlength\n' | qemu-io disk.qed; echo "status $?"
printf 'length\nquit\nlength\n' | qemu-io disk.qed; echo "status $?"
printf 'q\n' | qemu-io disk.qed; echo "status $?"
printf 'length' | qemu-io disk.qed; echo "status $?"
printf 'nosuch\nread -P 9 0 512\nlength\n' | qemu-io disk.qed; echo "status $?"
printf 'length; length\n' | qemu-io disk.qed; echo "status $?"
qemu-io disk.qed < /dev/null; echo "status $?"
printf 'length\n' | qemu-io; echo "status $?"
