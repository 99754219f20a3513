#include "version.h"

namespace cloudlet::app {

std::string version() { return CLOUDLET_VERSION; }

std::string kubernetes_version() { return "v1.32.0+cloudlet." CLOUDLET_VERSION; }

} // namespace cloudlet::app
