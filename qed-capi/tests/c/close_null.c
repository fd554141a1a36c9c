/* What ends a handle takes NULL, a pointer to NULL, and the same variable twice. */
#include "check.h"

int main(void) {
    qed_image *image = NULL;
    qed_options *options = NULL;
    qed_report *report = NULL;

    OK(qed_image_close(NULL));
    OK(qed_options_free(NULL));
    OK(qed_report_free(NULL));
    for (int round = 0; round < 2; round++) {
        OK(qed_image_close(&image));
        OK(qed_options_free(&options));
        OK(qed_report_free(&report));
    }

    image = new_image("disk.qed", MIB);
    OK(qed_options_new(&options));
    OK(qed_image_close(&image));
    OK(qed_image_close(&image));
    OK(qed_check("disk.qed", NULL, &report));
    OK(qed_report_free(&report));
    OK(qed_report_free(&report));
    OK(qed_options_free(&options));
    OK(qed_options_free(&options));
    CHECK(image == NULL && options == NULL && report == NULL);
    return 0;
}
