#pragma once

// The front door to `quern::Processor`.
#include "quern/job_queue.hpp"
#include "quern/work/processor.hpp"
