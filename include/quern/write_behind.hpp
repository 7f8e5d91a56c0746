#pragma once

#include "quern/quern.hpp"
#include "quern/storage/write_behind.hpp"
