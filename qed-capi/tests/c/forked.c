/* After a fork the child is refused its parent's image, may open its own, and harms nothing. */
#define _POSIX_C_SOURCE 200809L
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void child(qed_image *image, qed_options *options) {
    qed_image *copy = image, *own = NULL;
    char byte;

    MISUSE(qed_image_pwrite(image, "child", 5, 0, 0), "qed_image_pwrite", "process that forked");
    MISUSE(qed_image_pread(image, &byte, 1, 0), "qed_image_pread", "process that forked");
    MISUSE(qed_image_flush(image), "qed_image_flush", "process that forked");
    MISUSE(qed_image_size(image), "qed_image_size", "process that forked");
    MISUSE(qed_image_close(&copy), "qed_image_close", "process that forked");
    CHECK(copy == NULL);
    OK(qed_image_close(&copy));

    /* Options are memory and no more; an image of its own is the child's. */
    OK(qed_options_set_str(options, "cluster_size", "4K"));
    OK(qed_image_create("own.qed", MIB, options));
    OK(qed_image_open("own.qed", NULL, &own));
    OK(qed_image_pwrite(own, "own", 3, 0, QED_FUA));
    OK(qed_image_close(&own));
    OK(qed_options_free(&options));
}

int main(void) {
    qed_image *image = new_image("disk.qed", MIB);
    qed_options *options = NULL;
    char seen[7];
    int status;
    pid_t pid;

    OK(qed_options_new(&options));
    /* Something not yet stable, and a thread of the library's: the child has neither. */
    OK(qed_image_pwrite(image, "parent", 7, 0, 0));
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child(image, options);
        /* The stacks of the parent's threads are lost here: leak checkers have nothing to say. */
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    OK(qed_image_pread(image, seen, 7, 0));
    CHECK(strcmp(seen, "parent") == 0);
    OK(qed_image_pwrite(image, "PARENT", 7, 500000, 0));
    OK(qed_image_close(&image));
    OK(qed_image_open("disk.qed", NULL, &image));
    OK(qed_image_pread(image, seen, 7, 500000));
    CHECK(strcmp(seen, "PARENT") == 0);
    OK(qed_image_close(&image));
    OK(qed_image_open("own.qed", NULL, &image));
    OK(qed_image_pread(image, seen, 3, 0));
    CHECK(memcmp(seen, "own", 3) == 0);
    OK(qed_image_close(&image));
    OK(qed_options_free(&options));
    return 0;
}
