#pragma once

#include <string>

#include "quern/core/clock.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/roles.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/memory_storage.hpp"

namespace quern_test {

/// Bytes that anybody can guess: each is by one larger than the one before.
struct CountingBytes {
  unsigned char next = 1;
  std::string operator()(std::size_t count) {
    std::string bytes;
    for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(next++);
    return bytes;
  }
};

inline quern::http::Caller root() {
  return {.name = "root", .via = "test", .id = "root", .scope = {.permissions = {"*"}}};
}

/// A storage, a clock and what keys need.
struct SecurityScene {
  quern::ManualClock clock;
  quern::StorageAdapter<quern::MemoryStorage> storage{clock};
  quern::http::Roles roles{storage};
  quern::http::ApiKeys keys{storage, roles, clock};

  quern::http::IssuedApiKey key(std::string name, std::string role) {
    return keys.create({.name = std::move(name), .role = std::move(role)}, root());
  }
};

}  // namespace quern_test
