#pragma once
// What the command line asks of the daemon, over HTTP on the control socket (mode 0600): status,
// kubeconfig, images, stop. Everything that is an object of the cluster goes by the Kubernetes API
// on the same socket instead.
//
//   GET    /cloudlet/v1/status               POST   /cloudlet/v1/images/load    {"path"}
//   GET    /cloudlet/v1/kubeconfig?token=    POST   /cloudlet/v1/images/import
//   {"path","name","config"} GET    /cloudlet/v1/images               POST /cloudlet/v1/images/pull
//   {"reference"} DELETE /cloudlet/v1/images?name=&force=  POST   /cloudlet/v1/stop
//
// Errors are {"code": "not found", "message": "..."} with the matching HTTP status.

#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/net/http_server.h"

namespace cloudlet::app {

inline constexpr const char* control_prefix = "/cloudlet/v1/";

/// What the routes need of the daemon; all must outlive the ControlApi.
struct ControlParts {
    image::ImageStore& images;
    std::function<codec::Json()> status;
    std::function<std::string(bool with_token)> kubeconfig;
    std::function<bool(const std::string& image_id)> image_in_use;
    std::function<void()> stop;
};

/// Thread-safe. Requests run on two threads of its own, since loading an image takes its time.
class ControlApi {
public:
    explicit ControlApi(ControlParts parts);
    ~ControlApi();

    /// True when the request is one of ours: it came over the control socket and below our prefix.
    bool owns(const net::Request& request) const;
    void handle(std::shared_ptr<net::Exchange> exchange);
    /// Ends the threads after the requests under way.
    void stop();

private:
    net::Response answer(const net::Request& request);
    Result<codec::Json> route(const net::Request& request);
    Result<codec::Json> change_images(const std::string& action, const codec::Json& body);

    ControlParts parts_;
    io::WorkerPool pool_;
};

/// The HTTP status of an error code.
int http_status(Code code);

/// An image as `cloudlet image ls -o json` shows it.
codec::Json to_json(const image::Image& image);

} // namespace cloudlet::app
