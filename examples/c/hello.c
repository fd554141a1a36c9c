/* Creates a disk image, writes to it, reads it back.   cc hello.c -lqed && ./a.out hello.qed */
#include <stdio.h>

#include <qed.h>

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "hello.qed";
    char text[6] = "";
    qed_image *disk = NULL;
    int failed = qed_image_create(path, 10ull << 30, NULL) /* 10 GiB; the file takes what is used */
                 || qed_image_open(path, NULL, &disk) || qed_image_pwrite(disk, "hello", 6, 4096, 0)
                 || qed_image_flush(disk) /* from here on, a power cut cannot take it away */
                 || qed_image_pread(disk, text, 6, 4096);

    if (failed)
        fprintf(stderr, "%s\n", qed_error_message());
    if (qed_image_close(&disk) != 0) {
        fprintf(stderr, "%s\n", qed_error_message());
        failed = 1;
    }
    if (!failed)
        printf("%s\n", text);
    return failed;
}
