#pragma once
// What every test includes.
#include "floor_0.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
