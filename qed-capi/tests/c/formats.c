/* Disks of other formats behind the same calls, and a map through a chain of all three. */
#include "check.h"

#define C 65536

struct run {
    uint32_t kind, depth;
};

static int collect(void *user_data, const qed_extent *extent) {
    struct run *runs = (struct run *)user_data;
    /* A raw file may hold less than a cluster of data: what counts is where a cluster begins. */
    CHECK(extent->length > 0 && extent->offset < 4 * C);
    if (extent->offset % C == 0)
        runs[extent->offset / C] = (struct run){extent->kind, extent->depth};
    return 0;
}

/* Makes a disk of four clusters, and writes the first byte of one of them. */
static void make(const char *path, const char *format, const char *base, const char *base_format,
                 uint64_t at) {
    qed_options *create = NULL, *open = NULL;
    qed_image *disk = NULL;
    qed_info info = {.struct_size = sizeof info};
    char read[1];

    OK(qed_options_new(&create));
    OK(qed_options_set_str(create, "format", format));
    if (base) {
        OK(qed_options_set_str(create, "backing", base));
        OK(qed_options_set_str(create, "backing_format", base_format));
    }
    OK(qed_image_create(path, 4 * C, create));
    OK(qed_options_new(&open));
    OK(qed_options_set_str(open, "format", format));
    /* valgrind knows no openat2, which staying in the directory needs. */
    OK(qed_options_set_str(open, "backing_policy", "follow"));
    OK(qed_image_open(path, open, &disk));
    OK(qed_image_pwrite(disk, format, 1, at, 0));
    OK(qed_image_flush(disk));
    OK(qed_image_pread(disk, read, 1, at));
    CHECK(read[0] == format[0]);
    OK(qed_image_info(disk, &info));
    CHECK(info.virtual_size == 4 * C && (info.cluster_size != 0) == (format[0] == 'q'));
    CHECK((info.format == QED_FORMAT_RAW) == (format[0] == 'r'));
    OK(qed_image_close(&disk));
    OK(qed_options_free(&create));
    OK(qed_options_free(&open));
}

int main(void) {
    struct run runs[4] = {0};
    qed_info info = {.struct_size = sizeof info};
    qed_options *options = NULL;
    qed_image *top = NULL;

    make("base.raw", "raw", NULL, NULL, 0);
    make("mid.qcow2", "qcow2", "base.raw", "raw", C);
    make("top.qed", "qed", "mid.qcow2", "qcow2", 2 * C);
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing_policy", "follow"));
    OK(qed_image_open("top.qed", options, &top));
    OK(qed_options_free(&options));
    OK(qed_image_info(top, &info));
    CHECK(info.format == QED_FORMAT_QED && info.backing_format == QED_FORMAT_UNKNOWN);
    for (uint64_t at = 0; at < 4; at++)
        OK(qed_image_map(top, at * C, C, collect, runs));
    CHECK(runs[0].depth == 2 && runs[1].depth == 1 && runs[2].depth == 0);
    CHECK(runs[1].kind == QED_EXTENT_DATA && runs[2].kind == QED_EXTENT_DATA);
    CHECK(runs[3].depth == 2 && runs[3].kind == QED_EXTENT_ZERO);
    MISUSE(qed_image_map(top, 0, C, NULL, NULL), "qed_image_map", "callback is NULL");
    MISUSE(qed_image_map(top, 3 * C, 2 * C, collect, runs), "qed_image_map", "end of the disk");
    OK(qed_image_close(&top));
    return 0;
}
