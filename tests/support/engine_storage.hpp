#pragma once

#include <memory>
#include <optional>

#include "quern/core/clock.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern_test {

/// A storage of a test's own, gone with all its jobs at the end: the one that the environment variable
/// QUERN_TEST_STORAGE names, so that the same tests hold on all of them.
///
/// memory    also where the variable is not set
/// sqlite    a file in a temporary folder
/// postgres  a schema on the program's own server; where its programs are missing the test program ends at
///           once, with code 77, which ctest takes for: skipped
class EngineStorage {
  const std::shared_ptr<void> place_;  ///< Goes after the storage.

 public:
  /// With no clock it goes by that of the machine, or of the server.
  explicit EngineStorage(std::optional<quern::ClockRef> clock = {});

  quern::AnyStorage storage;
};

}  // namespace quern_test
