#pragma once
// Which states and ways of the placement group's machine a simulation went through, and which kinds
// of messages. What was never taken was never tested. Plain counters; they add up over seeds.

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cloudlet/rados/message.h"
#include "cloudlet/rados/pg_stage.h"

namespace cloudlet::rados::sim {

struct Coverage {
    std::vector<uint64_t> stage_rows, work_rows; // by the rows of the tables of pg_stage.h
    std::array<uint64_t, std::variant_size_v<MessageBody>> messages = {};

    Coverage();
    void note(const PgMove& move) {
        ++(move.table == PgMove::Table::stage ? stage_rows : work_rows)[move.row];
    }
    void note(const Message& message) { ++messages[message.body.index()]; }
    void add(const Coverage& other);
    /// As numbers in a row, for another process; read() takes them back and adds them.
    std::string write() const;
    void read_and_add(const std::string& text);

    /// Every row of both tables was taken.
    bool is_complete() const;
    /// How often each row of the tables was taken, and what was never sent.
    std::string report() const;
};

} // namespace cloudlet::rados::sim
