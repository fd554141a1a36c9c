/* The rules for threads: a queue for each thread beside blocking calls; a queue handed from thread
 * to thread under a lock; a second thread inside a queue is refused. */
#include <pthread.h>

#include "queue.h"

#define THREADS 4
#define ROUNDS 16
#define BLOCK 4096

struct worker {
    pthread_t thread;
    qed_image *image;
    const char *aio;
    unsigned number;
    /* One queue for all, and whose turn it is. */
    qed_queue *shared;
    pthread_mutex_t *lock;
};

static uint64_t place(unsigned number, unsigned round) {
    return ((uint64_t)round * THREADS + number) * BLOCK;
}

/* Each thread writes, reads back and flushes its own blocks through a queue of its own. */
static void *own_queue(void *user_data) {
    struct worker *worker = (struct worker *)user_data;
    static unsigned char data[THREADS][ROUNDS][BLOCK], seen[THREADS][ROUNDS][BLOCK];
    unsigned number = worker->number;
    qed_queue *queue = new_queue(worker->image, worker->aio, ROUNDS);

    for (unsigned i = 0; i < ROUNDS; i++) {
        memset(data[number][i], (int)(1 + number + i), BLOCK);
        OK(qed_queue_write(queue, data[number][i], BLOCK, place(number, i), i, 0));
    }
    settle(queue);
    OK(qed_image_flush(worker->image));
    for (unsigned i = 0; i < ROUNDS; i++)
        OK(qed_queue_read(queue, seen[number][i], BLOCK, place(number, i), i, 0));
    settle(queue);
    CHECK(memcmp(data[number], seen[number], sizeof data[number]) == 0);
    OK(qed_queue_free(&queue));
    return NULL;
}

/* All threads use one queue, one after the other; what one begins another may fetch. */
static void *shared_queue(void *user_data) {
    struct worker *worker = (struct worker *)user_data;
    static unsigned char data[THREADS][BLOCK];
    qed_completion done[2];

    memset(data[worker->number], 0x40, BLOCK);
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(pthread_mutex_lock(worker->lock) == 0);
        OK(qed_queue_write(worker->shared, data[worker->number], BLOCK, place(worker->number, i), 0,
                           0));
        CHECK(qed_queue_do_io(worker->shared, done, 1, 2, FOREVER) >= 1);
        CHECK(pthread_mutex_unlock(worker->lock) == 0);
    }
    return NULL;
}

static void *one_call(void *user_data) {
    FAILS(qed_queue_flush((qed_queue *)user_data, 0, 0), EBUSY, QED_ERROR_BUSY, "qed_queue_flush",
          "another thread is inside");
    return NULL;
}

/* Waits in a queue whose request cannot end before the image is resumed. */
static void *wait_inside(void *user_data) {
    qed_completion done[1];
    int count;
    /* Whoever watches for this thread is inside now and then, too. */
    do {
        count = qed_queue_do_io((qed_queue *)user_data, done, 1, 1, FOREVER);
    } while (count == -EBUSY);
    CHECK(count == 1 && done[0].result == 0);
    return NULL;
}

static void a_second_thread_is_refused(qed_image *image, const char *aio) {
    qed_queue *queue = new_queue(image, aio, 2);
    pthread_t inside, second;
    uint64_t tries = 0;

    OK(qed_image_quiesce(image));
    OK(qed_queue_flush(queue, 0, 0));
    CHECK(pthread_create(&inside, NULL, wait_inside, queue) == 0);
    /* Until the thread is inside there is nothing to see. */
    while (qed_queue_completion_fd(queue) != -EBUSY)
        tries++;
    CHECK(qed_error_kind() == QED_ERROR_BUSY);
    CHECK(pthread_create(&second, NULL, one_call, queue) == 0);
    CHECK(pthread_join(second, NULL) == 0);
    OK(qed_image_resume(image));
    CHECK(pthread_join(inside, NULL) == 0);
    OK(qed_queue_free(&queue));
}

int main(void) {
    qed_image *image = new_image("disk.qed", MIB);
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    for (int engine = 0; engine < 2; engine++) {
        struct worker workers[THREADS];
        void *(*const works[])(void *) = {own_queue, shared_queue};
        qed_queue *shared = new_queue(image, ENGINES[engine], THREADS);
        for (int work = 0; work < 2; work++) {
            for (unsigned i = 0; i < THREADS; i++) {
                struct worker worker = {0};
                workers[i] = worker;
                workers[i].image = image;
                workers[i].aio = ENGINES[engine];
                workers[i].number = i;
                workers[i].shared = shared;
                workers[i].lock = &lock;
                CHECK(pthread_create(&workers[i].thread, NULL, works[work], &workers[i]) == 0);
            }
            for (unsigned i = 0; i < THREADS; i++)
                CHECK(pthread_join(workers[i].thread, NULL) == 0);
        }
        settle(shared);
        OK(qed_queue_free(&shared));
        a_second_thread_is_refused(image, ENGINES[engine]);
    }
    OK(qed_image_close(&image));
    return 0;
}
