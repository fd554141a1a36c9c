/* The error slot: one for each thread, filled by a failure, emptied by a success. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

static pthread_barrier_t barrier;

static void *other(void *user_data) {
    (void)user_data;
    CHECK(qed_error_kind() == QED_ERROR_NONE && qed_error_message()[0] == 0);
    FAILS(qed_probe("missing"), ENOENT, QED_ERROR_NOT_FOUND, "qed_probe", "missing");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    FAILS(-ENOENT, ENOENT, QED_ERROR_NOT_FOUND, "qed_probe", "missing");
    return NULL;
}

int main(void) {
    pthread_t thread;
    qed_options *options;
    const char *text;

    CHECK(qed_error_kind() == QED_ERROR_NONE && qed_error_message()[0] == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    MISUSE(qed_image_flush(NULL), "qed_image_flush", "NULL");
    CHECK(pthread_create(&thread, NULL, other, NULL) == 0);
    pthread_barrier_wait(&barrier);
    /* The other thread has failed meanwhile; this one's slot is as it was. */
    MISUSE(-EINVAL, "qed_image_flush", "NULL");
    text = qed_error_message();
    CHECK(text == qed_error_message() && strcmp(qed_version(), QED_VERSION_STRING) == 0);
    CHECK(strcmp(qed_error_kind_name(qed_error_kind()), "invalid-argument") == 0);
    CHECK(strcmp(text, "qed_image_flush: image is NULL") == 0);
    OK(qed_options_new(&options));
    OK(qed_options_free(&options));
    CHECK(qed_error_kind() == QED_ERROR_NONE);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_barrier_destroy(&barrier) == 0);

    CHECK(strcmp(qed_error_kind_name(QED_ERROR_NONE), "none") == 0);
    CHECK(strcmp(qed_error_kind_name(QED_ERROR_INTERNAL), "internal") == 0);
    CHECK(strcmp(qed_error_kind_name(-1), "unknown") == 0);
    CHECK(strcmp(qed_error_kind_name(4711), "unknown") == 0);
    return 0;
}
