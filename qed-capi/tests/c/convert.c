/* Converting and comparing: formats, a window, progress that counts and that cancels, misuse. */
#include "check.h"
#include <unistd.h>

struct told {
    int calls, stop_at;
    uint64_t done, total;
};

static int progress(void *user_data, uint64_t done, uint64_t total) {
    struct told *told = user_data;
    CHECK(done >= told->done && done <= total);
    told->done = done;
    told->total = total;
    return ++told->calls == told->stop_at;
}

static void fill(const char *path) {
    static unsigned char data[100000];
    qed_image *image = new_image(path, 10 * MIB);

    memset(data, 7, sizeof data);
    OK(qed_image_pwrite(image, data, sizeof data, MIB + 123, 0));
    OK(qed_image_pwrite(image, data, sizeof data, 9 * MIB, 0));
    OK(qed_image_close(&image));
}

static void raw_and_back(qed_options *options) {
    struct told told = {0, 0, 0, 0};
    uint64_t offset = 99;
    FILE *file;

    OK(qed_options_set_str(options, "format", "raw"));
    OK(qed_options_set_u64(options, "workers", 3));
    OK(qed_convert("disk.qed", "disk.raw", options, progress, &told));
    CHECK(told.calls > 0 && told.done == 10 * MIB && told.total == 10 * MIB);
    CHECK(qed_probe("disk.raw") == QED_FORMAT_UNKNOWN);
    file = fopen("disk.raw", "r+b");
    CHECK(file && fseek(file, MIB + 123, SEEK_SET) == 0 && fgetc(file) == 7);
    FAILS(qed_compare("disk.qed", "disk.raw", NULL, NULL, NULL, NULL), EINVAL, QED_ERROR_NOT_QED,
          "qed_compare", "disk.raw");

    OK(qed_options_free(&options));
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "format", "raw"));
    OK(qed_compare("disk.qed", "disk.raw", options, NULL, NULL, &offset));
    CHECK(offset == 99);
    CHECK(fseek(file, 5 * MIB, SEEK_SET) == 0 && fputc(1, file) == 1 && fclose(file) == 0);
    told.done = 0;
    CHECK(qed_compare("disk.qed", "disk.raw", options, progress, &told, &offset)
          == QED_COMPARE_CONTENT);
    CHECK(offset == 5 * MIB && qed_error_kind() == QED_ERROR_NONE);
    OK(qed_options_free(&options));
}

static void window(void) {
    qed_options *options = NULL;

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "offset", "1M"));
    OK(qed_options_set_str(options, "length", "2M"));
    OK(qed_options_set_bool(options, "in_order", false));
    OK(qed_convert("disk.qed", "part.qed", options, NULL, NULL));
    OK(qed_options_free(&options));

    OK(qed_options_new(&options));
    OK(qed_options_set_bool(options, "strict", true));
    CHECK(qed_compare("disk.qed", "part.qed", options, NULL, NULL, NULL) == QED_COMPARE_SIZE);
    OK(qed_options_set_u64(options, "length", MIB));
    MISUSE(qed_compare("disk.qed", "part.qed", options, NULL, NULL, NULL), "qed_compare", "length");
    MISUSE(qed_convert("disk.qed", "part.qed", options, NULL, NULL), "qed_convert", "strict");
    OK(qed_options_free(&options));
}

int main(void) {
    struct told told = {0, 1, 0, 0};
    qed_options *options = NULL;

    fill("disk.qed");
    FAILS(qed_convert("disk.qed", "copy.qed", NULL, progress, &told), ECANCELED,
          QED_ERROR_CANCELLED, "qed_convert", "cancelled");
    CHECK(access("copy.qed", F_OK) != 0 && told.calls == 1);
    OK(qed_convert("disk.qed", "copy.qed", NULL, NULL, NULL));
    OK(qed_compare("disk.qed", "copy.qed", NULL, NULL, NULL, NULL));
    FAILS(qed_convert("disk.qed", "copy.qed", NULL, NULL, NULL), EEXIST, QED_ERROR_ALREADY_EXISTS,
          "qed_convert", "copy.qed");
    FAILS(qed_convert("missing", "copy.qed", NULL, NULL, NULL), ENOENT, QED_ERROR_NOT_FOUND,
          "qed_convert", "missing");
    told.stop_at = told.calls + 1;
    told.done = 0;
    FAILS(qed_compare("disk.qed", "copy.qed", NULL, progress, &told, NULL), ECANCELED,
          QED_ERROR_CANCELLED, "qed_compare", "cancelled");

    OK(qed_options_new(&options));
    raw_and_back(options);
    window();
    MISUSE(qed_convert(NULL, "x", NULL, NULL, NULL), "qed_convert", "source is NULL");
    MISUSE(qed_convert("disk.qed", NULL, NULL, NULL, NULL), "qed_convert", "target is NULL");
    MISUSE(qed_compare("disk.qed", NULL, NULL, NULL, NULL, NULL), "qed_compare", "b is NULL");
    return 0;
}
