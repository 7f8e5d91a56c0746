#pragma once

// The front door to `quern::HealthChecks` and the probes for what every host has.
#include "quern/monitor/health.hpp"
#include "quern/monitor/health_probes.hpp"
