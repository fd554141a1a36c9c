/* Repair, undo, safety check, lint: what is found, mended, taken back; progress that cancels. */
#include "check.h"
#include <unistd.h>

static void put(const char *path, long offset, uint64_t word) {
    FILE *file = fopen(path, "r+b");
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(word >> 8 * i);
    CHECK(file && fseek(file, offset, SEEK_SET) == 0 && fwrite(bytes, 8, 1, file) == 1);
    CHECK(fclose(file) == 0);
}

static uint64_t get(const char *path, long offset) {
    FILE *file = fopen(path, "rb");
    unsigned char bytes[8];
    uint64_t word = 0;
    CHECK(file && fseek(file, offset, SEEK_SET) == 0 && fread(bytes, 8, 1, file) == 1);
    for (int i = 7; i >= 0; i--)
        word = word << 8 | bytes[i];
    CHECK(fclose(file) == 0);
    return word;
}

static int stop(void *user_data, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    return ++*(int *)user_data > 1;
}

static void mend_and_take_back(long table) {
    qed_options *options = NULL;
    qed_report *report = NULL;
    int calls = 0;

    OK(qed_options_new(&options));
    OK(qed_options_set_bool(options, "dry_run", true));
    OK(qed_repair("disk.qed", options, NULL, NULL, &report));
    CHECK(qed_report_corruptions_fixed(report) == 2 && qed_report_corruptions(report) == 0);
    OK(qed_report_free(&report));
    CHECK(get("disk.qed", table + 16) == 12345);
    FAILS(qed_repair("disk.qed", NULL, stop, &calls, &report), ECANCELED, QED_ERROR_CANCELLED,
          "qed_repair", "cancelled");
    OK(qed_options_set_bool(options, "dry_run", false));
    OK(qed_options_set_str(options, "undo", "disk.undo"));
    OK(qed_repair("disk.qed", options, NULL, NULL, &report));
    CHECK(qed_report_corruptions_fixed(report) == 2 && qed_report_findings(report) == 2);
    OK(qed_report_free(&report));
    CHECK(get("disk.qed", table + 16) == 0);
    FAILS(qed_repair("disk.qed", options, NULL, NULL, &report), EEXIST, QED_ERROR_ALREADY_EXISTS,
          "qed_repair", "disk.undo");
    OK(qed_undo_repair("disk.qed", "disk.undo", NULL));
    CHECK(get("disk.qed", table + 16) == 12345);
    FAILS(qed_undo_repair("disk.qed", "disk.undo", NULL), EACCES, QED_ERROR_REFUSED,
          "qed_undo_repair", "taken back already");
    OK(qed_options_free(&options));
    OK(qed_repair("disk.qed", NULL, NULL, NULL, &report));
    CHECK(qed_report_corruptions_fixed(report) == 2);
    OK(qed_report_free(&report));
}

static void safe_or_not(long table) {
    qed_safety *safety = NULL;

    OK(qed_safety_check("disk.qed", 0, &safety));
    CHECK(qed_safety_is_safe(safety) == 1 && qed_safety_format(safety) == QED_FORMAT_QED);
    CHECK(qed_safety_virtual_size(safety) == 4 * MIB && qed_safety_consistent(safety) == 1);
    CHECK(qed_safety_has_unknown_features(safety) == 0);
    CHECK(qed_safety_backing_name(safety) == NULL && qed_safety_fault(safety) == NULL);
    OK(qed_safety_free(&safety));
    put("disk.qed", table + 16, 12345);
    OK(qed_safety_check("disk.qed", 1 << 20, &safety));
    CHECK(qed_safety_is_safe(safety) == 0 && qed_safety_consistent(safety) == 0);
    CHECK(strstr(qed_safety_fault(safety), "guest cluster 2") != NULL);
    OK(qed_safety_free(&safety));
    put("disk.qed", table + 16, 1);
    FAILS(qed_safety_check("missing", 0, &safety), ENOENT, QED_ERROR_NOT_FOUND, "qed_safety_check",
          "missing");
    OK(qed_safety_free(&safety));
    MISUSE(qed_safety_is_safe(NULL), "qed_safety_is_safe", "safety");
}

static void suits_or_not(void) {
    qed_lint_report *report = NULL;

    OK(qed_lint("disk.qed", "qemu", false, NULL, NULL, NULL, &report));
    CHECK(qed_lint_is_clean(report) == 1 && qed_lint_findings(report, false) == 0);
    OK(qed_lint_free(&report));
    OK(qed_lint("disk.qed", "virtualbox", true, NULL, NULL, NULL, &report));
    CHECK(qed_lint_is_clean(report) == 1 && qed_lint_findings(report, true) == 1);
    CHECK(strncmp(qed_lint_finding(report, true, 0), "harms: zero-clusters: ", 22) == 0);
    CHECK(qed_lint_finding(report, false, 0) == NULL);
    MISUSE(-EINVAL, "qed_lint_finding", "no finding 0 among 0");
    OK(qed_lint_free(&report));
    MISUSE(qed_lint("disk.qed", "pce", false, NULL, NULL, NULL, &report), "qed_lint", "virtualbox");
    CHECK(report == NULL);
    OK(qed_lint_free(&report));
}

int main(void) {
    static unsigned char data[131072];
    qed_image *image = new_image("disk.qed", 4 * MIB);
    long table;

    memset(data, 7, sizeof data);
    OK(qed_image_pwrite(image, data, sizeof data, 0, 0));
    OK(qed_image_close(&image));
    table = (long)get("disk.qed", 65536);
    put("disk.qed", table + 8, get("disk.qed", table));
    put("disk.qed", table + 16, 12345);
    mend_and_take_back(table);
    safe_or_not(table);
    suits_or_not();
    return 0;
}
