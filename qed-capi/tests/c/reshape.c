/* Resizing, committing, rebasing: what they do, and how misuse is told. */
#include "check.h"
#include <sys/stat.h>
#include <unistd.h>

static int stop(void *user_data, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    return ++*(int *)user_data;
}

static void resize(void) {
    qed_image *image = new_image("disk.qed", MIB);
    unsigned char byte = 9;
    struct stat status;

    OK(qed_image_pwrite(image, &byte, 1, MIB - 1, 0));
    OK(qed_image_resize(image, 2 * MIB, 0));
    CHECK(qed_image_size(image) == 2 * MIB);
    OK(qed_image_pread(image, &byte, 1, MIB));
    CHECK(byte == 0);
    FAILS(qed_image_resize(image, MIB, 0), EINVAL, QED_ERROR_INVALID_ARGUMENT,
          "qed_image_resize", "shrink");
    FAILS(qed_image_resize(image, MIB, 16), EINVAL, QED_ERROR_INVALID_ARGUMENT, "qed_image_resize",
          "unknown flags 0x10");
    FAILS(qed_image_resize(image, 3 * MIB, QED_PREALLOCATE_FALLOC | QED_PREALLOCATE_FULL), EINVAL,
          QED_ERROR_INVALID_ARGUMENT, "qed_image_resize", "more than one");
    FAILS(qed_image_resize(image, MIB, QED_SHRINK | QED_PREALLOCATE_FULL), EINVAL,
          QED_ERROR_INVALID_ARGUMENT, "qed_image_resize", "grow");
    FAILS(qed_image_resize(image, 3 * MIB + 1, 0), EINVAL, QED_ERROR_INVALID_ARGUMENT,
          "qed_image_resize", "size");
    FAILS(qed_image_resize(NULL, MIB, 0), EINVAL, QED_ERROR_INVALID_ARGUMENT, "qed_image_resize",
          "NULL");
    OK(qed_image_resize(image, 3 * MIB, QED_PREALLOCATE_METADATA));
    OK(qed_image_resize(image, 4 * MIB, QED_PREALLOCATE_FALLOC));
    OK(qed_image_resize(image, 5 * MIB, QED_PREALLOCATE_FULL));
    CHECK(stat("disk.qed", &status) == 0 && (uint64_t)status.st_blocks * 512 >= 2 * MIB);
    OK(qed_image_resize(image, MIB, QED_SHRINK));
    CHECK(qed_image_size(image) == MIB);
    OK(qed_image_close(&image));
}

static qed_image *overlay(const char *path, const char *backing, uint64_t size) {
    qed_options *options = NULL;

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing", backing));
    OK(qed_options_set_str(options, "backing_format", "qed"));
    OK(qed_image_create(path, size, options));
    OK(qed_options_free(&options));
    return open_overlay(path);
}

static void expect(const char *path, uint64_t offset, unsigned char value) {
    qed_image *image = open_overlay(path);
    unsigned char byte = 99;

    OK(qed_image_pread(image, &byte, 1, offset));
    CHECK(byte == value);
    OK(qed_image_close(&image));
}

static void commit(void) {
    qed_options *options = NULL;
    qed_image *image = overlay("over.qed", "disk.qed", 3 * MIB);
    unsigned char byte = 5;
    int calls = 0;

    OK(qed_image_pwrite(image, &byte, 1, 2 * MIB, 0));
    OK(qed_image_close(&image));
    OK(qed_options_new(&options));
    allow_backing(options);
    FAILS(qed_commit("over.qed", options, stop, &calls), ECANCELED, QED_ERROR_CANCELLED,
          "qed_commit", "cancelled");
    CHECK(calls > 0);
    expect("over.qed", 2 * MIB, 5);
    OK(qed_options_set_bool(options, "keep", true));
    OK(qed_options_set_str(options, "rate", "1G"));
    OK(qed_commit("over.qed", options, NULL, NULL));
    OK(qed_options_set_bool(options, "keep", false));
    OK(qed_commit("over.qed", options, NULL, NULL));
    OK(qed_options_free(&options));
    expect("disk.qed", 2 * MIB, 5);
    expect("over.qed", 2 * MIB, 5);
    FAILS(qed_commit("disk.qed", NULL, NULL, NULL), EINVAL, QED_ERROR_INVALID_ARGUMENT,
          "qed_commit", "no backing file");
    FAILS(qed_commit(NULL, NULL, NULL, NULL), EINVAL, QED_ERROR_INVALID_ARGUMENT, "qed_commit",
          "NULL");
}

static void rebase(void) {
    qed_options *options = NULL;
    qed_image *image = new_image("other.qed", MIB);

    OK(qed_image_close(&image));
    OK(qed_options_new(&options));
    allow_backing(options);
    OK(qed_rebase("over.qed", "other.qed", options, NULL, NULL));
    expect("over.qed", 2 * MIB, 5);
    OK(qed_rebase("over.qed", NULL, options, NULL, NULL));
    OK(qed_options_free(&options));
    CHECK(unlink("other.qed") == 0);
    expect("over.qed", 2 * MIB, 5);
    OK(qed_options_new(&options));
    OK(qed_options_set_bool(options, "name_only", true));
    OK(qed_options_set_str(options, "backing_format", "qed"));
    OK(qed_rebase("over.qed", "disk.qed", options, NULL, NULL));
    expect("over.qed", 2 * MIB, 5);
    OK(qed_options_set_str(options, "discard", "unmap"));
    FAILS(qed_rebase("over.qed", "disk.qed", options, NULL, NULL), EINVAL,
          QED_ERROR_INVALID_ARGUMENT, "qed_rebase", "no option \"discard\"");
    OK(qed_options_free(&options));
}

int main(void) {
    resize();
    commit();
    rebase();
    return 0;
}
