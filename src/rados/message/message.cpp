#include "cloudlet/rados/message.h"

#include <array>

#include <fmt/format.h>

namespace cloudlet::rados {

namespace {

constexpr std::array<std::string_view, 36> body_names = {"Boot",
                                                         "Failure",
                                                         "Beacon",
                                                         "Alive",
                                                         "WantTemp",
                                                         "Reports",
                                                         "GetMaps",
                                                         "DoCommand",
                                                         "Maps",
                                                         "AskOther",
                                                         "CommandDone",
                                                         "CreatePg",
                                                         "ClientOp",
                                                         "ClientReply",
                                                         "ScrubCommand",
                                                         "Ping",
                                                         "Query",
                                                         "Notify",
                                                         "FullRecord",
                                                         "Activate",
                                                         "Activated",
                                                         "Learn",
                                                         "Drop",
                                                         "Replicate",
                                                         "Replicated",
                                                         "Pull",
                                                         "Push",
                                                         "Pushed",
                                                         "Scan",
                                                         "Scanned",
                                                         "BackfillProgress",
                                                         "Reserve",
                                                         "ScrubAsk",
                                                         "ScrubAnswer",
                                                         "MarkUnfoundLost",
                                                         "ScrubReserve"};
static_assert(body_names.size() == std::variant_size_v<MessageBody>);

template <typename Body>
concept NamesPg = requires(const Body& body) {
    body.pg;
};
template <typename Body>
concept CarriesInfo = requires(const Body& body) {
    body.info.pg;
};

} // namespace

std::string Entity::to_string() const {
    constexpr std::string_view kinds[] = {"mon", "osd", "client"};
    return fmt::format("{}.{}", kinds[static_cast<size_t>(kind)], number);
}

std::string_view name_of(const MessageBody& body) { return body_names[body.index()]; }

std::optional<PgId> pg_of(const MessageBody& body) {
    return std::visit(
        []<typename Body>(const Body& b) -> std::optional<PgId> {
            if constexpr (std::is_same_v<Body, message::ClientOp> ||
                          std::is_same_v<Body, message::ScrubCommand> ||
                          std::is_same_v<Body, message::MarkUnfoundLost> ||
                          std::is_same_v<Body, message::CreatePg>)
                return std::nullopt;
            else if constexpr (NamesPg<Body>)
                return b.pg;
            else if constexpr (CarriesInfo<Body>)
                return b.info.pg;
            else
                return std::nullopt;
        },
        body);
}

} // namespace cloudlet::rados
