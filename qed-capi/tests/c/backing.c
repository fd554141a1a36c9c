/* An overlay: the size of its base, the base's name, its content. */
#include "check.h"

int main(void) {
    qed_options *options = NULL;
    qed_image *image = new_image("base.qed", 3 * MIB);
    qed_info info;
    char name[16], seen[8];

    OK(qed_image_pwrite(image, "from below", 10, MIB, 0));
    OK(qed_image_close(&image));

    OK(qed_options_new(&options));
    MISUSE(qed_image_create("overlay.qed", QED_SIZE_OF_BACKING, options), "qed_image_create", "");
    OK(qed_options_set_str(options, "backing", "base.qed"));
    OK(qed_image_create("overlay.qed", QED_SIZE_OF_BACKING, options));
    OK(qed_options_free(&options));
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing_policy", "follow"));
    OK(qed_image_open("overlay.qed", options, &image));
    OK(qed_options_free(&options));
    CHECK(qed_image_size(image) == (int64_t)(3 * MIB));
    info.struct_size = sizeof info;
    OK(qed_image_info(image, &info));
    CHECK(info.backing_name_length == 8 && info.backing_raw == 0 && (info.features & 1) == 1);
    CHECK(qed_image_backing_name(image, NULL, 0) == 8);
    CHECK(qed_image_backing_name(image, name, 9) == 8 && strcmp(name, "base.qed") == 0);
    name[0] = '?';
    FAILS(qed_image_backing_name(image, name, 8), ERANGE, QED_ERROR_IO, "qed_image_backing_name",
          "8 bytes");
    CHECK(name[0] == '?');

    OK(qed_image_pwrite(image, "FROM", 4, MIB, 0));
    OK(qed_image_pread(image, seen, 8, MIB));
    CHECK(memcmp(seen, "FROM bel", 8) == 0);
    OK(qed_image_close(&image));

    return 0;
}
