/* Extents: merged, in order, without gaps; the callback may stop, fail, and call libqed. */
#include "check.h"

#define C 65536

struct walk {
    qed_image *image;
    qed_extent seen[16];
    int count;
    int stop_at;
    int answer;
};

static int collect(void *user_data, const qed_extent *extent) {
    struct walk *walk = (struct walk *)user_data;
    unsigned char byte;
    CHECK(walk->count < 16);
    walk->seen[walk->count++] = *extent;
    /* No lock is held: the same image may be read and written, also with an error of its own. */
    OK(qed_image_pread(walk->image, &byte, 1, extent->offset));
    OK(qed_image_pwrite(walk->image, "y", 1, 20 * C, 0));
    MISUSE(qed_image_pread(walk->image, NULL, 1, 0), "qed_image_pread", "NULL");
    return walk->count == walk->stop_at ? walk->answer : 0;
}

int main(void) {
    static unsigned char data[2 * C];
    struct walk walk = {0};
    uint64_t at = 0;
    qed_image *image = walk.image = new_image("disk.qed", 32 * C);

    memset(data, 0x5a, sizeof data);
    OK(qed_image_pwrite(image, data, 2 * C, 4 * C, 0));
    OK(qed_image_pwrite(image, data, 1, 20 * C, 0));
    OK(qed_image_flush(image));
    OK(qed_image_extents(image, 0, 32 * C, collect, &walk));
    CHECK(walk.count >= 5);
    for (int i = 0; i < walk.count; i++) {
        const qed_extent *extent = &walk.seen[i];
        int data_here = (extent->offset >= 4 * C && extent->offset < 6 * C) ||
                        (extent->offset >= 20 * C && extent->offset < 21 * C);
        CHECK(extent->offset == at && extent->length > 0 && extent->depth == 0);
        CHECK((extent->kind == QED_EXTENT_DATA) == data_here);
        CHECK((extent->file_offset != 0) == data_here);
        CHECK(extent->file_offset % C == 0);
        at += extent->length;
    }
    CHECK(at == 32 * C);

    /* A part, from the middle of a cluster. */
    memset(&walk, 0, sizeof walk);
    walk.image = image;
    OK(qed_image_extents(image, 4 * C + 7, 10, collect, &walk));
    CHECK(walk.count == 1 && walk.seen[0].offset == 4 * C + 7 && walk.seen[0].length == 10);
    CHECK(walk.seen[0].kind == QED_EXTENT_DATA);

    /* Stopped: a positive number is the caller's own, a negative one an error. */
    walk.count = 0;
    walk.stop_at = 2;
    walk.answer = 42;
    CHECK(qed_image_extents(image, 0, 32 * C, collect, &walk) == 42);
    CHECK(walk.count == 2 && qed_error_kind() == QED_ERROR_NONE);
    walk.count = 0;
    walk.answer = -ENOMEM;
    FAILS(qed_image_extents(image, 0, 32 * C, collect, &walk), ENOMEM, QED_ERROR_CANCELLED,
          "qed_image_extents", "callback");
    CHECK(walk.count == 2);
    OK(qed_image_extents(image, 32 * C, 0, collect, &walk));
    CHECK(walk.count == 2);
    OK(qed_image_close(&image));
    return 0;
}
