// From C++: handles in unique_ptr, errors as exceptions, lambdas as callbacks.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <qed.h>

namespace {

void check(int code) {
    if (code < 0)
        throw std::runtime_error(qed_error_message());
}

struct Close {
    void operator()(qed_image *image) const { qed_image_close(&image); }
};

std::unique_ptr<qed_image, Close> open_image(const std::string &path) {
    qed_image *image = nullptr;
    check(qed_image_open(path.c_str(), nullptr, &image));
    return std::unique_ptr<qed_image, Close>(image);
}

void expect(bool condition, const char *what) {
    if (!condition) {
        std::cerr << "not so: " << what << "\n";
        std::exit(1);
    }
}

}  // namespace

int main() {
    try {
        open_image("missing.qed");
        expect(false, "a missing image opens");
    } catch (const std::runtime_error &error) {
        expect(std::string(error.what()).find("qed_image_open: ") == 0, error.what());
    }
    check(qed_image_create("disk.qed", 1 << 20, nullptr));
    auto image = open_image("disk.qed");
    const std::string text = "from C++";
    check(qed_image_pwrite(image.get(), text.data(), text.size(), 4096, QED_FUA));
    std::vector<char> seen(text.size());
    check(qed_image_pread(image.get(), seen.data(), seen.size(), 4096));
    expect(std::string(seen.begin(), seen.end()) == text, "reads back");
    std::vector<qed_extent> extents;
    const qed_extent_callback collect = [](void *user_data, const qed_extent *extent) {
        static_cast<std::vector<qed_extent> *>(user_data)->push_back(*extent);
        return 0;
    };
    check(qed_image_extents(image.get(), 0, 1 << 20, collect, &extents));
    expect(!extents.empty() && extents[0].kind == QED_EXTENT_DATA, "extents");
    return 0;
}
