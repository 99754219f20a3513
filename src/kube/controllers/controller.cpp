#include "controller.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace cloudlet::kube::controllers {

std::vector<std::string> controller_index(const api::Object& object) {
    if (auto controller = object.controller()) return {controller->uid};
    return {"/" + std::string(object.ns())};
}

void run_parallel(const std::vector<std::function<void()>>& calls) {
    if (calls.size() == 1) return calls[0]();
    std::atomic<size_t> next{0};
    auto work = [&] {
        for (size_t i = next++; i < calls.size(); i = next++) calls[i]();
    };
    std::vector<std::thread> threads;
    for (size_t i = 1; i < std::min<size_t>(calls.size(), 8); ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
}

Json controller_reference(const api::Object& owner) {
    return Json::object({{"apiVersion", owner.api_version()},
                         {"kind", owner.kind()},
                         {"name", owner.name()},
                         {"uid", owner.uid()},
                         {"controller", true},
                         {"blockOwnerDeletion", true}});
}

namespace {
Json owners_patch(const api::Object& object, Json owners) {
    auto metadata =
        Json::object({{"resourceVersion", object.resource_version()}, {"uid", object.uid()}});
    metadata.set("ownerReferences", std::move(owners));
    return Json::object({{"metadata", std::move(metadata)}});
}
} // namespace

Json adoption_patch(const api::Object& object, const api::Object& owner) {
    Json owners = Json::array();
    for (const Json& one : object.metadata()["ownerReferences"].items()) owners.push_back(one);
    owners.push_back(controller_reference(owner));
    return owners_patch(object, std::move(owners));
}

Json release_patch(const api::Object& object, std::string_view owner_uid) {
    Json owners = Json::array();
    for (const Json& one : object.metadata()["ownerReferences"].items())
        if (one["uid"].as_string() != owner_uid) owners.push_back(one);
    return owners_patch(object, std::move(owners));
}

} // namespace cloudlet::kube::controllers
