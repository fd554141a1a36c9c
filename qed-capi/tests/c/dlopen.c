/* Not linked with libqed: everything by dlopen, from the path given. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <qed.h>

/* ISO C has no cast from object to function pointer; POSIX promises that this works. */
#define FIND(pointer, name)                                                                       \
    do {                                                                                          \
        *(void **)(&pointer) = dlsym(library, name);                                              \
        if (!pointer)                                                                             \
            return fprintf(stderr, "%s: %s\n", name, dlerror()), 1;                               \
    } while (0)
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition))                                                                         \
            return fprintf(stderr, "%d: not so: %s: %s\n", __LINE__, #condition, message()), 1;   \
    } while (0)

int main(int argc, char **argv) {
    const char *(*version)(void);
    const char *(*message)(void);
    int (*create)(const char *, uint64_t, const qed_options *);
    int (*open_)(const char *, const qed_options *, qed_image **);
    int (*pwrite_)(qed_image *, const void *, size_t, uint64_t, uint32_t);
    int (*pread_)(const qed_image *, void *, size_t, uint64_t);
    int (*close_)(qed_image **);
    qed_image *image = NULL;
    char seen[4] = "";
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;

    if (!library)
        return fprintf(stderr, "dlopen: %s\n", dlerror()), 1;
    FIND(version, "qed_version");
    FIND(message, "qed_error_message");
    FIND(create, "qed_image_create");
    FIND(open_, "qed_image_open");
    FIND(pwrite_, "qed_image_pwrite");
    FIND(pread_, "qed_image_pread");
    FIND(close_, "qed_image_close");
    CHECK(strcmp(version(), QED_VERSION_STRING) == 0);
    CHECK(create("disk.qed", 1 << 20, NULL) == 0);
    CHECK(create("disk.qed", 1 << 20, NULL) == -EEXIST);
    CHECK(strncmp(message(), "qed_image_create: ", 18) == 0);
    CHECK(open_("disk.qed", NULL, &image) == 0);
    CHECK(pwrite_(image, "abc", 4, 1000, QED_FUA) == 0);
    CHECK(pread_(image, seen, 4, 1000) == 0);
    CHECK(strcmp(seen, "abc") == 0);
    CHECK(close_(&image) == 0);
    /* The library keeps threads' slots: unloading it is not promised, so it stays. */
    return 0;
}
