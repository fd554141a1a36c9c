/* NULL, another type, closed, closed twice, not a handle: each is refused by name. */
#include "check.h"

int main(void) {
    qed_image *image = new_image("disk.qed", MIB), *closed;
    qed_options *options, *freed;
    qed_report *report, *freed_report;
    uint64_t words[4] = {0, 0, 0, 0};
    qed_image *foreign = (qed_image *)words;
    char byte;

    OK(qed_options_new(&options));
    OK(qed_image_create("checked.qed", MIB, NULL));
    OK(qed_check("checked.qed", NULL, &report));

    /* NULL */
    MISUSE(qed_image_size(NULL), "qed_image_size", "image is NULL");
    MISUSE(qed_image_pread(NULL, &byte, 1, 0), "qed_image_pread", "image is NULL");
    MISUSE(qed_image_pwrite(NULL, &byte, 1, 0, 0), "qed_image_pwrite", "image is NULL");
    MISUSE(qed_image_preadv(NULL, NULL, 0, 0), "qed_image_preadv", "image is NULL");
    MISUSE(qed_image_pwritev(NULL, NULL, 0, 0, 0), "qed_image_pwritev", "image is NULL");
    MISUSE(qed_image_write_zeroes(NULL, 0, 1, 0), "qed_image_write_zeroes", "image is NULL");
    MISUSE(qed_image_discard(NULL, 0, 1), "qed_image_discard", "image is NULL");
    MISUSE(qed_image_flush(NULL), "qed_image_flush", "image is NULL");
    MISUSE(qed_image_extents(NULL, 0, 1, NULL, NULL), "qed_image_extents", "image is NULL");
    MISUSE(qed_image_info(NULL, NULL), "qed_image_info", "image is NULL");
    MISUSE(qed_image_backing_name(NULL, NULL, 0), "qed_image_backing_name", "image is NULL");
    MISUSE(qed_options_set_str(NULL, "cache", "none"), "qed_options_set_str", "options is NULL");
    MISUSE(qed_options_set_u64(NULL, "table_size", 4), "qed_options_set_u64", "options is NULL");
    MISUSE(qed_options_set_bool(NULL, "lock", true), "qed_options_set_bool", "options is NULL");
    MISUSE(qed_report_leaks(NULL), "qed_report_leaks", "report is NULL");
    CHECK(qed_report_finding(NULL, 0) == NULL);
    MISUSE(-EINVAL, "qed_report_finding", "report is NULL");

    /* Another type */
    MISUSE(qed_image_size((qed_image *)options), "qed_image_size", "image is not a qed_image");
    MISUSE(qed_report_leaks((qed_report *)image), "qed_report_leaks", "is not a qed_report");
    MISUSE(qed_options_set_u64((qed_options *)report, "table_size", 4), "qed_options_set_u64",
           "options is not a qed_options");
    MISUSE(qed_image_create("other.qed", MIB, (qed_options *)image), "qed_image_create",
           "options is not a qed_options");
    closed = (qed_image *)options;
    MISUSE(qed_image_close(&closed), "qed_image_close", "image is not a qed_image");
    CHECK(closed == NULL);

    /* Not a handle at all */
    MISUSE(qed_image_flush(foreign), "qed_image_flush", "image is not a qed_image");
    MISUSE(qed_image_flush((qed_image *)((char *)words + 1)), "qed_image_flush",
           "is not a qed_image");
    MISUSE(qed_image_close((qed_image **)((char *)words + 1)), "qed_image_close", "misaligned");

    /* Used after it was closed, closed twice through a copy */
    closed = image;
    OK(qed_image_close(&image));
    MISUSE(qed_image_flush(closed), "qed_image_flush", "image was closed or freed already");
    MISUSE(qed_image_close(&closed), "qed_image_close", "image was closed or freed already");
    CHECK(image == NULL && closed == NULL);
    freed = options;
    OK(qed_options_free(&options));
    MISUSE(qed_options_set_str(freed, "cache", "none"), "qed_options_set_str", "freed already");
    MISUSE(qed_image_open("disk.qed", freed, &image), "qed_image_open", "freed already");
    MISUSE(qed_options_free(&freed), "qed_options_free", "options was closed or freed already");
    freed_report = report;
    OK(qed_report_free(&report));
    MISUSE(qed_report_leaks(freed_report), "qed_report_leaks", "freed already");
    MISUSE(qed_report_free(&freed_report), "qed_report_free", "freed already");
    CHECK(image == NULL && options == NULL && report == NULL);
    return 0;
}
