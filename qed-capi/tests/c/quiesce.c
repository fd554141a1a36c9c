/* Disks at rest and external snapshots, with guest I/O of another thread and of a queue beside. */
#include <pthread.h>

#include "queue.h"

#define BLOCK 4096

struct guest {
    qed_image *image;
    pthread_mutex_t lock;
    int stop;
    uint64_t written;
};

static int stopped(struct guest *guest) {
    int stop;
    CHECK(pthread_mutex_lock(&guest->lock) == 0);
    stop = guest->stop;
    CHECK(pthread_mutex_unlock(&guest->lock) == 0);
    return stop;
}

/* Writes a counter, and reads it back at once: what it wrote is there, whichever file it is in. */
static void *count_on(void *user_data) {
    struct guest *guest = (struct guest *)user_data;
    uint64_t value = 0, seen;
    do {
        value++;
        OK(qed_image_pwrite(guest->image, &value, sizeof value, value % 8 * 65536, 0));
        OK(qed_image_pread(guest->image, &seen, sizeof seen, value % 8 * 65536));
        CHECK(seen == value);
    } while (!stopped(guest));
    guest->written = value;
    return NULL;
}

static void copy(const char *from, const char *to) {
    static char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t count;
    CHECK(in && out);
    while ((count = fread(bytes, 1, sizeof bytes, in)) > 0)
        CHECK(fwrite(bytes, 1, count, out) == count);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* Opens a disk beside the one that runs. Valgrind does not know how "beneath" is opened. */
static qed_image *look_at(const char *path) {
    qed_image *image = NULL;
    qed_options *options = NULL;
    OK(qed_options_new(&options));
    OK(qed_options_set_bool(options, "read_only", true));
    OK(qed_options_set_bool(options, "lock", false));
    OK(qed_options_set_str(options, "backing_policy", "follow"));
    OK(qed_image_open(path, options, &image));
    OK(qed_options_free(&options));
    return image;
}

/* The newest value anywhere on the disk at `path`, which is complete. */
static uint64_t newest(const char *path) {
    uint64_t value, most = 0;
    qed_image *image = look_at(path);
    for (uint64_t i = 0; i < 8; i++) {
        OK(qed_image_pread(image, &value, sizeof value, i * 65536));
        most = value > most ? value : most;
    }
    OK(qed_image_close(&image));
    return most;
}

int main(void) {
    struct guest guest = {new_image("disk.qed", 4 * MIB), PTHREAD_MUTEX_INITIALIZER, 0, 0};
    static unsigned char block[BLOCK], seen[BLOCK];
    qed_queue *queue = new_queue(guest.image, "io_uring", 8);
    qed_completion done[1];
    qed_options *options = NULL;
    uint64_t first, second;
    char name[64];
    pthread_t thread;

    MISUSE(qed_image_quiesce(NULL), "qed_image_quiesce", "image is NULL");
    MISUSE(qed_image_resume(NULL), "qed_image_resume", "image is NULL");
    MISUSE(qed_image_resume(guest.image), "qed_image_resume", "not quiesced");
    MISUSE(qed_image_add_overlay(NULL, "x", NULL), "qed_image_add_overlay", "image is NULL");
    MISUSE(qed_image_add_overlay(guest.image, NULL, NULL), "qed_image_add_overlay", "path is NULL");
    FAILS(qed_image_add_overlay(guest.image, "disk.qed", NULL), EEXIST, QED_ERROR_ALREADY_EXISTS,
          "qed_image_add_overlay", "disk.qed");

    CHECK(pthread_create(&thread, NULL, count_on, &guest) == 0);

    /* At rest: the file is whole and may be copied; this thread's own calls would wait for ever. */
    OK(qed_image_quiesce(guest.image));
    FAILS(qed_image_flush(guest.image), EBUSY, QED_ERROR_BUSY, "qed_image_flush", "quiesced");
    FAILS(qed_image_quiesce(guest.image), EBUSY, QED_ERROR_BUSY, "qed_image_quiesce", "already");
    memset(block, 0x77, sizeof block);
    OK(qed_queue_write(queue, block, BLOCK, 2 * MIB, 7, 0));
    CHECK(qed_queue_do_io(queue, done, 0, 1, 0) == 0); /* begun, and waiting */
    copy("disk.qed", "copy.qed");
    OK(qed_image_resume(guest.image));
    CHECK(qed_queue_do_io(queue, done, 1, 1, FOREVER) == 1 && done[0].result == 0);

    /* An external snapshot: the old file keeps what it had. */
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "cluster_size", "4K"));
    OK(qed_image_add_overlay(guest.image, "overlay.qed", options));
    OK(qed_options_free(&options));
    CHECK(qed_image_backing_name(guest.image, name, sizeof name) == 8);
    CHECK(strcmp(name, "disk.qed") == 0);
    first = newest("disk.qed");
    memset(block, 0x33, sizeof block);
    OK(qed_queue_write(queue, block, BLOCK, 2 * MIB, 8, QED_FUA));
    OK(qed_image_pwrite(guest.image, block, BLOCK, 3 * MIB, 0));
    settle(queue);

    CHECK(pthread_mutex_lock(&guest.lock) == 0);
    guest.stop = 1;
    CHECK(pthread_mutex_unlock(&guest.lock) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(qed_queue_free(&queue));
    OK(qed_image_close(&guest.image));

    second = newest("disk.qed");
    CHECK(newest("copy.qed") <= first && first == second && second <= guest.written);
    CHECK(newest("overlay.qed") == guest.written);
    guest.image = look_at("overlay.qed");
    OK(qed_image_pread(guest.image, seen, BLOCK, 2 * MIB));
    CHECK(all_bytes_are(seen, BLOCK, 0x33));
    OK(qed_image_close(&guest.image));
    guest.image = look_at("disk.qed");
    OK(qed_image_pread(guest.image, seen, BLOCK, 2 * MIB));
    CHECK(all_bytes_are(seen, BLOCK, 0x77));
    OK(qed_image_pread(guest.image, seen, BLOCK, 3 * MIB));
    CHECK(all_bytes_are(seen, BLOCK, 0));
    OK(qed_image_close(&guest.image));
    return 0;
}
