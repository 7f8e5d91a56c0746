#pragma once

// The front door to `quern::JobQueue`.
#include "quern/queue/job_queue.hpp"
#include "quern/storage/memory_storage.hpp"
