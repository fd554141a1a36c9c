/* Two openings of one image exclude each other, and the second says so. */
#include "check.h"

int main(void) {
    qed_image *image = new_image("disk.qed", MIB), *second = NULL;
    qed_options *options = NULL;

    FAILS(qed_image_open("disk.qed", NULL, &second), EAGAIN, QED_ERROR_LOCKED, "qed_image_open",
          "disk.qed");
    CHECK(second == NULL);
    OK(qed_image_close(&image));

    OK(qed_options_new(&options));
    OK(qed_options_set_bool(options, "read_only", true));
    OK(qed_image_open("disk.qed", options, &image));
    OK(qed_image_open("disk.qed", options, &second));
    OK(qed_image_close(&image));
    FAILS(qed_image_open("disk.qed", NULL, &image), EAGAIN, QED_ERROR_LOCKED, "qed_image_open", "");
    OK(qed_image_close(&second));
    OK(qed_image_open("disk.qed", NULL, &image));
    OK(qed_image_close(&image));
    OK(qed_options_free(&options));
    return 0;
}
