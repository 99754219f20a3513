#pragma once
// Who we say we are.

#include <string>

namespace cloudlet::app {

/// Ours: "0.1.0".
std::string version();
/// The Kubernetes API we serve: "v1.32.13+cloudlet".
std::string kubernetes_version();

} // namespace cloudlet::app
