# Turns a block trace (benches/data) into commands for qemu-io: the same requests, in the same order.
#
#   zcat debian-install.trace.gz | awk -f qemu-io.awk | qemu-io -f qed disk.qed
#
# A line of the trace is `OP first_sector sector_count`. qemu-io takes at most 2 GiB less a sector in
# one request, so a longer one is cut in pieces.
/^#/ { next }
{
    operation = substr($1, 1, 1)
    fua = $1 ~ /A/ ? " -f" : ""
    offset = $2 * 512
    length_left = $3 * 512
    if (operation == "F") { print "flush"; next }
    while (length_left > 0) {
        piece = length_left > 1073741824 ? 1073741824 : length_left
        if (operation == "R") printf "read -q %.0f %.0f\n", offset, piece
        if (operation == "W") printf "write -q%s -P %d %.0f %.0f\n", fua, NR % 255 + 1, offset, piece
        if (operation == "Z") printf "write -q%s -z %.0f %.0f\n", fua, offset, piece
        if (operation == "D") printf "discard -q %.0f %.0f\n", offset, piece
        offset += piece
        length_left -= piece
    }
}
