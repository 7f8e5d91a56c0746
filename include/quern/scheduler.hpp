#pragma once

// The front door to `quern::Scheduler`.
#include "quern/cron.hpp"
#include "quern/schedule/scheduler.hpp"
