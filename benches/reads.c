/* Reads through a queue that is kept full, past the page cache: what in_process's "queue" does, from
 * C. `reads PATH LENGTH DEPTH COUNT` prints the seconds. */
#define _POSIX_C_SOURCE 200809L
#include <qed.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, qed_error_message());
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *aligned(size_t length) {
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, length)) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    return memory;
}

static qed_image *opened(const char *path, uint64_t *size) {
    qed_options *options = NULL;
    qed_image *image = NULL;
    if (qed_options_new(&options) || qed_options_set_str(options, "cache", "none") ||
        qed_options_set_bool(options, "read_only", true) || qed_image_open(path, options, &image))
        fail("open");
    qed_options_free(&options);
    const int64_t bytes = qed_image_size(image);
    if (bytes < 0) fail("size");
    *size = (uint64_t)bytes;
    /* The tables are warm: a slice maps 512 clusters. */
    void *block = aligned(4096);
    for (uint64_t offset = 0; offset < *size; offset += 512 * 65536)
        if (qed_image_pread(image, block, 4096, offset)) fail("read");
    free(block);
    return image;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    const size_t length = strtoul(argv[2], NULL, 10);
    const uint32_t depth = (uint32_t)strtoul(argv[3], NULL, 10);
    const uint64_t count = strtoull(argv[4], NULL, 10);
    uint64_t size = 0, next = 0, pending = 0;
    qed_image *image = opened(argv[1], &size);
    qed_queue *queue = NULL;
    if (qed_queue_new(image, depth, NULL, &queue)) fail("queue");
    qed_completion *done = calloc(depth, sizeof *done);
    /* A buffer for each request in flight; user_data says which one. */
    void **buffers = calloc(depth, sizeof *buffers);
    uint64_t *idle = calloc(depth, sizeof *idle), resting = depth;
    if (!done || !buffers || !idle) return 1;
    for (uint32_t slot = 0; slot < depth; slot++) {
        buffers[slot] = aligned(length);
        idle[slot] = slot;
    }
    const double begun = now();
    while (next < count || pending > 0) {
        while (next < count && resting > 0) {
            uint64_t slot = idle[--resting];
            uint64_t offset = next * 100003 % (size / length) * length;
            if (qed_queue_read(queue, buffers[slot], length, offset, slot, 0)) fail("read");
            next++;
            pending++;
        }
        int ended = qed_queue_do_io(queue, done, 1, depth, -1);
        if (ended < 0) fail("do_io");
        for (int index = 0; index < ended; index++) {
            if (done[index].result) fail(done[index].message);
            idle[resting++] = done[index].user_data;
        }
        pending -= (uint64_t)ended;
    }
    printf("%.9f\n", now() - begun);
    qed_queue_free(&queue);
    return qed_image_close(&image) ? 1 : 0;
}
