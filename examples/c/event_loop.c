/* Copies blocks between disk images in one thread: an event loop on epoll, a queue for each image.
 *
 *     cc event_loop.c -lqed && ./a.out a.qed b.qed c.qed
 *
 * Each image, made where it is missing, gets BLOCKS blocks of a pattern of its own; then the next
 * one gets a copy of each block behind its own, the last one's go to the first. Reads and writes of
 * all images run at once; the loop sleeps until some queue has completions, and a block is written
 * when its read says so. In the end each image flushes, and says what it did. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <qed.h>

#define BLOCK 65536
#define BLOCKS 64
#define DEPTH 32
#define MOST_IMAGES 16

enum step { FILL, READ, WRITE, FLUSH };

/* A block on its way. Its buffer is the queue's from the request to the completion. */
struct job {
    enum step step;
    unsigned number;
    unsigned char *buffer;
    struct job *next;
};

struct disk {
    const char *path;
    qed_image *image;
    qed_queue *queue;
    /* Jobs that wait for room in the queue. */
    struct job *waiting;
    struct disk *target;
    unsigned read, written;
    int flushed;
};

static int failed;

static void complain(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    failed = 1;
}

static int open_disk(struct disk *disk) {
    uint64_t size = (uint64_t)2 * BLOCKS * BLOCK;
    if (qed_image_create(disk->path, size, NULL) && qed_error_kind() != QED_ERROR_ALREADY_EXISTS)
        return -1;
    if (qed_image_open(disk->path, NULL, &disk->image))
        return -1;
    if ((uint64_t)qed_image_size(disk->image) < size) {
        complain(disk->path, "too small");
        return -1;
    }
    return qed_queue_new(disk->image, DEPTH, NULL, &disk->queue);
}

/* Queues what the job is about. -EBUSY: the queue is full, and the job has to wait. */
static int queue_job(struct disk *disk, struct job *job) {
    uint64_t offset = (uint64_t)job->number * BLOCK, tag = (uint64_t)(uintptr_t)job;
    switch (job->step) {
    case FILL:
        return qed_queue_write(disk->queue, job->buffer, BLOCK, offset, tag, 0);
    case READ:
        return qed_queue_read(disk->queue, job->buffer, BLOCK, offset, tag, 0);
    case WRITE:
        return qed_queue_write(disk->queue, job->buffer, BLOCK, offset + BLOCKS * BLOCK, tag, 0);
    default:
        return qed_queue_flush(disk->queue, tag, 0);
    }
}

/* Queues all waiting jobs that there is room for, and begins them in one go. */
static void begin(struct disk *disk) {
    while (disk->waiting) {
        struct job *job = disk->waiting;
        int code = queue_job(disk, job);
        if (code == -EBUSY)
            break;
        disk->waiting = job->next;
        if (code) {
            complain(disk->path, qed_error_message());
            free(job->buffer);
            free(job);
        }
    }
    if (qed_queue_do_io(disk->queue, NULL, 0, 0, 0) < 0)
        complain(disk->path, qed_error_message());
}

static void add(struct disk *disk, struct job *job) {
    job->next = disk->waiting;
    disk->waiting = job;
}

static void finish(struct job *job) {
    free(job->buffer);
    free(job);
}

/* What comes after a step: a block that was filled is read, one that was read is written to the
 * next disk, and a disk that has everything is flushed. */
static void go_on(struct disk *disk, struct job *job) {
    switch (job->step) {
    case FILL:
        job->step = READ;
        add(disk, job);
        return;
    case READ:
        disk->read++;
        job->step = WRITE;
        add(disk->target, job);
        begin(disk->target);
        return;
    case WRITE:
        disk->written++;
        if (disk->written == BLOCKS) {
            job->step = FLUSH;
            add(disk, job);
            return;
        }
        break;
    case FLUSH:
        disk->flushed = 1;
        break;
    }
    finish(job);
}

/* Fetches what has ended on a disk, and begins what comes next. */
static void serve(struct disk *disk) {
    qed_completion done[DEPTH];
    int count = qed_queue_do_io(disk->queue, done, 0, DEPTH, 0);
    if (count < 0)
        complain(disk->path, qed_error_message());
    for (int i = 0; i < count; i++) {
        struct job *job = (struct job *)(uintptr_t)done[i].user_data;
        if (done[i].result) {
            complain(disk->path, done[i].message);
            finish(job);
        } else {
            go_on(disk, job);
        }
    }
    begin(disk);
}

static int start(struct disk *disk, unsigned pattern) {
    for (unsigned i = BLOCKS; i-- > 0;) {
        struct job *job = (struct job *)calloc(1, sizeof *job);
        if (!job || !(job->buffer = (unsigned char *)malloc(BLOCK))) {
            free(job);
            return -1;
        }
        memset(job->buffer, (int)(pattern * BLOCKS + i) % 255 + 1, BLOCK);
        job->number = i;
        add(disk, job);
    }
    begin(disk);
    return 0;
}

static int all_flushed(const struct disk *disks, int count) {
    for (int i = 0; i < count; i++)
        if (!disks[i].flushed)
            return 0;
    return 1;
}

static void loop(struct disk *disks, int count, int epoll) {
    struct epoll_event events[MOST_IMAGES];
    while (!failed && !all_flushed(disks, count)) {
        int ready = epoll_wait(epoll, events, MOST_IMAGES, -1);
        if (ready < 0 && errno != EINTR)
            complain("epoll_wait", strerror(errno));
        for (int i = 0; i < ready; i++)
            serve((struct disk *)events[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    struct disk disks[MOST_IMAGES];
    int count = argc - 1, epoll = epoll_create1(EPOLL_CLOEXEC), opened = 0;

    if (count < 1 || count > MOST_IMAGES || epoll < 0) {
        fprintf(stderr, "usage: %s IMAGE... (at most %d)\n", argv[0], MOST_IMAGES);
        return 2;
    }
    memset(disks, 0, sizeof disks);
    for (; opened < count && !failed; opened++) {
        struct disk *disk = &disks[opened];
        struct epoll_event event;
        disk->path = argv[1 + opened];
        disk->target = &disks[(opened + 1) % count];
        memset(&event, 0, sizeof event);
        event.events = EPOLLIN;
        event.data.ptr = disk;
        if (open_disk(disk)
            || epoll_ctl(epoll, EPOLL_CTL_ADD, qed_queue_completion_fd(disk->queue), &event))
            complain(disk->path, qed_error_message());
    }
    for (int i = 0; i < count && !failed; i++)
        if (start(&disks[i], (unsigned)i))
            complain(disks[i].path, "no memory");
    if (!failed)
        loop(disks, count, epoll);
    for (int i = 0; i < opened; i++) {
        /* Freeing waits for what has begun: only then are the buffers nobody's. */
        qed_queue_free(&disks[i].queue);
        if (qed_image_close(&disks[i].image))
            complain(disks[i].path, qed_error_message());
        if (!failed)
            printf("%s: %u blocks read, %u written\n", disks[i].path, disks[i].read,
                   disks[i].written);
    }
    close(epoll);
    return failed;
}
