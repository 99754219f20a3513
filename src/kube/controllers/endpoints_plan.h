#pragma once
// Where a Service leads: Endpoints and EndpointSlices from the Service and its pods. Pure. The
// rules are kube-controller-manager's (pkg/controller/endpoint, endpointslice;
// discovery.k8s.io/v1).

#include <string>
#include <vector>

#include "cloudlet/api/object.h"

namespace cloudlet::kube::controllers {

/// Whether the controllers make endpoints for it: it has a selector and is no ExternalName.
bool is_managed(const api::Object& service);

/// `subsets` of the Endpoints object of the same name: ready pods, and those that are not.
codec::Json endpoint_subsets(const api::Object& service, const std::vector<api::Object>& pods);

/// The labels that Endpoints of the Service carry.
codec::Json endpoints_labels(const api::Object& service);

/// One EndpointSlice's content.
struct SliceContent {
    codec::Json endpoints; // sorted by pod; at most 100
    codec::Json ports;
};
/// At least one slice, if only an empty one.
std::vector<SliceContent> slice_contents(const api::Object& service,
                                         const std::vector<api::Object>& pods);

/// How the existing slices become the wanted ones with the fewest writes.
struct SlicePlan {
    struct Update {
        api::Object slice;
        SliceContent content;
    };
    std::vector<Update> update;
    std::vector<SliceContent> create;
    std::vector<api::Object> remove;
};
SlicePlan plan_slices(std::vector<SliceContent> wanted, std::vector<api::Object> existing);

/// A new EndpointSlice for the Service, to be created.
codec::Json make_slice(const api::Object& service, SliceContent content);

inline constexpr std::string_view slice_manager = "endpointslice-controller.k8s.io";
inline constexpr std::string_view slice_manager_label = "endpointslice.kubernetes.io/managed-by";
inline constexpr std::string_view endpoints_manager = "endpoint-controller";
inline constexpr std::string_view endpoints_manager_label = "endpoints.kubernetes.io/managed-by";
inline constexpr std::string_view slice_service_label = "kubernetes.io/service-name";

} // namespace cloudlet::kube::controllers
