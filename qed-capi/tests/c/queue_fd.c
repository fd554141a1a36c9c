/* The completion descriptor: readable while completions wait, the same in every call, the queue's
 * own; and what a forked child may do with a queue. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue.h"

static int readable(int fd, int timeout_ms) {
    struct pollfd wait = {fd, POLLIN, 0};
    CHECK(poll(&wait, 1, timeout_ms) >= 0);
    return wait.revents == POLLIN;
}

static void wakes_whoever_polls(qed_image *image, const char *aio) {
    static unsigned char data[4][4096];
    qed_completion done[4];
    qed_queue *queue = new_queue(image, aio, 4);
    int fd = qed_queue_completion_fd(queue), count = 0;

    CHECK(fd >= 0 && fd == qed_queue_completion_fd(queue));
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (unsigned i = 0; i < 4; i++)
        OK(qed_queue_write(queue, data[i], sizeof data[i], 65536 * i, i, 0));
    OK(qed_queue_do_io(queue, NULL, 0, 0, 0));
    while (count < 4) {
        int fetched;
        CHECK(readable(fd, -1));
        fetched = qed_queue_do_io(queue, done, 0, 1, 0);
        CHECK(fetched >= 0);
        count += fetched;
    }
    CHECK(qed_queue_do_io(queue, done, 0, 4, 0) == 0);
    CHECK(!readable(fd, 0));
    OK(qed_queue_free(&queue));
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

static void child(qed_queue *queue, qed_image *image) {
    qed_completion done[1];
    qed_queue *copy = queue;
    char byte;

    MISUSE(qed_queue_read(queue, &byte, 1, 0, 0, 0), "qed_queue_read", "process that forked");
    MISUSE(qed_queue_do_io(queue, done, 0, 1, 0), "qed_queue_do_io", "process that forked");
    MISUSE(qed_queue_new(image, 1, NULL, &queue), "qed_queue_new", "process that forked");
    MISUSE(qed_queue_free(&copy), "qed_queue_free", "process that forked");
    CHECK(copy == NULL);
}

static void a_child_is_refused(qed_image *image, const char *aio) {
    unsigned char byte = 0x42, seen = 0;
    qed_queue *queue = new_queue(image, aio, 4);
    int status;
    pid_t pid;

    OK(qed_queue_write(queue, &byte, 1, 5, 0, 0));
    settle(queue);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child(queue, image);
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(qed_queue_read(queue, &seen, 1, 5, 0, 0));
    settle(queue);
    CHECK(seen == 0x42);
    OK(qed_queue_free(&queue));
}

int main(void) {
    qed_image *image = new_image("disk.qed", MIB);
    for (int i = 0; i < 2; i++) {
        wakes_whoever_polls(image, ENGINES[i]);
        a_child_is_refused(image, ENGINES[i]);
    }
    OK(qed_image_close(&image));
    return 0;
}
