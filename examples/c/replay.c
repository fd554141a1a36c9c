/*
 * Replays a block trace into a new image, from several threads at once, and reads all of it back.
 *
 *     replay [--also-raw FILE] [--no-verify] IMAGE TRACE [THREADS [SIZE]]
 *
 * TRACE (- is standard input) has one request a line, OP FIRST_SECTOR SECTOR_COUNT in 512-byte
 * sectors: R read, W write, WA write with forced unit access, Z write zeroes, D discard, F flush.
 * THREADS is 4 and SIZE is 6G unless they are given. With --also-raw a sparse file gets what the
 * disk has to hold, for a second judge: qemu-img compare -f qed -F raw IMAGE FILE.
 *
 * A thread owns whole regions of the disk, so requests that overlap stay in the trace's order; a
 * flush belongs to the thread of the request before it. What is written to a sector is a function
 * of the sector and of the line in the trace, so every read can be checked.
 */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <qed.h>

#define SECTOR 512u
#define REGION ((uint64_t)64 << 20)
#define SWEEP (1u << 20)
#define MAX_THREADS 64
/* The sector may also read as zeroes: a discard took part of its cluster. */
#define OR_ZEROES 0x80000000u

struct request {
    uint64_t offset, length;
    uint32_t line;
    char op;
    uint32_t flags;
};

/* The requests of one thread, and what it says of a failure. */
struct lane {
    pthread_t thread;
    const struct job *job;
    struct request *requests;
    size_t count, capacity;
    unsigned char *buffer;
    size_t buffer_size;
    char failure[512];
};

struct job {
    qed_image *image;
    uint64_t size, cluster_size;
    /* For each sector the line that wrote it, 0 for zeroes. A thread touches its regions only. */
    uint32_t *written_by;
    unsigned threads;
    struct lane lanes[MAX_THREADS];
    uint64_t counts[128], bytes[128];
};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("replay: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *grow(void *memory, size_t bytes) {
    memory = realloc(memory, bytes);
    if (!memory)
        die("out of memory");
    return memory;
}

static void qed(int code) {
    if (code < 0)
        die("%s", qed_error_message());
}

