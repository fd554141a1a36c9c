/* Queues misused: handles, arguments and options, one at a time; each is refused by name. */
#include "queue.h"

int main(void) {
    qed_image *image = new_image("disk.qed", MIB), *other;
    qed_options *options = NULL;
    qed_queue *queue = NULL, *copy;
    qed_completion done[1];
    qed_queue_facts facts;
    struct iovec same[2];
    char buffer[16] = "unchanged";
    uint64_t words[4] = {0, 0, 0, 0};
    void *odd = (char *)words + 1;

    memset(&facts, 0, sizeof facts);
    OK(qed_options_new(&options));

    /* Making one */
    MISUSE(qed_queue_new(NULL, 1, NULL, &queue), "qed_queue_new", "image is NULL");
    MISUSE(qed_queue_new(image, 1, NULL, NULL), "qed_queue_new", "out is NULL");
    MISUSE(qed_queue_new(image, 1, NULL, (qed_queue **)odd), "qed_queue_new", "misaligned");
    MISUSE(qed_queue_new(image, 0, NULL, &queue), "qed_queue_new", "depth is 0, not 1 to 4096");
    MISUSE(qed_queue_new(image, 4097, NULL, &queue), "qed_queue_new", "depth is 4097");
    MISUSE(qed_options_set_str(options, "aio", "native"), "qed_options_set_str",
           "takes io_uring, threads");
    OK(qed_options_set_u64(options, "workers", 257));
    MISUSE(qed_queue_new(image, 1, options, &queue), "qed_queue_new", "workers is 257");
    OK(qed_options_set_u64(options, "workers", 1));
    MISUSE(qed_image_open("disk.qed", options, &other), "qed_image_open", "no option \"workers\"");
    OK(qed_options_set_str(options, "cache", "none"));
    MISUSE(qed_queue_new(image, 1, options, &queue), "qed_queue_new", "queue has no option");
    OK(qed_options_free(&options));
    OK(qed_options_new(&options));
    OK(qed_options_add_backing_path(options, "base.raw", NULL));
    MISUSE(qed_queue_new(image, 1, options, &queue), "qed_queue_new", "backing files");
    OK(qed_options_free(&options));
    CHECK(queue == NULL);

    /* NULL, another type */
    MISUSE(qed_queue_read(NULL, buffer, 1, 0, 0, 0), "qed_queue_read", "queue is NULL");
    MISUSE(qed_queue_write(NULL, buffer, 1, 0, 0, 0), "qed_queue_write", "queue is NULL");
    MISUSE(qed_queue_readv(NULL, NULL, 0, 0, 0, 0), "qed_queue_readv", "queue is NULL");
    MISUSE(qed_queue_writev(NULL, NULL, 0, 0, 0, 0), "qed_queue_writev", "queue is NULL");
    MISUSE(qed_queue_write_zeroes(NULL, 0, 1, 0, 0), "qed_queue_write_zeroes", "queue is NULL");
    MISUSE(qed_queue_discard(NULL, 0, 1, 0, 0), "qed_queue_discard", "queue is NULL");
    MISUSE(qed_queue_flush(NULL, 0, 0), "qed_queue_flush", "queue is NULL");
    MISUSE(qed_queue_do_io(NULL, done, 0, 1, 0), "qed_queue_do_io", "queue is NULL");
    MISUSE(qed_queue_completion_fd(NULL), "qed_queue_completion_fd", "queue is NULL");
    MISUSE(qed_queue_info(NULL, &facts), "qed_queue_info", "queue is NULL");
    CHECK(qed_queue_fallback(NULL) == NULL);
    MISUSE(-EINVAL, "qed_queue_fallback", "queue is NULL");
    MISUSE(qed_queue_flush((qed_queue *)image, 0, 0), "qed_queue_flush", "is not a qed_queue");
    OK(qed_queue_new(image, 8, NULL, &queue));
    MISUSE(qed_image_flush((qed_image *)queue), "qed_image_flush", "image is not a qed_image");

    /* Arguments */
    MISUSE(qed_queue_read(queue, NULL, 1, 0, 0, 0), "qed_queue_read", "buffer is NULL");
    MISUSE(qed_queue_write(queue, buffer, SIZE_MAX, 0, 0, 0), "qed_queue_write", "can hold");
    MISUSE(qed_queue_read(queue, buffer, 1, 0, 0, 8), "qed_queue_read", "");
    MISUSE(qed_queue_flush(queue, 0, 1u << 31), "qed_queue_flush", "");
    MISUSE(qed_queue_readv(queue, NULL, 1, 0, 0, 0), "qed_queue_readv", "iov is NULL");
    MISUSE(qed_queue_writev(queue, NULL, -1, 0, 0, 0), "qed_queue_writev", "iovcnt is -1");
    same[0].iov_base = same[1].iov_base = buffer;
    same[0].iov_len = same[1].iov_len = 4;
    MISUSE(qed_queue_readv(queue, same, 2, 0, 0, 0), "qed_queue_readv", "overlap");
    MISUSE(qed_queue_do_io(queue, NULL, 0, 1, 0), "qed_queue_do_io", "completions is NULL");
    MISUSE(qed_queue_do_io(queue, (qed_completion *)odd, 0, 1, 0), "qed_queue_do_io", "aligned");
    MISUSE(qed_queue_do_io(queue, done, 2, 1, 0), "qed_queue_do_io", "at least 2 completions");
    MISUSE(qed_queue_info(queue, NULL), "qed_queue_info", "facts is NULL");
    MISUSE(qed_queue_info(queue, &facts), "qed_queue_info", "struct_size is 0");
    CHECK(pending(queue) == 0 && strcmp(buffer, "unchanged") == 0);

    /* Used after it was freed, freed twice */
    copy = queue;
    OK(qed_queue_free(&queue));
    MISUSE(qed_queue_flush(copy, 0, 0), "qed_queue_flush", "queue was closed or freed already");
    MISUSE(qed_queue_free(&copy), "qed_queue_free", "queue was closed or freed already");
    CHECK(copy == NULL);
    OK(qed_image_close(&image));
    return 0;
}
