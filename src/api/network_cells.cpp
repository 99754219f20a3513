// What `kubectl get services,endpoints,endpointslices` shows.

#include <fmt/format.h>

#include "table_cells.h"

namespace cloudlet::api {

namespace {

constexpr size_t shown = 3; // addresses and ports in a cell; the rest is counted

/// "a,b,c + 2 more..."
class ShortList {
public:
    void add(std::string text) {
        if (++count_ <= shown) text_ += (text_.empty() ? "" : ",") + std::move(text);
    }
    std::string to_string(std::string_view none) const {
        if (count_ == 0) return std::string(none);
        return count_ > shown ? fmt::format("{} + {} more...", text_, count_ - shown) : text_;
    }

private:
    std::string text_;
    size_t count_ = 0;
};

std::string joined(const Json& list) {
    std::string text;
    for (const Json& item : list.items())
        text += (text.empty() ? "" : ",") + std::string(item.as_string());
    return text;
}

std::string host_and_port(std::string_view host, int64_t port) {
    bool v6 = host.find(':') != host.npos;
    return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

} // namespace

Json service_cluster_ip_cell(const Json& service, WallTime) {
    std::string_view ip = service["spec"]["clusterIPs"][size_t{0}].as_string();
    if (ip.empty()) ip = service["spec"]["clusterIP"].as_string();
    return ip.empty() ? "<none>" : ip;
}

Json service_external_ip_cell(const Json& service, WallTime) {
    const Json& spec = service["spec"];
    std::string_view type = spec["type"].as_string();
    if (type == "ExternalName") return spec["externalName"];
    std::string external = joined(spec["externalIPs"]);
    if (type != "LoadBalancer") return external.empty() ? "<none>" : external;
    std::string balanced;
    for (const Json& ingress : service["status"]["loadBalancer"]["ingress"].items()) {
        std::string_view place = ingress["ip"].as_string();
        if (place.empty()) place = ingress["hostname"].as_string();
        balanced += (balanced.empty() ? "" : ",") + std::string(place);
    }
    if (!external.empty()) balanced += (balanced.empty() ? "" : ",") + external;
    return balanced.empty() ? "<pending>" : balanced;
}

Json service_ports_cell(const Json& service, WallTime) {
    std::string text;
    for (const Json& port : service["spec"]["ports"].items()) {
        if (!text.empty()) text += ",";
        text += port["port"].dump();
        if (port["nodePort"].as_int() > 0) text += ":" + port["nodePort"].dump();
        text += "/" + std::string(port["protocol"].as_string("TCP"));
    }
    return text.empty() ? "<none>" : text;
}

Json endpoints_cell(const Json& endpoints, WallTime) {
    ShortList list;
    for (const Json& subset : endpoints["subsets"].items()) {
        if (subset["ports"].size() == 0)
            for (const Json& address : subset["addresses"].items())
                list.add(std::string(address["ip"].as_string()));
        for (const Json& port : subset["ports"].items())
            for (const Json& address : subset["addresses"].items())
                list.add(host_and_port(address["ip"].as_string(), port["port"].as_int()));
    }
    return list.to_string("<none>");
}

Json slice_ports_cell(const Json& slice, WallTime) {
    ShortList list;
    for (const Json& port : slice["ports"].items()) {
        if (port["port"].is_int())
            list.add(port["port"].dump());
        else
            list.add(port["name"].is_string() ? std::string(port["name"].as_string()) : "*");
    }
    return list.to_string("<unset>");
}

Json slice_endpoints_cell(const Json& slice, WallTime) {
    ShortList list;
    for (const Json& endpoint : slice["endpoints"].items())
        for (const Json& address : endpoint["addresses"].items())
            list.add(std::string(address.as_string()));
    return list.to_string("<unset>");
}

} // namespace cloudlet::api
