/* The facts of an image, and the rule by which their structure grows. */
#include "check.h"

int main(void) {
    struct {
        qed_info info;
        uint64_t more[4];
    } newer;
    qed_image *image = new_image("disk.qed", 5 * MIB + 512);
    qed_info info;
    char name[8] = "same";

    memset(&info, 0xee, sizeof info);
    info.struct_size = sizeof info;
    OK(qed_image_info(image, &info));
    CHECK(info.struct_size == sizeof info);
    CHECK(info.virtual_size == 5 * MIB + 512);
    CHECK((int64_t)info.virtual_size == qed_image_size(image));
    CHECK(info.cluster_size == 65536 && info.table_size == 4 && info.header_size == 1);
    CHECK(info.features == 0 && info.compat_features == 0 && info.l1_table_offset == 65536);
    CHECK(info.file_length >= 5 * 65536 && info.needs_check == 0 && info.read_only == 0);
    CHECK(info.backing_name_length == 0 && info.backing_raw == 0);
    CHECK(qed_image_backing_name(image, name, sizeof name) == 0 && name[0] == 0);
    CHECK(qed_image_backing_name(image, NULL, 0) == 0);

    /* A program of a later version: what this library does not know is left alone. */
    memset(&newer, 0xee, sizeof newer);
    newer.info.struct_size = sizeof newer;
    OK(qed_image_info(image, &newer.info));
    CHECK(newer.info.struct_size == sizeof(qed_info));
    CHECK(newer.info.virtual_size == info.virtual_size);
    CHECK(all_bytes_are((unsigned char *)newer.more, sizeof newer.more, 0xee));
    OK(qed_image_close(&image));
    return 0;
}
