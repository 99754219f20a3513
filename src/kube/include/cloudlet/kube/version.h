#pragma once
// The Kubernetes release whose API we serve, as /version, the Node objects and the command line say
// it.

#include <string_view>

namespace cloudlet::kube {

inline constexpr std::string_view kubernetes_version = "v1.32.13+cloudlet";

} // namespace cloudlet::kube
