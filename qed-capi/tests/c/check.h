/* What the C tests share: checks that say where they stand and what libqed had to say. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qed.h>

#define MIB ((uint64_t)1 << 20)

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s [%s]\n", __FILE__, __LINE__, #condition,           \
                    qed_error_message());                                                         \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

/* The call succeeds, and the error slot says so. */
#define OK(call)                                                                                  \
    do {                                                                                          \
        int code_ = (call);                                                                       \
        if (code_ != 0 || qed_error_kind() != QED_ERROR_NONE || qed_error_message()[0] != 0) {    \
            fprintf(stderr, "%s:%d: %s gave %d, %s\n", __FILE__, __LINE__, #call, code_,          \
                    qed_error_message());                                                         \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

/* The call fails with this errno and kind; its text begins with `function: ` and holds `part`. */
#define FAILS(call, errno_, kind_, function, part)                                                \
    check_failure((call), -(errno_), kind_, function, part, __FILE__, __LINE__)

/* A misuse: -EINVAL and QED_ERROR_INVALID_ARGUMENT. */
#define MISUSE(call, function, part) FAILS(call, EINVAL, QED_ERROR_INVALID_ARGUMENT, function, part)

static inline void check_failure(int64_t code, int wanted, int kind, const char *function,
                                 const char *part, const char *file, int line) {
    const char *text = qed_error_message();
    size_t length = strlen(function);
    int begins = strncmp(text, function, length) == 0 && strncmp(text + length, ": ", 2) == 0;
    if (code != wanted || qed_error_kind() != kind || !begins || !strstr(text, part)) {
        fprintf(stderr, "%s:%d: %s gave %" PRId64 ", wanted %d; kind %s; \"%s\"", file, line,
                function, code, wanted, qed_error_kind_name(qed_error_kind()), text);
        fprintf(stderr, ", wanted kind %s; \"%s: ...%s\"\n", qed_error_kind_name(kind), function,
                part);
        exit(1);
    }
}

/* Whether images may open what lies beneath their directory: not where the system call for it is
 * missing, as under valgrind. */
static inline int has_openat2(void) { return getenv("QED_TEST_WITHOUT_OPENAT2") == NULL; }

/* Lets what takes these options open backing files, by whatever system call there is. */
static inline void allow_backing(qed_options *options) {
    if (!has_openat2())
        OK(qed_options_set_str(options, "backing_policy", "follow"));
}

/* Opens an image over its backing file. */
static inline qed_image *open_overlay(const char *path) {
    qed_options *options = NULL;
    qed_image *image = NULL;
    OK(qed_options_new(&options));
    allow_backing(options);
    OK(qed_image_open(path, options, &image));
    OK(qed_options_free(&options));
    return image;
}

/* A new image of `size` bytes, open for writing. */
static inline qed_image *new_image(const char *path, uint64_t size) {
    qed_image *image = NULL;
    OK(qed_image_create(path, size, NULL));
    OK(qed_image_open(path, NULL, &image));
    CHECK(image != NULL);
    return image;
}

static inline int all_bytes_are(const unsigned char *bytes, size_t length, unsigned char value) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

#endif
