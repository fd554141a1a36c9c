/* Which backing files are opened: beneath the image's directory or one given, none, or any. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static void overlay(const char *path, const char *backing) {
    qed_options *options = NULL;
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing", backing));
    OK(qed_image_create(path, QED_SIZE_OF_BACKING, options));
    OK(qed_options_free(&options));
}

static void try(const char *path, const char *policy, int allowed) {
    qed_options *options = NULL;
    qed_image *image = NULL;
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "backing_policy", policy));
    if (allowed)
        OK(qed_image_open(path, options, &image));
    else
        FAILS(qed_image_open(path, options, &image), EACCES, QED_ERROR_REFUSED, "qed_image_open",
              "backing_policy");
    CHECK((image != NULL) == allowed);
    OK(qed_image_close(&image));
    OK(qed_options_free(&options));
}

/* An image by descriptor, its backing file beneath a directory by descriptor. */
static void try_directory(void) {
    int fd = open("inner/above.qed", O_RDWR), directory = open(".", O_RDONLY | O_DIRECTORY);
    int beside = open("beside.qed", O_RDWR);
    qed_options *options = NULL;
    qed_image *image = NULL;

    CHECK(fd >= 0 && directory >= 0 && beside >= 0);
    OK(qed_options_new(&options));
    MISUSE(qed_options_set_backing_directory_fd(NULL, directory),
           "qed_options_set_backing_directory_fd", "options is NULL");
    FAILS(qed_options_set_backing_directory_fd(options, 12345), EBADF, QED_ERROR_IO,
          "qed_options_set_backing_directory_fd", "12345");
    OK(qed_options_set_backing_directory_fd(options, directory));
    CHECK(close(directory) == 0);
    OK(qed_image_open_fd(beside, options, &image));
    OK(qed_image_close(&image));
    /* "../base.qed" leads out of the directory. */
    FAILS(qed_image_open_fd(fd, options, &image), EACCES, QED_ERROR_REFUSED, "qed_image_open_fd",
          "../base.qed");
    MISUSE(qed_image_create("new.qed", MIB, options), "qed_image_create", "backing");
    OK(qed_options_add_backing_path(options, "base.qed", NULL));
    MISUSE(qed_image_open_fd(fd, options, &image), "qed_image_open_fd", "both");
    CHECK(image == NULL);
    OK(qed_options_free(&options));
    CHECK(close(fd) == 0 && close(beside) == 0);
}

int main(void) {
    qed_image *image = new_image("base.qed", MIB);

    OK(qed_image_close(&image));
    CHECK(mkdir("inner", 0700) == 0);
    overlay("beside.qed", "base.qed");
    overlay("inner/above.qed", "../base.qed");

    try("beside.qed", "follow", 1);
    try("beside.qed", "deny", 0);
    try("inner/above.qed", "follow", 1);
    if (has_openat2()) {
        OK(qed_image_open("beside.qed", NULL, &image));
        OK(qed_image_close(&image));
        FAILS(qed_image_open("inner/above.qed", NULL, &image), EACCES, QED_ERROR_REFUSED,
              "qed_image_open", "../base.qed");
        try("beside.qed", "beneath", 1);
        try("inner/above.qed", "beneath", 0);
        try_directory();
    }
    return 0;
}
