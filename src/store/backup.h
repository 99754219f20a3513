#pragma once
// A copy of the open database into a new file, made in small steps between groups. SQLite's backup
// interface carries over the pages that commits change meanwhile. Complete or absent.

#include <memory>
#include <string>

#include "cloudlet/base/result.h"

struct sqlite3;

namespace cloudlet::store {

class Backup {
public:
    static Result<std::unique_ptr<Backup>> start(sqlite3* from, const std::string& path);
    ~Backup(); // removes what is incomplete
    Backup(const Backup&) = delete;
    Backup& operator=(const Backup&) = delete;

    /// Copies some pages; true once the file is complete, durable and has its name.
    Result<bool> step();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    explicit Backup(std::unique_ptr<Impl> impl);
};

} // namespace cloudlet::store
