/* Vectors: in order, as one request; empty elements, overlaps, too many, too long. */
#include "check.h"

int main(void) {
    static unsigned char data[3 * 65536], seen[3 * 65536];
    static struct iovec many[1025];
    qed_image *image = new_image("disk.qed", 4 * MIB);
    struct iovec out[4], in[3];
    struct iovec bad[2];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i % 253 + 1);
    /* The second half first, an empty element between, none on a sector. */
    out[0].iov_base = data + 100001;
    out[0].iov_len = sizeof data - 100001;
    out[1].iov_base = NULL;
    out[1].iov_len = 0;
    out[2].iov_base = data;
    out[2].iov_len = 99;
    out[3].iov_base = data + 99;
    out[3].iov_len = 100001 - 99;
    OK(qed_image_pwritev(image, out, 4, 333, 0));
    OK(qed_image_pread(image, seen, sizeof seen, 333));
    CHECK(memcmp(seen, data + 100001, sizeof data - 100001) == 0);
    CHECK(memcmp(seen + sizeof data - 100001, data, 100001) == 0);

    memset(seen, 0, sizeof seen);
    in[0].iov_base = seen + 100001;
    in[0].iov_len = sizeof seen - 100001;
    in[1].iov_base = seen;
    in[1].iov_len = 1;
    in[2].iov_base = seen + 1;
    in[2].iov_len = 100000;
    OK(qed_image_preadv(image, in, 3, 333));
    CHECK(memcmp(seen, data, sizeof data) == 0);

    /* One buffer may be written twice over, but not read into twice. */
    bad[0].iov_base = bad[1].iov_base = seen + 10;
    bad[0].iov_len = bad[1].iov_len = 1000;
    OK(qed_image_pwritev(image, bad, 2, MIB, QED_FUA));
    MISUSE(qed_image_preadv(image, bad, 2, 0), "qed_image_preadv", "overlap");
    bad[1].iov_base = seen + 5;
    bad[1].iov_len = 6;
    MISUSE(qed_image_preadv(image, bad, 2, 0), "qed_image_preadv", "overlap");
    bad[1].iov_len = 5;
    OK(qed_image_preadv(image, bad, 2, 0));

    MISUSE(qed_image_preadv(image, NULL, 1, 0), "qed_image_preadv", "iov is NULL");
    MISUSE(qed_image_pwritev(image, NULL, 1, 0, 0), "qed_image_pwritev", "iov is NULL");
    MISUSE(qed_image_preadv(image, in, -1, 0), "qed_image_preadv", "iovcnt is -1");
    MISUSE(qed_image_pwritev(image, many, 1025, 0, 0), "qed_image_pwritev", "iovcnt is 1025");
    OK(qed_image_pwritev(image, many, 1024, 0, 0));
    OK(qed_image_preadv(image, NULL, 0, 4 * MIB));
    MISUSE(qed_image_preadv(image, (struct iovec *)((char *)many + 1), 1, 0), "qed_image_preadv",
           "misaligned");
    bad[1].iov_base = NULL;
    MISUSE(qed_image_pwritev(image, bad, 2, 0, 0), "qed_image_pwritev", "iov[1] is NULL");
    bad[1].iov_base = seen;
    bad[1].iov_len = SIZE_MAX;
    MISUSE(qed_image_pwritev(image, bad, 2, 0, 0), "qed_image_pwritev", "iov[1] is");
    bad[1].iov_len = (size_t)PTRDIFF_MAX - 1;
    MISUSE(qed_image_pwritev(image, bad, 2, 0, 0), "qed_image_pwritev", "");
    MISUSE(qed_image_preadv(image, in, 3, 4 * MIB - 5), "qed_image_preadv", "");
    MISUSE(qed_image_pwritev(image, out, 4, UINT64_MAX, 0), "qed_image_pwritev", "");
    OK(qed_image_close(&image));
    return 0;
}
