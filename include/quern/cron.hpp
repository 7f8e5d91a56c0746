#pragma once

// The front door to `quern::CronExpression`, `quern::CronSchedule` and time zones.
#include "quern/schedule/cron_expression.hpp"
#include "quern/schedule/cron_schedule.hpp"
#include "quern/schedule/timing.hpp"
#include "quern/schedule/zone_database.hpp"
