/* Measuring: a copy is as long as was said, a size needs no disk, misuse. */
#include "check.h"

#include <sys/stat.h>

int main(void) {
    static unsigned char data[65536];
    qed_options *options = NULL;
    qed_image *image = new_image("disk.qed", 8 * MIB);
    uint64_t required = 0, full = 0, no_data = 0;
    struct stat status;

    memset(data, 7, sizeof data);
    OK(qed_image_pwrite(image, data, sizeof data, 2 * MIB, 0));
    OK(qed_image_close(&image));
    OK(qed_measure("disk.qed", NULL, &required, &full));
    OK(qed_convert("disk.qed", "copy.qed", NULL, NULL, NULL));
    CHECK(stat("copy.qed", &status) == 0 && (uint64_t)status.st_size == required);
    CHECK(full == required + 127 * sizeof data);
    OK(qed_measure_size(8 * MIB, NULL, &no_data, &required));
    CHECK(required == full && no_data < full);

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "format", "raw"));
    OK(qed_measure("disk.qed", options, &required, &full));
    CHECK(required == 8 * MIB && full == 8 * MIB);
    OK(qed_options_set_str(options, "cluster_size", "64K"));
    MISUSE(qed_measure_size(MIB, options, &required, &full), "qed_measure_size", "cluster_size");
    OK(qed_options_set_str(options, "overwrite", "on"));
    MISUSE(qed_measure("disk.qed", options, &required, &full), "qed_measure", "overwrite");
    OK(qed_options_free(&options));
    MISUSE(qed_measure(NULL, NULL, &required, &full), "qed_measure", "source");
    MISUSE(qed_measure("disk.qed", NULL, NULL, &full), "qed_measure", "required");
    MISUSE(qed_measure_size(MIB, NULL, &required, NULL), "qed_measure_size", "fully_allocated");
    return 0;
}
