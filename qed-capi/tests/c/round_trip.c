/* What was written reads back: at once, after closing, and around it there are zeroes. */
#include "check.h"

int main(void) {
    static unsigned char data[200000], seen[300000];
    qed_image *image = new_image("disk.qed", 64 * MIB);

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7 + i / 251 + 1);
    CHECK(qed_image_size(image) == (int64_t)(64 * MIB));
    /* Neither end falls on a cluster or a sector. */
    OK(qed_image_pwrite(image, data, sizeof data, 65000, 0));
    OK(qed_image_pread(image, seen, sizeof seen, 15000));
    CHECK(all_bytes_are(seen, 50000, 0));
    CHECK(memcmp(seen + 50000, data, sizeof data) == 0);
    CHECK(all_bytes_are(seen + 50000 + sizeof data, 50000, 0));
    OK(qed_image_flush(image));
    OK(qed_image_pwrite(image, "fua", 3, 64 * MIB - 3, QED_FUA));
    OK(qed_image_close(&image));
    CHECK(image == NULL);

    OK(qed_image_open("disk.qed", NULL, &image));
    memset(seen, 0xee, sizeof seen);
    OK(qed_image_pread(image, seen, sizeof data, 65000));
    CHECK(memcmp(seen, data, sizeof data) == 0);
    OK(qed_image_pread(image, seen, 3, 64 * MIB - 3));
    CHECK(memcmp(seen, "fua", 3) == 0);

    OK(qed_image_write_zeroes(image, 65536, 65536, 0));
    OK(qed_image_write_zeroes(image, 2 * 65536, 65536, QED_MAY_UNMAP | QED_FUA));
    OK(qed_image_pread(image, seen, 2 * 65536, 65536));
    CHECK(all_bytes_are(seen, 2 * 65536, 0));
    OK(qed_image_pread(image, seen, 536, 65000));
    CHECK(memcmp(seen, data, 536) == 0);

    /* Discarding frees whole clusters and leaves the parts at either end alone. */
    OK(qed_image_pwrite(image, data, 3 * 65536, 0, 0));
    OK(qed_image_discard(image, 1, 3 * 65536 - 2));
    OK(qed_image_pread(image, seen, 3 * 65536, 0));
    CHECK(memcmp(seen, data, 65536) == 0);
    CHECK(all_bytes_are(seen + 65536, 65536, 0));
    CHECK(memcmp(seen + 2 * 65536, data + 2 * 65536, 65536) == 0);

    /* Nothing at all is fine, NULL included, up to the very end. */
    OK(qed_image_pread(image, NULL, 0, 64 * MIB));
    OK(qed_image_pwrite(image, NULL, 0, 0, 0));
    OK(qed_image_write_zeroes(image, 5, 0, 0));
    OK(qed_image_discard(image, 64 * MIB, 0));
    OK(qed_image_close(&image));
    return 0;
}