static uint64_t scramble(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* What `line` writes to a sector; zeroes for line 0. */
static void fill(unsigned char *bytes, uint64_t sector, uint32_t line) {
    uint64_t words[SECTOR / 8], seed = scramble((sector << 32) + line);
    memset(words, 0, sizeof words);
    for (unsigned i = 0; line != 0 && i < SECTOR / 8; i++)
        words[i] = seed += 0x9e3779b97f4a7c15u;
    memcpy(bytes, words, SECTOR);
}

/* Whether a sector holds what `state` says; `wanted` becomes what it holds then. */
static int holds(const unsigned char *seen, unsigned char *wanted, uint64_t sector,
                 uint32_t state) {
    fill(wanted, sector, state & ~OR_ZEROES);
    if (memcmp(seen, wanted, SECTOR) == 0)
        return 1;
    if (!(state & OR_ZEROES))
        return 0;
    memset(wanted, 0, SECTOR);
    return memcmp(seen, wanted, SECTOR) == 0;
}

/* ---- the trace ---------------------------------------------------------------------------- */

static void push(struct lane *lane, struct request request) {
    if (lane->count == lane->capacity) {
        lane->capacity = lane->capacity ? 2 * lane->capacity : 1024;
        lane->requests = grow(lane->requests, lane->capacity * sizeof *lane->requests);
    }
    lane->requests[lane->count++] = request;
}

/* Hands a request to the threads that own its regions; returns the last of them. */
static struct lane *deal(struct job *job, struct lane *before, struct request request) {
    uint64_t end = request.offset + request.length;
    if (request.op == 'F') {
        push(before, request);
        return before;
    }
    while (request.offset < end) {
        uint64_t region = request.offset / REGION, next = (region + 1) * REGION;
        before = &job->lanes[region % job->threads];
        request.length = (next < end ? next : end) - request.offset;
        push(before, request);
        request.offset = next;
    }
    return before;
}

static void load(struct job *job, const char *path) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    struct lane *lane = &job->lanes[0];
    char text[1024], op[3];
    uint64_t first, count;
    uint32_t line = 0;

    if (!file)
        die("%s: %s", path, strerror(errno));
    while (fgets(text, sizeof text, file)) {
        struct request request = {0, 0, ++line, 0, 0};
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (sscanf(text, "%2s %" SCNu64 " %" SCNu64, op, &first, &count) != 3 || line >= OR_ZEROES)
            die("%s:%" PRIu32 ": not OP FIRST_SECTOR SECTOR_COUNT: %s", path, line, text);
        request.op = op[0];
        request.flags = op[1] == 'A' ? QED_FUA : op[0] == 'Z' ? QED_MAY_UNMAP : 0;
        if (!strchr("RWZDF", op[0]) || (op[1] && strcmp(op, "WA") != 0))
            die("%s:%" PRIu32 ": unknown operation %s", path, line, op);
        if (first > job->size / SECTOR || count > job->size / SECTOR - first)
            die("%s:%" PRIu32 ": the request passes the end of the disk", path, line);
        request.offset = first * SECTOR;
        request.length = count * SECTOR;
        lane = deal(job, lane, request);
        job->counts[(unsigned char)op[0]]++;
        job->bytes[(unsigned char)op[0]] += request.length;
    }
    if (ferror(file))
        die("%s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
}

/* ---- the replay --------------------------------------------------------------------------- */

static int read_and_compare(struct lane *lane, const struct request *request) {
    const struct job *job = lane->job;
    unsigned char wanted[SECTOR];
    int code = qed_image_pread(job->image, lane->buffer, request->length, request->offset);
    for (uint64_t at = 0; code == 0 && at < request->length; at += SECTOR) {
        uint64_t sector = (request->offset + at) / SECTOR;
        if (!holds(lane->buffer + at, wanted, sector, job->written_by[sector])) {
            snprintf(lane->failure, sizeof lane->failure,
                     "line %" PRIu32 ": sector %" PRIu64 " is not what line %" PRIu32 " wrote",
                     request->line, sector, job->written_by[sector] & ~OR_ZEROES);
            return -EIO;
        }
    }
    return code;
}

static int write_pattern(struct lane *lane, const struct request *request) {
    const struct job *job = lane->job;
    for (uint64_t at = 0; at < request->length; at += SECTOR) {
        uint64_t sector = (request->offset + at) / SECTOR;
        fill(lane->buffer + at, sector, request->line);
        job->written_by[sector] = request->line;
    }
    return qed_image_pwrite(job->image, lane->buffer, request->length, request->offset,
                            request->flags);
}

static int zero(const struct job *job, const struct request *request) {
    memset(job->written_by + request->offset / SECTOR, 0,
           request->length / SECTOR * sizeof *job->written_by);
    return qed_image_write_zeroes(job->image, request->offset, request->length, request->flags);
}

static int discard(const struct job *job, const struct request *request) {
    uint64_t end = request->offset + request->length, cluster = job->cluster_size;
    for (uint64_t at = request->offset; at < end; at += SECTOR) {
        uint64_t start = at / cluster * cluster;
        uint32_t *state = &job->written_by[at / SECTOR];
        if (start >= request->offset && start + cluster <= end)
            *state = 0;
        else if (*state != 0)
            *state |= OR_ZEROES;
    }
    return qed_image_discard(job->image, request->offset, request->length);
}

static int perform(struct lane *lane, const struct request *request) {
    if (strchr("RW", request->op) && lane->buffer_size < request->length) {
        lane->buffer = grow(lane->buffer, request->length);
        lane->buffer_size = request->length;
    }
    switch (request->op) {
    case 'R':
        return read_and_compare(lane, request);
    case 'W':
        return write_pattern(lane, request);
    case 'Z':
        return zero(lane->job, request);
    case 'D':
        return discard(lane->job, request);
    default:
        return qed_image_flush(lane->job->image);
    }
}

static void *run(void *user_data) {
    struct lane *lane = user_data;
    for (size_t i = 0; i < lane->count && !lane->failure[0]; i++) {
        /* The text of an error is this thread's own: copy it for the one that prints. */
        if (perform(lane, &lane->requests[i]) < 0 && !lane->failure[0])
            snprintf(lane->failure, sizeof lane->failure, "line %" PRIu32 ": %s",
                     lane->requests[i].line, qed_error_message());
    }
    return NULL;
}

static void replay(struct job *job) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < job->threads; i++) {
        job->lanes[i].job = job;
        if (pthread_create(&job->lanes[i].thread, NULL, run, &job->lanes[i]) != 0)
            die("no thread");
    }
    for (unsigned i = 0; i < job->threads; i++)
        pthread_join(job->lanes[i].thread, NULL);
    for (unsigned i = 0; i < job->threads; i++)
        if (job->lanes[i].failure[0])
            die("%s", job->lanes[i].failure);
    qed(qed_image_close(&job->image));
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("replayed by %u threads in %.2f s: %" PRIu64 " writes (%.1f MB), %" PRIu64
           " reads (%.1f MB), %" PRIu64 " zeroes (%.1f MB), %" PRIu64 " discards (%.1f MB), "
           "%" PRIu64 " flushes\n",
           job->threads,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
           job->counts['W'], (double)job->bytes['W'] / 1e6, job->counts['R'],
           (double)job->bytes['R'] / 1e6, job->counts['Z'], (double)job->bytes['Z'] / 1e6,
           job->counts['D'], (double)job->bytes['D'] / 1e6, job->counts['F']);
}

