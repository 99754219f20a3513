#pragma once
// Who we say we are.

#include <string>

namespace cloudlet::app {

/// Ours: "0.1.0".
std::string version();
/// The Kubernetes API we serve, with ours as build metadata: "v1.32.0+cloudlet.0.1.0".
std::string kubernetes_version();

} // namespace cloudlet::app
