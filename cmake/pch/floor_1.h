#pragma once
// Floors 1 and 2: the standard library and base/.
#include "floor_0.h"

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/check.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/log.h"
#include "cloudlet/base/result.h"
