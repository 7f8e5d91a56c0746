#pragma once

// The front door to `quern::AlertManager`.
#include "quern/job_monitor.hpp"
#include "quern/monitor/alert_manager.hpp"
