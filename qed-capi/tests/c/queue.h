/* What the tests of queues share: one for each engine, and fetching what has to succeed. */
#ifndef QUEUE_H
#define QUEUE_H

#include "check.h"

#define FOREVER ((int64_t)-1)

static const char *const ENGINES[] = {"io_uring", "threads"};

/* A queue with this engine, or with what the machine has instead. */
static inline qed_queue *new_queue(qed_image *image, const char *aio, uint32_t depth) {
    qed_options *options = NULL;
    qed_queue *queue = NULL;
    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "aio", aio));
    OK(qed_options_set_u64(options, "workers", 3));
    OK(qed_queue_new(image, depth, options, &queue));
    OK(qed_options_free(&options));
    return queue;
}

static inline uint32_t pending(const qed_queue *queue) {
    qed_queue_facts facts;
    memset(&facts, 0xff, sizeof facts);
    facts.struct_size = sizeof facts;
    OK(qed_queue_info(queue, &facts));
    CHECK(facts.aio == QED_AIO_IO_URING || facts.aio == QED_AIO_THREADS);
    CHECK(facts.pending <= facts.depth);
    return facts.pending;
}

/* Waits for everything; all of it has succeeded. */
static inline void settle(qed_queue *queue) {
    qed_completion done[8];
    while (pending(queue) > 0) {
        int count = qed_queue_do_io(queue, done, 1, 8, FOREVER);
        CHECK(count >= 1);
        for (int i = 0; i < count; i++) {
            if (done[i].result != 0 || done[i].kind != QED_ERROR_NONE || done[i].message[0]) {
                fprintf(stderr, "request %" PRIu64 ": %s\n", done[i].user_data, done[i].message);
                exit(1);
            }
        }
    }
}

#endif
