/* The version macros agree with each other and with the library; every group is announced. */
#include "check.h"

#if !defined LIBQED_HAVE_OPTIONS || !defined LIBQED_HAVE_BACKING || !defined LIBQED_HAVE_IMAGE || \
    !defined LIBQED_HAVE_IMAGE_FD || !defined LIBQED_HAVE_EXTENTS || !defined LIBQED_HAVE_INFO ||  \
    !defined LIBQED_HAVE_CHECK || !defined LIBQED_HAVE_PROBE ||                                   \
    !defined LIBQED_HAVE_REPAIR || !defined LIBQED_HAVE_JUDGE || !defined LIBQED_HAVE_MEASURE
#error a function group is not announced
#endif
#if QED_VERSION_NUMBER != QED_VERSION_MAJOR * 1000000 + QED_VERSION_MINOR * 1000 + QED_VERSION_PATCH
#error QED_VERSION_NUMBER
#endif

int main(void) {
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", QED_VERSION_MAJOR, QED_VERSION_MINOR,
             QED_VERSION_PATCH);
    CHECK(strcmp(text, QED_VERSION_STRING) == 0);
    CHECK(strcmp(text, qed_version()) == 0);
    return 0;
}
