/* Backing files given by path and by descriptor: the images' own names do not count then. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

static char seen[12];

static void reads_base(qed_image **image) {
    OK(qed_image_pread(*image, seen, sizeof seen, 0));
    CHECK(memcmp(seen, "of the base", sizeof seen) == 0);
    OK(qed_image_close(image));
}

int main(void) {
    qed_options *options = NULL;
    qed_image *image = NULL;
    int raw = open("base.raw", O_RDWR | O_CREAT, 0600), fd;

    CHECK(raw >= 0 && ftruncate(raw, 1 << 20) == 0);
    CHECK(pwrite(raw, "of the base", 12, 0) == 12);
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing", "base.raw"));
    OK(qed_options_set_str(options, "backing_format", "raw"));
    OK(qed_image_create("overlay.qed", QED_SIZE_OF_BACKING, options));
    OK(qed_options_free(&options));
    CHECK(rename("base.raw", "moved.raw") == 0);
    fd = open("overlay.qed", O_RDWR);
    CHECK(fd >= 0);

    /* An image by descriptor has no directory. */
    FAILS(qed_image_open_fd(fd, NULL, &image), EACCES, QED_ERROR_REFUSED, "qed_image_open_fd", "");

    OK(qed_options_new(&options));
    MISUSE(qed_options_add_backing_path(NULL, "moved.raw", NULL), "qed_options_add_backing_path",
           "options is NULL");
    MISUSE(qed_options_add_backing_path(options, NULL, NULL), "qed_options_add_backing_path",
           "path is NULL");
    MISUSE(qed_options_add_backing_path(options, "moved.raw", "vmdk"),
           "qed_options_add_backing_path", "known are qed, qcow2, raw");
    MISUSE(qed_options_add_backing_fd(NULL, raw, NULL), "qed_options_add_backing_fd", "NULL");
    MISUSE(qed_options_add_backing_fd(options, raw, "\xff"), "qed_options_add_backing_fd", "UTF-8");
    FAILS(qed_options_add_backing_fd(options, -1, NULL), EBADF, QED_ERROR_IO,
          "qed_options_add_backing_fd", "-1");
    OK(qed_options_add_backing_path(options, "moved.raw", "raw"));
    OK(qed_image_open_fd(fd, options, &image));
    reads_base(&image);
    MISUSE(qed_image_create("new.qed", MIB, options), "qed_image_create", "backing");
    OK(qed_options_set_str(options, "backing_policy", "follow"));
    MISUSE(qed_image_open_fd(fd, options, &image), "qed_image_open_fd", "backing_policy");
    OK(qed_options_free(&options));

    /* More files than the chain needs are a mistake, too. */
    OK(qed_options_new(&options));
    OK(qed_options_add_backing_fd(options, raw, NULL));
    OK(qed_image_open("overlay.qed", options, &image));
    CHECK(close(raw) == 0);
    reads_base(&image);
    OK(qed_options_add_backing_path(options, "moved.raw", "raw"));
    CHECK(qed_image_open("overlay.qed", options, &image) < 0 && image == NULL);
    OK(qed_options_free(&options));

    CHECK(close(fd) == 0);
    return 0;
}
