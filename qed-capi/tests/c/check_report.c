/* Checking: a sound image, a damaged one, files that are no image; nothing is ever changed. */
#include "check.h"

static void break_first_entry(const char *path) {
    FILE *file = fopen(path, "r+b");
    const unsigned char entry[8] = {0x00, 0x10, 0, 0, 0, 0x70, 0, 0};
    CHECK(file && fseek(file, 65536, SEEK_SET) == 0 && fwrite(entry, 8, 1, file) == 1);
    CHECK(fclose(file) == 0);
}

static void put(const char *path, const char *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

int main(void) {
    static const char text[] = "this is certainly not a disk image, but long enough for a header";
    static unsigned char data[65536];
    qed_image *image = new_image("disk.qed", 4 * MIB);
    qed_report *report = NULL;

    memset(data, 1, sizeof data);
    for (uint64_t i = 0; i < 3; i++)
        OK(qed_image_pwrite(image, data, sizeof data, i * 2 * sizeof data, 0));
    OK(qed_image_close(&image));

    OK(qed_check("disk.qed", NULL, &report));
    CHECK(qed_report_total_clusters(report) == 64);
    CHECK(qed_report_allocated_clusters(report) == 3);
    CHECK(qed_report_fragmented_clusters(report) <= 3);
    CHECK(qed_report_corruptions(report) == 0 && qed_report_corruptions_fixed(report) == 0);
    CHECK(qed_report_leaks_fixed(report) == 0 && qed_report_check_errors(report) == 0);
    CHECK(qed_report_leaks(report) >= 0 && qed_report_image_end_offset(report) > 5 * 65536);
    CHECK(qed_report_findings(report) == 0);
    CHECK(qed_report_finding(report, 0) == NULL);
    MISUSE(-EINVAL, "qed_report_finding", "no finding 0 among 0");
    OK(qed_report_free(&report));

    OK(qed_image_create("broken.qed", 4 * MIB, NULL));
    break_first_entry("broken.qed");
    for (int round = 0; round < 2; round++) {
        OK(qed_check("broken.qed", NULL, &report));
        CHECK(qed_report_corruptions(report) == 1 && qed_report_findings(report) == 1);
        CHECK(strstr(qed_report_finding(report, 0), "L1 entry 0") != NULL);
        CHECK(qed_report_finding(report, 1) == NULL);
        MISUSE(-EINVAL, "qed_report_finding", "no finding 1 among 1");
        OK(qed_report_free(&report));
    }

    put("text.txt", text, sizeof text);
    FAILS(qed_check("text.txt", NULL, &report), EINVAL, QED_ERROR_NOT_QED, "qed_check", "text.txt");
    FAILS(qed_check("missing", NULL, &report), ENOENT, QED_ERROR_NOT_FOUND, "qed_check", "missing");
    CHECK(report == NULL);
    FAILS(qed_image_open("text.txt", NULL, &image), EINVAL, QED_ERROR_NOT_QED, "qed_image_open",
          "text.txt");
    CHECK(image == NULL);

    CHECK(qed_probe("disk.qed") == QED_FORMAT_QED && qed_error_kind() == QED_ERROR_NONE);
    CHECK(qed_probe("text.txt") == QED_FORMAT_UNKNOWN);
    put("empty", "", 0);
    CHECK(qed_probe("empty") == QED_FORMAT_UNKNOWN);
    put("other.qcow2", "QFI\xfb\0\0\0\3", 8);
    CHECK(qed_probe("other.qcow2") == QED_FORMAT_QCOW2);
    FAILS(qed_probe("missing"), ENOENT, QED_ERROR_NOT_FOUND, "qed_probe", "missing");
    return 0;
}
