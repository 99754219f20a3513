#pragma once
// Objects for the tests, each in one line.

#include <string>

#include <gtest/gtest.h>

#include "cloudlet/api/object.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::kube::controllers {

using codec::Json;

inline const WallTime test_start{std::chrono::seconds{1'700'000'000}};

/// From JSON with single quotes for double ones.
inline Json json(std::string text) {
    for (char& c : text)
        if (c == '\'') c = '"';
    auto parsed = codec::parse_json(text);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().to_string()) << " in " << text;
    return parsed ? std::move(*parsed) : Json();
}

struct PodFacts {
    std::string name = "pod";
    std::string phase = "Running";
    bool ready = true;
    int ready_for = 3600; // seconds
    int age = 3600;
    std::string node = "n1";
    std::string owner = {}; // uid of its controller
    std::string labels = "{'app':'web'}";
    std::string ip = "10.0.0.1";
    bool deleting = false;
    int restarts = 0;
    std::string annotations = "{}";
};

inline api::Object pod(const PodFacts& facts = {}) {
    auto ago = [](int seconds) { return format_time(test_start - std::chrono::seconds(seconds)); };
    auto metadata = Json::object({{"name", facts.name},
                                  {"namespace", "default"},
                                  {"uid", "uid-" + facts.name},
                                  {"creationTimestamp", ago(facts.age)},
                                  {"labels", json(facts.labels)},
                                  {"annotations", json(facts.annotations)}});
    if (facts.deleting) metadata.set("deletionTimestamp", ago(0));
    if (!facts.owner.empty())
        metadata.set("ownerReferences", Json::array({Json::object({{"apiVersion", "apps/v1"},
                                                                   {"kind", "ReplicaSet"},
                                                                   {"name", "rs"},
                                                                   {"uid", facts.owner},
                                                                   {"controller", true}})}));
    auto condition = Json::object({{"type", "Ready"},
                                   {"status", facts.ready ? "True" : "False"},
                                   {"lastTransitionTime", ago(facts.ready_for)}});
    auto status = Json::object(
        {{"phase", facts.phase},
         {"conditions", Json::array({std::move(condition)})},
         {"containerStatuses", Json::array({Json::object({{"restartCount", facts.restarts}})})}});
    if (!facts.ip.empty()) status.set("podIP", facts.ip);
    auto spec =
        json("{'containers':[{'name':'c','ports':[{'name':'http','containerPort':8080}]}]}");
    if (!facts.node.empty()) spec.set("nodeName", facts.node);
    return api::Object(Json::object({{"apiVersion", "v1"},
                                     {"kind", "Pod"},
                                     {"metadata", std::move(metadata)},
                                     {"spec", std::move(spec)},
                                     {"status", std::move(status)}}));
}

} // namespace cloudlet::kube::controllers
