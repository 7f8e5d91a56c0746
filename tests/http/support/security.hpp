#pragma once

#include <string>

#include "quern/core/clock.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/roles.hpp"
#include "quern/storage/any_storage.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

inline quern::http::Caller root() {
  return {.name = "root", .via = "test", .id = "root", .scope = {.permissions = {"*"}}};
}

/// A storage, a clock and what keys need.
struct SecurityScene {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& storage = own.storage.port();
  quern::http::Roles roles{storage};
  quern::http::ApiKeys keys{storage, roles, clock};

  quern::http::IssuedApiKey key(std::string name, std::string role) {
    return keys.create({.name = std::move(name), .role = std::move(role)}, root());
  }
};

}  // namespace quern_test
