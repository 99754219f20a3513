#include "registry.h"

#include <atomic>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "cloudlet/codec/digest.h"
#include "cloudlet/net/http_client.h"

namespace cloudlet::image {

using codec::Json;

namespace {

constexpr size_t parallel_layers = 3;
constexpr int most_redirects = 5;
constexpr auto idle_limit = std::chrono::seconds(60); // between two pieces of a blob

constexpr char accepted[] =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

bool is_loopback(std::string_view host) {
    bool dotted = host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
    return host == "localhost" || host == "::1" || dotted;
}

class Puller {
public:
    Puller(const ImageName& name, const BlobStore& blobs, const ImageLimits& limits,
           const PinBlob& pin, const PullProgress& progress)
        : name_(name), blobs_(blobs), limits_(limits), pin_(pin), progress_(progress) {}

    Result<StagedImage> pull();

private:
    std::string base() const {
        return fmt::format("http://{}/v2/{}", name_.registry, name_.repository);
    }
    Result<std::string> fetch_manifest(const std::string& reference, std::string& digest);
    Result<void> fetch_layers(const std::vector<Descriptor>& layers);
    Result<void> fetch_blob(const Descriptor& blob, std::string_view what);
    Result<void> download(const std::string& url, const Descriptor& blob, BlobStore::Writer& writer,
                          std::string_view what, int redirects);
    void report(const PullEvent& event);

