#pragma once
// A folder that is gone when the test ends, however it ends.

#include <string>

#include "cloudlet/base/check.h"
#include "cloudlet/io/file.h"

namespace cloudlet::io {

class TemporaryFolder {
public:
    TemporaryFolder() {
        auto made = make_temporary_directory("/tmp/cloudlet-io-test-");
        check(made.has_value(), "a test has a folder of its own");
        path_ = *made;
    }
    ~TemporaryFolder() { static_cast<void>(remove_tree(path_)); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

} // namespace cloudlet::io
