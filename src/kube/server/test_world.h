#pragma once
// One cluster's API in one line, for tests: a store on disk, the server over TLS on a free port of
// 127.0.0.1, certificates, and short ways to ask.

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "cloudlet/api/client.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/server/api_server.h"
#include "cloudlet/net/certificates.h"
#include "cloudlet/net/http_client.h"
#include "cloudlet/net/http_server.h"
#include "cloudlet/store/sqlite.h"

namespace cloudlet::kube::server::testing {

using codec::Json;
namespace resources = api::resources;

/// A folder that goes when the test ends.
class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/cloudlet-kube-XXXXXX";
        path_ = mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

template <typename T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().to_string());
    return std::move(*result);
}
inline void must(Result<> result) {
    if (!result) throw std::runtime_error(result.error().to_string());
}

/// Keys and certificates: made once for all tests of the program.
struct Pki {
    net::KeyPair authority = must(net::make_authority("test-ca"));
    net::KeyPair server = must(net::issue(authority, {.common_name = "server",
                                                      .organizations = {},
                                                      .dns_names = {"localhost"},
                                                      .ip_addresses = {"127.0.0.1"},
                                                      .server = true}));
    net::KeyPair admin = must(net::issue(authority, {.common_name = "admin",
                                                     .organizations = {"system:masters"},
                                                     .dns_names = {},
                                                     .ip_addresses = {},
                                                     .client = true}));
    std::string signing_key = must(net::make_key());
    static const Pki& get() {
        static const Pki pki;
        return pki;
    }
};

struct Answer {
    int status = 0;
    Json json;
    std::string text;
    net::Headers headers;
};

class World {
public:
    explicit World(ApiServerOptions options = {}) : options_(std::move(options)) { start(); }
    ~World() { stop(); }

    /// Stops everything and starts again on the same store.
    void restart() {
        stop();
        start();
    }

    ApiServer& server() { return *server_; }
    api::Client& client() { return server_->client(); }
    store::Store& store() { return *store_; }
    std::string url() const { return "https://127.0.0.1:" + std::to_string(http_->port()); }
    const std::string& folder() const { return folder_.path(); }

    /// A request with the admin's certificate; the body is JSON unless a content type is given.
    Answer ask(const std::string& method, const std::string& target, const std::string& body = {},
               net::Headers headers = {}) {
        if (!body.empty() && !headers.has("Content-Type"))
            headers.add("Content-Type",
                        method == "PATCH" ? "application/merge-patch+json" : "application/json");
        return send(admin_tls(), method, target, body, std::move(headers));
    }
    Answer ask_with_token(const std::string& token, const std::string& method,
                          const std::string& target) {
        net::Headers headers;
        if (!token.empty()) headers.add("Authorization", "Bearer " + token);
        return send({.ca_pem = Pki::get().authority.cert_pem,
                     .cert_pem = {},
                     .key_pem = {},
                     .server_name = {}},
                    method, target, {}, std::move(headers));
    }
    /// Over the control socket: no certificate, no token.
    Result<net::Response> ask_control(const std::string& target) {
        net::ClientOptions options;
        options.unix_path = folder() + "/control.sock";
        net::Request request;
        request.target = target;
        return net::http_request(options, "http://localhost" + target, std::move(request));
    }
    static net::ClientTls admin_tls() {
        const Pki& pki = Pki::get();
        return {.ca_pem = pki.authority.cert_pem,
                .cert_pem = pki.admin.cert_pem,
                .key_pem = pki.admin.key_pem,
                .server_name = {}};
    }
    Answer send(net::ClientTls tls, const std::string& method, const std::string& target,
                const std::string& body, net::Headers headers) {
        net::ClientOptions options;
        options.tls = std::move(tls);
        net::Request request;
        request.method = method;
        request.target = target;
        request.body = body;
        request.headers = std::move(headers);
        auto response = net::http_request(options, url() + target, std::move(request));
        if (!response) {
            ADD_FAILURE() << method << " " << target << ": " << response.error().to_string();
            return {};
        }
        Answer answer{response->status, {}, response->body, response->headers};
        if (auto json = codec::parse_json(response->body)) answer.json = std::move(*json);
        return answer;
    }

