/* Options by name: what is unknown is refused with a list of what is known; one set serves many. */
#include "check.h"

int main(void) {
    qed_options *options = NULL, *reading = NULL;
    qed_image *image = NULL;
    qed_info info = {0};

    OK(qed_options_new(&options));
    MISUSE(qed_options_set_str(options, NULL, "none"), "qed_options_set_str", "name is NULL");
    MISUSE(qed_options_set_str(options, "cache", NULL), "qed_options_set_str", "value is NULL");
    MISUSE(qed_options_set_str(options, "", "none"), "qed_options_set_str", "name is empty");
    MISUSE(qed_options_set_str(options, "\xff", "none"), "qed_options_set_str", "not UTF-8");
    MISUSE(qed_options_set_str(options, "cache", "\xff"), "qed_options_set_str", "writethrough");
    MISUSE(qed_options_set_str(options, "colour", "red"), "qed_options_set_str", "colour");
    MISUSE(qed_options_set_str(options, "colour", "red"), "qed_options_set_str", "cluster_size");
    MISUSE(qed_options_set_u64(options, "colour", 1), "qed_options_set_u64", "cluster_size");
    MISUSE(qed_options_set_bool(options, "colour", true), "qed_options_set_bool", "cluster_size");
    MISUSE(qed_options_set_str(options, "cache", "maybe"), "qed_options_set_str", "writethrough");
    MISUSE(qed_options_set_str(options, "overwrite", "maybe"), "qed_options_set_str", "on");
    MISUSE(qed_options_set_bool(options, "cluster_size", true), "qed_options_set_bool",
           "cluster_size");
    MISUSE(qed_options_set_u64(options, "overwrite", 7), "qed_options_set_u64", "overwrite");

    /* What was refused left nothing behind; what was set counts, the last value of a name. */
    OK(qed_options_set_u64(options, "cluster_size", 1 << 20));
    OK(qed_options_set_str(options, "cluster_size", "4K"));
    OK(qed_options_set_u64(options, "table_size", 2));
    OK(qed_image_create("a.qed", 8 * MIB, options));
    OK(qed_image_create("b.qed", 8 * MIB, options));

    /* An option of the wrong call is refused, not ignored. */
    MISUSE(qed_image_open("a.qed", options, &image), "qed_image_open", "_size");
    CHECK(image == NULL);
    OK(qed_options_new(&reading));
    OK(qed_options_set_bool(reading, "read_only", true));
    MISUSE(qed_image_create("c.qed", MIB, reading), "qed_image_create", "read_only");
    FAILS(qed_image_open("c.qed", reading, &image), ENOENT, QED_ERROR_NOT_FOUND, "qed_image_open",
          "c.qed");

    OK(qed_image_open("b.qed", reading, &image));
    info.struct_size = sizeof info;
    OK(qed_image_info(image, &info));
    CHECK(info.cluster_size == 4096 && info.table_size == 2 && info.read_only == 1);
    FAILS(qed_image_pwrite(image, "x", 1, 0, 0), EROFS, QED_ERROR_READ_ONLY, "qed_image_pwrite",
          "");
    FAILS(qed_image_write_zeroes(image, 0, 512, 0), EROFS, QED_ERROR_READ_ONLY,
          "qed_image_write_zeroes", "");
    OK(qed_image_close(&image));

    /* create is exclusive unless told otherwise. */
    FAILS(qed_image_create("a.qed", MIB, NULL), EEXIST, QED_ERROR_ALREADY_EXISTS,
          "qed_image_create", "a.qed");
    OK(qed_options_set_str(options, "overwrite", "on"));
    OK(qed_image_create("a.qed", 16 * MIB, options));
    OK(qed_options_set_u64(options, "cluster_size", 12345));
    MISUSE(qed_image_create("d.qed", MIB, options), "qed_image_create", "12345");

    OK(qed_options_free(&options));
    OK(qed_options_free(&reading));
    return 0;
}
