/* Compaction and streaming beside an image in use: options, progress that cancels, misuse. */
#include "check.h"

static int stop(void *user_data, uint64_t done, uint64_t total) {
    (void)user_data;
    CHECK(done <= total);
    return 1;
}

static int go_on(void *user_data, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    ++*(int *)user_data;
    return 0;
}

int main(void) {
    static unsigned char data[65536], found[65536];
    qed_options *options = NULL;
    qed_image *image = new_image("base.qed", 4 * MIB);
    uint64_t moved = 99;
    qed_info info = {.struct_size = sizeof info};
    int calls = 0;

    memset(data, 5, sizeof data);
    OK(qed_image_pwrite(image, data, sizeof data, 2 * MIB, 0));
    OK(qed_image_close(&image));

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing", "base.qed"));
    OK(qed_options_set_str(options, "backing_format", "qed"));
    OK(qed_options_set_str(options, "preallocation", "metadata"));
    OK(qed_image_create("top.qed", 4 * MIB, options));
    OK(qed_options_free(&options));
    image = open_overlay("top.qed");
    OK(qed_image_pwrite(image, data, sizeof data, 3 * MIB, 0));
    OK(qed_image_pwrite(image, data, sizeof data, MIB, 0));

    FAILS(qed_image_stream(image, NULL, stop, NULL), ECANCELED, QED_ERROR_CANCELLED,
          "qed_image_stream", "cancelled");
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "base", "nobody.qed"));
    MISUSE(qed_image_stream(image, options, NULL, NULL), "qed_image_stream", "nobody.qed");
    MISUSE(qed_image_compact(image, options, NULL, NULL, NULL), "qed_image_compact", "base");
    OK(qed_options_free(&options));
    OK(qed_image_info(image, &info));
    CHECK(info.backing_name_length == 8);
    OK(qed_image_stream(image, NULL, go_on, &calls));
    OK(qed_image_info(image, &info));
    CHECK(info.backing_name_length == 0 && calls > 0);

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "batch", "64K"));
    OK(qed_image_compact(image, options, NULL, NULL, &moved));
    CHECK(moved > 0 && moved < 99);
    OK(qed_options_free(&options));
    OK(qed_image_pread(image, found, sizeof found, 2 * MIB));
    CHECK(memcmp(found, data, sizeof data) == 0);
    OK(qed_image_close(&image));
    MISUSE(qed_image_compact(NULL, NULL, NULL, NULL, NULL), "qed_image_compact", "image");
    MISUSE(qed_image_stream(NULL, NULL, NULL, NULL), "qed_image_stream", "image");
    return 0;
}
