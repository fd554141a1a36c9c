/* By descriptor: the caller's stays the caller's; a number that is none is refused. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(void) {
    qed_image *image = NULL;
    qed_report *report = NULL;
    char seen[6];
    int fd = open("disk.qed", O_RDWR | O_CREAT | O_EXCL, 0600);

    CHECK(fd >= 0);
    OK(qed_image_create_fd(fd, 2 * MIB, NULL));
    CHECK(qed_probe_fd(fd) == QED_FORMAT_QED);
    OK(qed_image_open_fd(fd, NULL, &image));
    CHECK(close(fd) == 0);
    OK(qed_image_pwrite(image, "words", 6, 77, 0));
    OK(qed_image_close(&image));

    fd = open("disk.qed", O_RDWR);
    CHECK(fd >= 0);
    OK(qed_image_open_fd(fd, NULL, &image));
    OK(qed_image_pread(image, seen, 6, 77));
    CHECK(strcmp(seen, "words") == 0);
    OK(qed_image_close(&image));
    /* Closing the image released its locks, although this descriptor shares the open file. */
    OK(qed_image_open("disk.qed", NULL, &image));
    OK(qed_image_close(&image));
    OK(qed_check_fd(fd, NULL, &report));
    CHECK(qed_report_corruptions(report) == 0);
    OK(qed_report_free(&report));
    CHECK(close(fd) == 0);

    FAILS(qed_image_open_fd(-1, NULL, &image), EBADF, QED_ERROR_IO, "qed_image_open_fd", "-1");
    FAILS(qed_image_create_fd(fd, MIB, NULL), EBADF, QED_ERROR_IO, "qed_image_create_fd", "");
    FAILS(qed_check_fd(fd, NULL, &report), EBADF, QED_ERROR_IO, "qed_check_fd", "");
    FAILS(qed_probe_fd(1 << 20), EBADF, QED_ERROR_IO, "qed_probe_fd", "1048576");
    CHECK(image == NULL && report == NULL);
    return 0;
}
