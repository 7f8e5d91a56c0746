#pragma once

// The front door to `quern::JobService`.
#include "quern/service/job_service.hpp"
