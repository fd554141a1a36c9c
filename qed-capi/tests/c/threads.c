/* One image, four threads: each writes, flushes and reads back its own stripes, all allocating. */
#include <pthread.h>

#include "check.h"

#define THREADS 4
#define ROUNDS 40
#define STRIPE 24576

struct worker {
    pthread_t thread;
    qed_image *image;
    unsigned number;
};

static void fill(unsigned char *buffer, unsigned number, unsigned round) {
    for (size_t i = 0; i < STRIPE; i++)
        buffer[i] = (unsigned char)(i + 31 * number + 7 * round + 1);
}

static uint64_t place(unsigned number, unsigned round) {
    return ((uint64_t)round * THREADS + number) * STRIPE;
}

static void *work(void *user_data) {
    struct worker *worker = (struct worker *)user_data;
    unsigned char wanted[STRIPE], seen[STRIPE];
    for (unsigned round = 0; round < ROUNDS; round++) {
        fill(wanted, worker->number, round);
        OK(qed_image_pwrite(worker->image, wanted, STRIPE, place(worker->number, round), 0));
        if (round % 8 == worker->number)
            OK(qed_image_flush(worker->image));
        fill(wanted, worker->number, round / 2);
        OK(qed_image_pread(worker->image, seen, STRIPE, place(worker->number, round / 2)));
        CHECK(memcmp(wanted, seen, STRIPE) == 0);
        MISUSE(qed_image_pread(worker->image, seen, STRIPE, 1 << 30), "qed_image_pread", "");
    }
    return NULL;
}

int main(void) {
    struct worker workers[THREADS];
    unsigned char wanted[STRIPE], seen[STRIPE];
    qed_image *image = new_image("disk.qed", 8 * MIB);

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].image = image;
        workers[i].number = i;
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    OK(qed_image_close(&image));

    OK(qed_image_open("disk.qed", NULL, &image));
    for (unsigned i = 0; i < THREADS * ROUNDS; i++) {
        fill(wanted, i % THREADS, i / THREADS);
        OK(qed_image_pread(image, seen, STRIPE, place(i % THREADS, i / THREADS)));
        CHECK(memcmp(wanted, seen, STRIPE) == 0);
    }
    OK(qed_image_close(&image));
    return 0;
}
