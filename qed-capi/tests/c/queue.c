/* Queues: each kind of request, completions with their own result and text, limits, waiting. */
#include "queue.h"

static void every_kind(qed_image *image, const char *aio) {
    static unsigned char data[8 * 4096], seen[8 * 4096];
    qed_queue *queue = new_queue(image, aio, 16);
    struct iovec out[2], in[2];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i % 251 + 1);
    out[0].iov_base = data + 5000;
    out[0].iov_len = sizeof data - 5000;
    out[1].iov_base = data;
    out[1].iov_len = 5000;
    OK(qed_queue_writev(queue, out, 2, 777, 1, 0));
    OK(qed_queue_write(queue, data, 4096, MIB, 2, QED_FUA));
    CHECK(pending(queue) == 2);
    settle(queue);

    in[0].iov_base = seen + 5000;
    in[0].iov_len = sizeof seen - 5000;
    in[1].iov_base = seen;
    in[1].iov_len = 5000;
    OK(qed_queue_readv(queue, in, 2, 777, 3, 0));
    memset(in, 0, sizeof in); /* the vector is not kept */
    settle(queue);
    CHECK(memcmp(seen, data, sizeof data) == 0);

    OK(qed_queue_write_zeroes(queue, MIB, 1024, 4, QED_FUA | QED_MAY_UNMAP));
    OK(qed_queue_discard(queue, 2 * MIB, MIB, 5, 0));
    settle(queue);
    OK(qed_queue_flush(queue, 6, 0));
    OK(qed_queue_read(queue, NULL, 0, 0, 7, 0));
    settle(queue);
    OK(qed_image_pread(image, seen, 4096, MIB));
    CHECK(all_bytes_are(seen, 1024, 0) && memcmp(seen + 1024, data + 1024, 3072) == 0);
    OK(qed_queue_free(&queue));
    CHECK(queue == NULL);
    OK(qed_queue_free(&queue));
    OK(qed_queue_free(NULL));
}

/* One request fails, the others do not; the text is the completion's own, not the thread's. */
static void failures_are_told_apart(qed_image *image, const char *aio) {
    unsigned char byte = 1;
    qed_completion done[4];
    qed_queue *queue = new_queue(image, aio, 4);
    int count, failed = 0;

    OK(qed_queue_read(queue, &byte, 1, 100 * MIB, 10, 0));
    OK(qed_queue_write(queue, &byte, 1, UINT64_MAX, 11, 0));
    OK(qed_queue_write(queue, &byte, 1, 0, 12, 0));
    OK(qed_queue_discard(queue, 0, 512, 13, QED_FUA)); /* a flag that discarding does not know */
    count = qed_queue_do_io(queue, done, 4, 4, FOREVER);
    CHECK(count == 4 && qed_error_kind() == QED_ERROR_NONE && qed_error_message()[0] == 0);
    OK(qed_image_flush(image)); /* other calls leave the texts alone */
    for (int i = 0; i < count; i++) {
        CHECK(done[i].reserved[0] == 0 && done[i].reserved[1] == 0);
        if (done[i].user_data == 12) {
            CHECK(done[i].result == 0 && done[i].kind == QED_ERROR_NONE && !done[i].message[0]);
            continue;
        }
        CHECK(done[i].result == -EINVAL && done[i].kind == QED_ERROR_INVALID_ARGUMENT);
        CHECK(strlen(done[i].message) > 10);
        CHECK(done[i].user_data == 13 || strstr(done[i].message, "disk.qed"));
        failed++;
    }
    CHECK(failed == 3);
    OK(qed_queue_free(&queue));
}

static void limits_and_waits(qed_image *image, const char *aio) {
    unsigned char bytes[3];
    qed_completion done[3];
    qed_queue *queue = new_queue(image, aio, 2);

    /* Nothing pending: nobody waits, whatever min says. */
    CHECK(qed_queue_do_io(queue, done, 3, 3, FOREVER) == 0);
    OK(qed_queue_read(queue, &bytes[0], 1, 0, 0, 0));
    OK(qed_queue_read(queue, &bytes[1], 1, 1, 1, 0));
    FAILS(qed_queue_read(queue, &bytes[2], 1, 2, 2, 0), EBUSY, QED_ERROR_BUSY, "qed_queue_read",
          "the queue is full");
    FAILS(qed_queue_flush(queue, 2, 0), EBUSY, QED_ERROR_BUSY, "qed_queue_flush", "full");
    OK(qed_queue_do_io(queue, NULL, 0, 0, FOREVER)); /* begins, fetches nothing */
    CHECK(pending(queue) == 2);
    CHECK(qed_queue_do_io(queue, done, 1, 1, FOREVER) == 1);
    CHECK(pending(queue) == 1);
    OK(qed_queue_read(queue, &bytes[2], 1, 2, 2, 0));
    CHECK(qed_queue_do_io(queue, done, 2, 3, (int64_t)100 * 1000000000) == 2);
    CHECK(qed_queue_do_io(queue, done, 0, 3, 0) == 0);
    OK(qed_queue_free(&queue));
}

