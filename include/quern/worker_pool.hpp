#pragma once

// The front door to `quern::WorkerPool`.
#include "quern/job_queue.hpp"
#include "quern/work/worker_pool.hpp"
