/* Every operation on whole images, one after the other, in the working directory.
 *
 *     cc whole_images.c -lqed && ./a.out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qed.h>

#define MIB ((uint64_t)1 << 20)

/* Every call that fails says why. */
static void must(int result) {
    if (result < 0) {
        fprintf(stderr, "%s\n", qed_error_message());
        exit(1);
    }
}

static void set(qed_options *options, const char *name, const char *value) {
    must(qed_options_set_str(options, name, value));
}

/* Hears how far a long call is; anything but 0 breaks it off. */
static int progress(void *user_data, uint64_t done, uint64_t total) {
    (void)user_data;
    (void)done;
    (void)total;
    return 0;
}

static int show(void *user_data, const qed_extent *extent) {
    (void)user_data;
    printf("kind %d from %llu on: %llu bytes\n", (int)extent->kind,
           (unsigned long long)extent->offset, (unsigned long long)extent->length);
    return 0;
}

/* create, with all tables laid out; resize, while the disk is used; extents. */
static void make(void) {
    static unsigned char data[300000];
    qed_options *options = NULL;
    qed_image *disk = NULL;

    must(qed_options_new(&options));
    set(options, "preallocation", "metadata");
    must(qed_image_create("base.qed", 10 * MIB, options));
    must(qed_options_free(&options));
    must(qed_image_open("base.qed", NULL, &disk));
    memset(data, 7, sizeof data);
    must(qed_image_pwrite(disk, data, sizeof data, MIB, 0));
    must(qed_image_resize(disk, 20 * MIB, 0));
    must(qed_image_extents(disk, 0, 20 * MIB, show, NULL));
    must(qed_image_close(&disk));
}

/* measure, convert, compare. */
static void copy(void) {
    uint64_t required = 0, most = 0, offset = 0;
    qed_options *options = NULL;
    int differ;

    must(qed_measure("base.qed", NULL, &required, &most));
    printf("a copy takes %llu bytes\n", (unsigned long long)required);
    must(qed_options_new(&options));
    set(options, "format", "raw");
    must(qed_convert("base.qed", "copy.raw", options, progress, NULL));
    must(differ = qed_compare("base.qed", "copy.raw", options, progress, NULL, &offset));
    must(qed_options_free(&options));
    if (differ)
        exit(2);
}

/* An overlay, and commit and rebase, after which it reads the same. */
static void move_between_layers(void) {
    qed_options *options = NULL;
    qed_image *disk = NULL;
    char seen[5];

    must(qed_options_new(&options));
    set(options, "backing", "base.qed");
    must(qed_image_create("over.qed", QED_SIZE_OF_BACKING, options));
    must(qed_options_free(&options));
    must(qed_image_open("over.qed", NULL, &disk));
    must(qed_image_pwrite(disk, "kept", 5, 5 * MIB, 0));
    must(qed_image_close(&disk));
    must(qed_commit("over.qed", NULL, progress, NULL));
    must(qed_options_new(&options));
    set(options, "backing_format", "raw");
    must(qed_rebase("over.qed", "copy.raw", options, progress, NULL));
    must(qed_options_free(&options));
    must(qed_image_open("over.qed", NULL, &disk));
    must(qed_image_pread(disk, seen, 5, 5 * MIB));
    must(qed_image_close(&disk));
    if (strcmp(seen, "kept") != 0)
        exit(2);
}

/* An external snapshot, stream and compact, all of them while the disk is used; at rest its file is
 * whole. */
static void work_beside_a_guest(void) {
    qed_options *options = NULL;
    qed_image *disk = NULL;
    uint64_t moved = 0;

    must(qed_options_new(&options));
    must(qed_options_set_bool(options, "copy_on_read", true));
    must(qed_image_open("over.qed", options, &disk));
    must(qed_options_free(&options));
    must(qed_image_add_overlay(disk, "snapshot.qed", NULL));
    must(qed_image_pwrite(disk, "after", 6, 6 * MIB, 0));
    must(qed_image_stream(disk, NULL, progress, NULL));
    must(qed_image_compact(disk, NULL, progress, NULL, &moved));
    printf("%llu clusters moved\n", (unsigned long long)moved);
    must(qed_image_quiesce(disk));
    must(qed_convert("snapshot.qed", "backup.qed", NULL, NULL, NULL));
    must(qed_image_resume(disk));
    must(qed_image_close(&disk));
}

/* probe, safety_check, lint; check, and repair. */
static void judge_and_repair(void) {
    qed_options *options = NULL;
    qed_report *report = NULL;
    qed_safety *safety = NULL;
    qed_lint_report *lint = NULL;

    if (qed_probe("backup.qed") != QED_FORMAT_QED)
        exit(2);
    must(qed_safety_check("backup.qed", 0, &safety));
    printf("safe: %d\n", qed_safety_is_safe(safety));
    must(qed_safety_free(&safety));
    must(qed_lint("backup.qed", "qemu", false, NULL, progress, NULL, &lint));
    printf("QEMU takes it: %d\n", qed_lint_is_clean(lint));
    must(qed_lint_free(&lint));
    must(qed_check("backup.qed", NULL, &report));
    printf("%lld corruptions\n", (long long)qed_report_corruptions(report));
    must(qed_report_free(&report));
    must(qed_options_new(&options));
    set(options, "repair", "all");
    set(options, "undo", "undo");
    must(qed_repair("backup.qed", options, progress, NULL, &report));
    printf("%lld mended\n", (long long)qed_report_corruptions_fixed(report));
    must(qed_report_free(&report));
    must(qed_options_free(&options));
}

int main(void) {
    make();
    copy();
    move_between_layers();
    work_beside_a_guest();
    judge_and_repair();
    return 0;
}
