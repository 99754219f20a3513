#pragma once
// Pages of docs/ that show what the program says: a test holds them to it.

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace cloudlet::rados {

inline std::string docs_path(const std::string& page) {
    return CLOUDLET_CORPUS "/../../docs/" + page;
}

inline std::string read_docs(const std::string& page) {
    std::stringstream read;
    read << std::ifstream(docs_path(page)).rdbuf();
    return read.str();
}

/// The page shows `text` between the lines "<!-- NAME: begin -->" and "<!-- NAME: end -->".
/// With CLOUDLET_UPDATE_DOCS in the environment it is put there.
inline void expect_in_docs(const std::string& page, const std::string& name,
                           const std::string& text) {
    const std::string path = docs_path(page);
    std::string all = read_docs(page);
    const std::string begin = "<!-- " + name + ": begin -->\n", end = "<!-- " + name + ": end -->";
    const size_t from = all.find(begin), to = all.find(end);
    ASSERT_NE(from, std::string::npos) << path << " has no line " << begin;
    ASSERT_NE(to, std::string::npos) << path << " has no line " << end;
    const size_t start = from + begin.size();
    if (std::getenv("CLOUDLET_UPDATE_DOCS")) {
        all.replace(start, to - start, text);
        std::ofstream(path) << all;
        return;
    }
    EXPECT_EQ(all.substr(start, to - start), text)
        << "run the test with CLOUDLET_UPDATE_DOCS=1, and read what became of the page";
}

} // namespace cloudlet::rados
