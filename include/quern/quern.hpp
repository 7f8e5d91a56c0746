#pragma once

// All of the core: queue, handlers, processor, and the storage in memory. SQLite is <quern/sqlite.hpp>.
#include "quern/processor.hpp"