    const ImageName& name_;
    const BlobStore& blobs_;
    const ImageLimits& limits_;
    const PinBlob& pin_;
    const PullProgress& progress_;
    std::mutex reporting_;
};

tl::unexpected<Error> refused(int status, const std::string& url) {
    Code code = status == 404                    ? Code::not_found
                : status == 401 || status == 403 ? Code::forbidden
                                                 : Code::unavailable;
    std::string_view hint = status == 404   ? "is the name right, and was it pushed?"
                            : status == 401 ? "only registries without a login are supported"
                                            : "look at the registry's log";
    return fail(code, fmt::format("the registry answered {} to GET {}; {}", status, url, hint));
}

void Puller::report(const PullEvent& event) {
    if (!progress_) return;
    std::lock_guard guard(reporting_);
    progress_(event);
}

// The document of that tag or digest; `digest` becomes the digest of its bytes.
Result<std::string> Puller::fetch_manifest(const std::string& reference, std::string& digest) {
    std::string url = fmt::format("{}/manifests/{}", base(), reference);
    net::ClientOptions options;
    options.max_body = limits_.manifest_bytes;
    net::Request request;
    request.headers.add("Accept", accepted);
    auto response = TRY(with_context(net::http_request(options, url, request),
                                     "the registry cannot be reached; start it, or bring the "
                                     "image as a file with cloudlet image load"));
    if (response.status != 200) return refused(response.status, url);
    const std::string& body = response.shared_body ? *response.shared_body : response.body;
    digest = "sha256:" + codec::sha256_hex(body);
    std::string_view announced = response.headers.get("Docker-Content-Digest");
    if (reference.starts_with("sha256:")) announced = reference;
    if (announced.starts_with("sha256:") && announced != digest)
        return fail(Code::invalid,
                    fmt::format("the manifest {} has the digest {}: it is corrupt; try again",
                                announced, digest));
    return body;
}

Result<void> Puller::download(const std::string& url, const Descriptor& blob,
                              BlobStore::Writer& writer, std::string_view what, int redirects) {
    net::ClientOptions options;
    auto connection = TRY(net::ClientConnection::create(options, url));
    net::Request request;
    request.target = TRY(net::parse_url(url)).target;
    int status = 0;
    std::string location;
    Result<void> written;
    auto on_head = [&](const net::Response& head) {
        status = head.status;
        location = head.headers.get("Location");
        return status == 200;
    };
    auto on_chunk = [&](std::string_view bytes) {
        written =
            writer.size() + bytes.size() > blob.size
                ? Result<void>(fail(
                      Code::invalid,
                      fmt::format("the blob {} is longer than its manifest says", blob.digest)))
                : writer.write(bytes);
        if (written) report({std::string(what), blob.digest, writer.size(), blob.size});
        return written.has_value();
    };
    auto streamed = connection->stream(request, on_head, on_chunk, idle_limit);
    TRY(std::move(written));
    bool redirected =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (redirected && redirects < most_redirects) {
        if (location.starts_with('/')) location.insert(0, fmt::format("http://{}", name_.registry));
        auto target = TRY(net::parse_url(location));
        if (target.scheme != "http" || !is_loopback(target.host))
            return fail(
                Code::unsupported,
                fmt::format(
                    "the registry sends us to {}; only plain HTTP on this machine is supported",
                    location));
        return download(location, blob, writer, what, redirects + 1);
    }
    if (status != 200 && status != 0) return refused(status, url);
    return streamed;
}

Result<void> Puller::fetch_blob(const Descriptor& blob, std::string_view what) {
    pin_(blob.digest);
    if (blobs_.contains(blob.digest)) {
        report({std::string(what), blob.digest, blob.size, blob.size});
        return {};
    }
    auto writer = TRY(blobs_.begin());
    TRY(download(fmt::format("{}/blobs/{}", base(), blob.digest), blob, writer, what, 0));
    TRY(writer.commit(blob.digest));
    return {};
}

Result<void> Puller::fetch_layers(const std::vector<Descriptor>& layers) {
    std::atomic<size_t> next = 0;
    std::atomic<bool> failed = false;
    std::mutex mutex;
    Result<void> outcome;
    auto work = [&] {
        for (size_t i = next++; i < layers.size() && !failed; i = next++) {
            auto fetched = fetch_blob(layers[i], "layer");
            if (fetched) continue;
            std::lock_guard guard(mutex);
            if (!failed.exchange(true)) outcome = std::move(fetched);
        }
    };
    {
        std::vector<std::jthread> helpers;
        for (size_t i = 1; i < std::min(parallel_layers, layers.size()); ++i)
            helpers.emplace_back(work);
        work();
    }
    return outcome;
}

Result<StagedImage> Puller::pull() {
    std::string reference = name_.digest.empty() ? name_.tag : name_.digest;
    StagedImage image;
    std::string text = TRY(fetch_manifest(reference, image.manifest_digest));
    Json document = TRY(with_context(codec::parse_json(text), "image manifest"));
    if (is_index(document)) {
        auto fitting = fitting_this_machine(TRY(parse_index(document)));
        if (fitting.empty())
            return fail(Code::not_found, fmt::format("{} has no image for linux/{}",
                                                     name_.to_string(), this_architecture()));
        text = TRY(fetch_manifest(fitting.front().digest, image.manifest_digest));
        document = TRY(with_context(codec::parse_json(text), "image manifest"));
    }
    image.manifest = TRY(parse_manifest(document));
    report({"manifest", image.manifest_digest, text.size(), text.size()});
    if (image.manifest.config.size > limits_.manifest_bytes)
        return fail(Code::too_large,
                    fmt::format("the configuration has {} bytes; at most {} are accepted",
                                image.manifest.config.size, limits_.manifest_bytes));
    TRY(fetch_blob(image.manifest.config, "config"));
    TRY(fetch_layers(image.manifest.layers));
    auto writer = TRY(blobs_.begin());
    TRY(writer.write(text));
    TRY(writer.commit(image.manifest_digest, pin_));
    image.names.push_back(name_.to_string());
    return image;
}

} // namespace

Result<StagedImage> stage_from_registry(const ImageName& name, const BlobStore& blobs,
                                        const ImageLimits& limits, const PinBlob& pin,
                                        const PullProgress& progress) {
    auto url = TRY(net::parse_url("http://" + name.registry));
    if (!is_loopback(url.host))
        return fail(Code::unsupported, fmt::format("the registry {} is not on this machine; load "
                                                   "the image from an archive, or pull it "
                                                   "through a registry on localhost",
                                                   name.registry));
    return Puller(name, blobs, limits, pin, progress).pull();
}

} // namespace cloudlet::image
