#pragma once

// The HTTP API: a Router with its routes, a Gate that knows who is asking, API keys and roles.

#include "quern/http/access.hpp"
#include "quern/http/api.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/gate.hpp"
#include "quern/http/message.hpp"
#include "quern/http/problem.hpp"
#include "quern/http/roles.hpp"
#include "quern/http/router.hpp"
