#include "version.h"

#include "cloudlet/kube/version.h"

namespace cloudlet::app {

std::string version() { return CLOUDLET_VERSION; }

std::string kubernetes_version() { return std::string(kube::kubernetes_version); }

} // namespace cloudlet::app
