/* Breaks the rules: two threads write to one buffer with nothing between them. */
#include <pthread.h>

#include "check.h"

static unsigned char buffer[512];

static void *scribble(void *user_data) {
    buffer[*(int *)user_data] = 1;
    return NULL;
}

int main(void) {
    qed_image *image = new_image("disk.qed", MIB);
    pthread_t threads[2];
    int place = 7;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, scribble, &place) == 0);
    OK(qed_image_pwrite(image, buffer, sizeof buffer, 0, 0));
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    OK(qed_image_close(&image));
    return 0;
}
