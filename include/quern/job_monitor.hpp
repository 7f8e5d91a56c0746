#pragma once

// The front door to `quern::JobMonitor`.
#include "quern/job_queue.hpp"
#include "quern/monitor/job_monitor.hpp"
