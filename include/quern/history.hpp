#pragma once

// The front door to `quern::JobHistory`.
#include "quern/job_monitor.hpp"
#include "quern/monitor/job_history.hpp"