    /// A kubeconfig of the admin.
    std::string kubeconfig() {
        const Pki& pki = Pki::get();
        auto file = [&](const std::string& name, const std::string& text) {
            const std::string path = folder() + "/" + name;
            std::ofstream(path) << text;
            return path;
        };
        const std::string ca = file("ca.crt", pki.authority.cert_pem);
        const std::string cert = file("admin.crt", pki.admin.cert_pem);
        const std::string key = file("admin.key", pki.admin.key_pem);
        return file(
            "kubeconfig",
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n"
            "    server: " +
                url() + "\n    certificate-authority: " + ca +
                "\nusers:\n- name: u\n  user:\n    client-certificate: " + cert +
                "\n    client-key: " + key +
                "\ncontexts:\n- name: c\n  context:\n    cluster: c\n    user: u\n");
    }

private:
    void start() {
        const Pki& pki = Pki::get();
        store_ = must(store::open_sqlite_store(
            {.path = folder_.path() + "/store.db", .clock = nullptr, .disk = nullptr}));
        loop_ = must(io::LoopThread::start("kube-test"));
        pool_ = std::make_unique<io::WorkerPool>("kube-test", 4, 4096);
        ApiServerOptions options = options_;
        options.store = store_.get();
        options.loop = &loop_->loop();
        options.pool = pool_.get();
        options.service_account_key_pem = pki.signing_key;
        options.advertise_address = "192.0.2.1";
        server_ = must(ApiServer::create(options));
        net::ServerOptions http;
        http.inline_handler = server_->inline_handler();
        http.error_page = &ApiServer::error_page;
        http_ = must(net::HttpServer::create(loop_->loop(), *pool_, http, server_->handler()));
        auto tls = must(net::TlsContext::server(
            {pki.server.cert_pem, pki.server.key_pem, pki.authority.cert_pem}));
        must(http_->listen_tcp("127.0.0.1", 0, tls));
        must(http_->listen_unix(folder() + "/control.sock"));
    }
    void stop() {
        if (server_) server_->stop();
        http_.reset();
        if (pool_) pool_->stop();
        server_.reset();
        loop_.reset();
        pool_.reset();
        store_.reset();
    }

    ApiServerOptions options_;
    Folder folder_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<io::LoopThread> loop_;
    std::unique_ptr<io::WorkerPool> pool_;
    std::unique_ptr<ApiServer> server_;
    std::unique_ptr<net::HttpServer> http_;
};

inline Json config_map(const std::string& name, const std::string& value = "v", Json labels = {}) {
    Json metadata = Json::object({{"name", name}});
    if (!labels.is_null()) metadata.set("labels", std::move(labels));
    return Json::object({{"apiVersion", "v1"},
                         {"kind", "ConfigMap"},
                         {"metadata", std::move(metadata)},
                         {"data", Json::object({{"key", value}})}});
}

inline Json pod(const std::string& name) {
    Json container = Json::object({{"name", "main"}, {"image", "web:1"}});
    return Json::object(
        {{"apiVersion", "v1"},
         {"kind", "Pod"},
         {"metadata", Json::object({{"name", name}})},
         {"spec", Json::object({{"containers", Json::array({std::move(container)})}})}});
}

inline Json deployment(const std::string& name, int replicas = 3) {
    Json labels = Json::object({{"app", name}});
    Json tmpl = Json::object(
        {{"metadata", Json::object({{"labels", labels}})}, {"spec", pod("x")["spec"]}});
    return Json::object(
        {{"apiVersion", "apps/v1"},
         {"kind", "Deployment"},
         {"metadata", Json::object({{"name", name}})},
         {"spec", Json::object({{"replicas", replicas},
                                {"selector", Json::object({{"matchLabels", labels}})},
                                {"template", tmpl}})}});
}

inline Json service(const std::string& name, const std::string& type = "ClusterIP") {
    Json port = Json::object({{"port", 80}});
    return Json::object({{"apiVersion", "v1"},
                         {"kind", "Service"},
                         {"metadata", Json::object({{"name", name}})},
                         {"spec", Json::object({{"type", type}, {"ports", Json::array({port})}})}});
}

constexpr const char* in_default = "/api/v1/namespaces/default/";

} // namespace cloudlet::kube::server::testing