/* What was begun is settled by freeing, what was only queued never happens. */
static void freeing_settles(qed_image *image, const char *aio) {
    unsigned char *data = (unsigned char *)malloc(65536), seen[512];
    qed_queue *queue = new_queue(image, aio, 8);

    CHECK(data != NULL);
    memset(data, 0x5a, 65536);
    OK(qed_queue_write(queue, data, 65536, 3 * MIB, 0, 0));
    OK(qed_queue_do_io(queue, NULL, 0, 0, 0));
    OK(qed_queue_write(queue, data, 65536, 3 * MIB + 65536, 0, 0));
    OK(qed_queue_free(&queue));
    free(data); /* nobody looks at it any more: the sanitizers would see */
    OK(qed_image_pread(image, seen, sizeof seen, 3 * MIB));
    CHECK(all_bytes_are(seen, sizeof seen, 0x5a));
    OK(qed_image_pread(image, seen, sizeof seen, 3 * MIB + 65536));
    CHECK(all_bytes_are(seen, sizeof seen, 0));
    OK(qed_image_write_zeroes(image, 3 * MIB, 65536, 0));
}

/* A disk that io_uring cannot serve is served all the same, and the reason is told. */
static void threads_stand_in(void) {
    qed_options *options = NULL;
    qed_image *image = NULL;
    qed_queue *queue = NULL;
    unsigned char byte = 9, seen = 0;

    OK(qed_options_new(&options));
    OK(qed_options_set_str(options, "format", "qcow2"));
    OK(qed_image_create("disk.qcow2", MIB, options));
    OK(qed_image_open("disk.qcow2", options, &image));
    OK(qed_options_free(&options));
    queue = new_queue(image, "io_uring", 2);
    CHECK(qed_queue_fallback(queue) != NULL && strlen(qed_queue_fallback(queue)) > 5);
    OK(qed_queue_write(queue, &byte, 1, 5, 0, 0));
    settle(queue);
    OK(qed_queue_read(queue, &seen, 1, 5, 0, 0));
    settle(queue);
    CHECK(seen == 9);
    OK(qed_queue_free(&queue));
    OK(qed_image_close(&image));
}

int main(void) {
    qed_image *image = new_image("disk.qed", 4 * MIB);
    qed_queue *queue = NULL, *second = NULL;
    qed_queue_facts facts = {sizeof facts, 0, 0, 0, 0};

    for (int i = 0; i < 2; i++) {
        every_kind(image, ENGINES[i]);
        failures_are_told_apart(image, ENGINES[i]);
        limits_and_waits(image, ENGINES[i]);
        freeing_settles(image, ENGINES[i]);
    }

    /* Which engine runs is told, and why it is not the one that was asked for. */
    CHECK(qed_aio_refusal(QED_AIO_THREADS) == NULL && qed_aio_refusal(0) == NULL);
    CHECK(qed_aio_refusal(QED_AIO_IO_URING) == qed_aio_refusal(QED_AIO_IO_URING));
    OK(qed_queue_new(image, 1, NULL, &queue));
    OK(qed_queue_info(queue, &facts));
    CHECK(facts.depth == 1 && facts.pending == 0 && facts.struct_size == sizeof facts);
    CHECK((facts.aio == QED_AIO_IO_URING) == (qed_aio_refusal(QED_AIO_IO_URING) == NULL));
    CHECK((facts.aio == QED_AIO_IO_URING) == (qed_queue_fallback(queue) == NULL));
    second = new_queue(image, "threads", 4096);
    OK(qed_queue_info(second, &facts));
    CHECK(facts.depth == 4096 && facts.aio == QED_AIO_THREADS);
    CHECK(qed_queue_fallback(second) == NULL && qed_error_kind() == QED_ERROR_NONE);
    threads_stand_in();

    /* An image with queues is not closed, and stays as it is. */
    FAILS(qed_image_close(&image), EBUSY, QED_ERROR_BUSY, "qed_image_close", "has queues");
    OK(qed_queue_free(&second));
    FAILS(qed_image_close(&image), EBUSY, QED_ERROR_BUSY, "qed_image_close", "has queues");
    CHECK(image != NULL && qed_image_size(image) == (int64_t)(4 * MIB));
    OK(qed_queue_free(&queue));
    OK(qed_image_close(&image));
    return 0;
}
