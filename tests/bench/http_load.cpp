// A load generator: some connections, each sending one request after the other for a while. It
// drives our API and etcd's gateway in the same way, so that their rates compare.
//
//   http_load create|get|etcd-put URL CONNECTIONS SECONDS [CA_FILE TOKEN_FILE]
//
// Prints one JSON line: requests per second, latencies in milliseconds, and failures.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/file.h"
#include "cloudlet/net/http_client.h"

namespace cloudlet {
namespace {

constexpr size_t value_size = 600; // bytes of a ConfigMap as it is stored, and of etcd's value
constexpr int objects_to_get = 512;

struct Load {
    std::string kind, url;
    net::ClientOptions options;
    net::Headers headers;
    std::chrono::steady_clock::time_point end;
    std::string run =
        std::to_string(std::chrono::system_clock::now().time_since_epoch().count() / 1000);
};

struct Tally {
    std::vector<double> milliseconds;
    size_t failed = 0;
    std::string first_failure;
};

net::Request make_request(const Load& load, size_t worker, size_t count) {
    net::Request request;
    request.headers = load.headers;
    std::string name = fmt::format("load-{}-{}-{}", load.run, worker, count);
    if (load.kind == "get") {
        request.target = fmt::format("/api/v1/namespaces/default/configmaps/load-get-{}",
                                     count % objects_to_get);
    } else if (load.kind == "create") {
        request.method = "POST";
        request.target = "/api/v1/namespaces/default/configmaps";
        request.headers.set("Content-Type", "application/json");
        request.body = fmt::format(
            R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}},"data":{{"v":"{}"}}}})",
            name, std::string(value_size - 160, 'x'));
    } else {
        request.method = "POST";
        request.target = "/v3/kv/put";
        request.body = fmt::format(R"({{"key":"{}","value":"{}"}})",
                                   to_base64("/registry/configmaps/default/" + name),
                                   to_base64(std::string(value_size, 'x')));
    }
    return request;
}

void work(const Load& load, size_t worker, Tally& tally) {
    auto connection = net::ClientConnection::create(load.options, load.url);
    if (!connection) {
        tally.failed = 1;
        tally.first_failure = connection.error().to_string();
        return;
    }
    for (size_t count = 0; std::chrono::steady_clock::now() < load.end; ++count) {
        auto begin = std::chrono::steady_clock::now();
        auto answer = (*connection)->request(make_request(load, worker, count));
        std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
        if (answer && answer->status < 300) {
            tally.milliseconds.push_back(took.count());
            continue;
        }
        if (!tally.failed++)
            tally.first_failure = answer ? answer->body : answer.error().to_string();
        if (tally.failed > 100) return;
    }
}

/// The objects that "get" asks for.
bool prepare(const Load& load) {
    auto connection = net::ClientConnection::create(load.options, load.url);
    if (!connection) return false;
    for (int i = 0; i < objects_to_get; ++i) {
        Load create = load;
        create.kind = "create";
        auto request = make_request(create, 0, 0);
        size_t at = request.body.find("load-" + load.run);
        request.body.replace(at, request.body.find('"', at) - at, fmt::format("load-get-{}", i));
        auto answer = (*connection)->request(request);
        if (!answer || (answer->status >= 300 && answer->status != 409)) return false;
    }
    return true;
}

int run(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(
            stderr,
            "usage: http_load create|get|etcd-put URL CONNECTIONS SECONDS [CA_FILE TOKEN_FILE]\n");
        return 2;
    }
    Load load;
    load.kind = argv[1];
    load.url = argv[2];
    if (argc > 6) {
        load.options.tls.ca_pem = io::read_file(argv[5]).value_or("");
        load.headers.set("Authorization", "Bearer " + io::read_file(argv[6]).value_or(""));
    }
    if (load.kind == "get" && !prepare(load)) {
        std::fprintf(stderr, "http_load: the objects to get could not be made\n");
        return 1;
    }
    auto begin = std::chrono::steady_clock::now();
    load.end = begin + std::chrono::milliseconds(static_cast<int64_t>(std::atof(argv[4]) * 1000));
    std::vector<Tally> tallies(std::strtoul(argv[3], nullptr, 10));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < tallies.size(); ++i)
        threads.emplace_back([&, i] { work(load, i, tallies[i]); });
    for (auto& thread : threads) thread.join();
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;

    Tally all;
    for (auto& tally : tallies) {
        all.milliseconds.insert(all.milliseconds.end(), tally.milliseconds.begin(),
                                tally.milliseconds.end());
        all.failed += tally.failed;
        if (all.first_failure.empty()) all.first_failure = tally.first_failure;
    }
    std::sort(all.milliseconds.begin(), all.milliseconds.end());
    auto at = [&](double part) {
        return all.milliseconds.empty() ? 0
                                        : all.milliseconds[static_cast<size_t>(
                                              part * double(all.milliseconds.size() - 1))];
    };
    if (all.failed) std::fprintf(stderr, "http_load: %s\n", all.first_failure.c_str());
    fmt::print("{{\"rate\":{:.0f},\"p50\":{:.2f},\"p99\":{:.2f},\"failed\":{}}}\n",
               double(all.milliseconds.size()) / took.count(), at(0.5), at(0.99), all.failed);
    return 0;
}

} // namespace
} // namespace cloudlet

int main(int argc, char** argv) { return cloudlet::run(argc, argv); }