/* ---- afterwards --------------------------------------------------------------------------- */

/* Reads the whole disk, compares each sector, and leaves what it has to hold in `raw`, if asked. */
static void sweep(const struct job *job, const char *image_path, int raw) {
    unsigned char *seen = grow(NULL, SWEEP), *wanted = grow(NULL, SWEEP);
    qed_options *options = NULL;
    qed_image *image = NULL;

    qed(qed_options_new(&options));
    qed(qed_options_set_bool(options, "read_only", true));
    qed(qed_image_open(image_path, options, &image));
    qed(qed_options_free(&options));
    for (uint64_t offset = 0; offset < job->size; offset += SWEEP) {
        size_t length = job->size - offset < SWEEP ? (size_t)(job->size - offset) : SWEEP;
        qed(qed_image_pread(image, seen, length, offset));
        for (size_t at = 0; at < length; at += SECTOR) {
            uint64_t sector = (offset + at) / SECTOR;
            if (!holds(seen + at, wanted + at, sector, job->written_by[sector]))
                die("sector %" PRIu64 " is not what line %" PRIu32 " wrote", sector,
                    job->written_by[sector] & ~OR_ZEROES);
            if (raw >= 0 && job->written_by[sector] != 0
                && pwrite(raw, wanted + at, SECTOR, (off_t)(offset + at)) != SECTOR)
                die("writing the raw file: %s", strerror(errno));
        }
    }
    qed(qed_image_close(&image));
    free(seen);
    free(wanted);
    printf("read back %.1f MB: every sector as written\n", (double)job->size / 1e6);
}

static int create_raw(const char *path, uint64_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        die("%s: %s", path, strerror(errno));
    return file;
}

static void usage(void) {
    fputs("usage: replay [--also-raw FILE] [--no-verify] IMAGE TRACE [THREADS [SIZE]]\n", stderr);
    exit(2);
}

static uint64_t parse_size(const char *text) {
    char *end;
    uint64_t size = strtoull(text, &end, 10);
    const char *units = "KMGT", *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || (*end && (!unit || end[1])) || size == 0)
        usage();
    size <<= unit ? 10 * (unit - units + 1) : 0;
    return (size + SECTOR - 1) / SECTOR * SECTOR;
}

int main(int argc, char **argv) {
    static struct job job;
    const char *raw_path = NULL;
    qed_info info = {.struct_size = sizeof info};
    int verify = 1;

    for (; argc > 1 && strncmp(argv[1], "--", 2) == 0; argc--, argv++) {
        if (strcmp(argv[1], "--no-verify") == 0) {
            verify = 0;
        } else if (strcmp(argv[1], "--also-raw") == 0 && argc > 2) {
            raw_path = argv[2];
            argc--, argv++;
        } else {
            usage();
        }
    }
    if (argc < 3 || argc > 5)
        usage();
    job.threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 4;
    job.size = argc > 4 ? parse_size(argv[4]) : (uint64_t)6 << 30;
    if (job.threads < 1 || job.threads > MAX_THREADS)
        usage();
    load(&job, argv[2]);
    job.written_by = calloc(job.size / SECTOR, sizeof *job.written_by);
    if (!job.written_by)
        die("out of memory");
    qed(qed_image_create(argv[1], job.size, NULL));
    qed(qed_image_open(argv[1], NULL, &job.image));
    qed(qed_image_info(job.image, &info));
    job.cluster_size = info.cluster_size;
    replay(&job);
    if (verify || raw_path) {
        int raw = raw_path ? create_raw(raw_path, job.size) : -1;
        sweep(&job, argv[1], raw);
        if (raw >= 0 && close(raw) != 0)
            die("%s: %s", raw_path, strerror(errno));
    }
    for (unsigned i = 0; i < job.threads; i++) {
        free(job.lanes[i].requests);
        free(job.lanes[i].buffer);
    }
    free(job.written_by);
    return 0;
}
