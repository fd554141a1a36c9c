/* Arguments that cannot be right, one at a time: each is refused by name, and nothing happens. */
#include "check.h"

static int never(void *user_data, const qed_extent *extent) {
    (void)user_data;
    (void)extent;
    exit(1);
}

int main(void) {
    qed_image *image = new_image("disk.qed", MIB), *other = NULL;
    qed_options *options;
    qed_report *report = NULL;
    qed_info info = {0};
    char buffer[16] = "unchanged";
    union {
        uint64_t words[2];
        char bytes[16];
    } place;
    void *odd = place.bytes + 1;

    OK(qed_options_new(&options));

    MISUSE(qed_options_new(NULL), "qed_options_new", "out is NULL");
    MISUSE(qed_options_new((qed_options **)odd), "qed_options_new", "out is a misaligned pointer");
    MISUSE(qed_image_create(NULL, MIB, NULL), "qed_image_create", "path is NULL");
    MISUSE(qed_image_open(NULL, NULL, &other), "qed_image_open", "path is NULL");
    MISUSE(qed_image_open("disk.qed", NULL, NULL), "qed_image_open", "out is NULL");
    MISUSE(qed_image_open("disk.qed", NULL, (qed_image **)odd), "qed_image_open", "misaligned");
    MISUSE(qed_image_open_fd(0, NULL, NULL), "qed_image_open_fd", "out is NULL");
    MISUSE(qed_check(NULL, NULL, &report), "qed_check", "path is NULL");
    MISUSE(qed_check("disk.qed", NULL, NULL), "qed_check", "out is NULL");
    MISUSE(qed_check_fd(0, NULL, NULL), "qed_check_fd", "out is NULL");
    MISUSE(qed_probe(NULL), "qed_probe", "path is NULL");
    CHECK(other == NULL && report == NULL);

    MISUSE(qed_image_pread(image, NULL, 1, 0), "qed_image_pread", "buffer is NULL");
    MISUSE(qed_image_pwrite(image, NULL, 1, 0, 0), "qed_image_pwrite", "buffer is NULL");
    MISUSE(qed_image_pread(image, buffer, SIZE_MAX, 0), "qed_image_pread", "than memory can hold");
    MISUSE(qed_image_pwrite(image, buffer, (size_t)PTRDIFF_MAX + 1, 0, 0), "qed_image_pwrite",
           "than memory can hold");
    MISUSE(qed_image_pread(image, (char *)UINTPTR_MAX - 7, 16, 0), "qed_image_pread",
           "than memory can hold");

    /* Past the end, and around it */
    MISUSE(qed_image_pread(image, buffer, 1, MIB), "qed_image_pread", "");
    MISUSE(qed_image_pread(image, buffer, 16, MIB - 15), "qed_image_pread", "");
    MISUSE(qed_image_pread(image, buffer, 16, UINT64_MAX), "qed_image_pread", "");
    MISUSE(qed_image_pwrite(image, buffer, 16, MIB - 15, 0), "qed_image_pwrite", "");
    MISUSE(qed_image_pwrite(image, buffer, 1, UINT64_MAX, 0), "qed_image_pwrite", "");
    MISUSE(qed_image_write_zeroes(image, MIB - 1, 2, 0), "qed_image_write_zeroes", "");
    MISUSE(qed_image_write_zeroes(image, 1, UINT64_MAX, 0), "qed_image_write_zeroes", "");
    MISUSE(qed_image_discard(image, 0, MIB + 1), "qed_image_discard", "");
    MISUSE(qed_image_extents(image, 0, MIB + 1, never, NULL), "qed_image_extents", "");
    MISUSE(qed_image_extents(image, UINT64_MAX, 1, never, NULL), "qed_image_extents", "");
    CHECK(strcmp(buffer, "unchanged") == 0);

    MISUSE(qed_image_extents(image, 0, MIB, NULL, NULL), "qed_image_extents", "callback is NULL");
    MISUSE(qed_image_info(image, NULL), "qed_image_info", "info is NULL");
    MISUSE(qed_image_info(image, (qed_info *)odd), "qed_image_info", "misaligned");
    MISUSE(qed_image_info(image, &info), "qed_image_info",
           "struct_size is 0, not sizeof(qed_info)");
    info.struct_size = 8;
    MISUSE(qed_image_info(image, &info), "qed_image_info", "struct_size is 8");
    CHECK(info.virtual_size == 0 && info.struct_size == 8);
    MISUSE(qed_image_backing_name(image, NULL, 1), "qed_image_backing_name", "buffer is NULL");

    /* Flags: unknown bits, and bits that the call does not know */
    MISUSE(qed_image_pwrite(image, "x", 1, 0, 8), "qed_image_pwrite", "");
    MISUSE(qed_image_pwrite(image, "x", 1, 0, QED_MAY_UNMAP), "qed_image_pwrite", "");
    MISUSE(qed_image_pwritev(image, NULL, 0, 0, 0x80000000u), "qed_image_pwritev", "");
    MISUSE(qed_image_write_zeroes(image, 0, 512, 1u << 16), "qed_image_write_zeroes", "");
    OK(qed_image_pread(image, buffer, 1, 0));
    CHECK(buffer[0] == 0);

    OK(qed_options_free(&options));
    OK(qed_image_close(&image));
    return 0;
}
