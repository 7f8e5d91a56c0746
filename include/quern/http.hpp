#pragma once

// The HTTP API: ApiServer, which has all of it; and its parts, for a host that puts them together by itself.

#include "quern/http/access.hpp"
#include "quern/http/api.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/api_server.hpp"
#include "quern/http/dashboard.hpp"
#include "quern/http/digest_api.hpp"
#include "quern/http/gate.hpp"
#include "quern/http/message.hpp"
#include "quern/http/problem.hpp"
#include "quern/http/roles.hpp"
#include "quern/http/router.hpp"
