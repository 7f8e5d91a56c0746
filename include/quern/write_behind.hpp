#pragma once

#include "quern/quern.hpp"                  // IWYU pragma: export
#include "quern/storage/write_behind.hpp"  // IWYU pragma: export
