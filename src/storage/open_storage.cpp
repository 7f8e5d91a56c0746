#include <fmt/format.h>

#include <functional>
#include <map>
#include <mutex>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/memory_storage.hpp"
#include "quern/storage/write_behind.hpp"

namespace quern::inline v1 {
namespace {

std::unique_ptr<StoragePort> open_memory(std::string_view rest, ClockRef clock) {
  if (!rest.empty()) throw InvalidArgument("storage", "nothing may follow \"memory:\"");
  return std::make_unique<StorageAdapter<MemoryStorage>>(clock);
}

struct OwnDurable {
  AnyStorage durable;
};
AnyStorage open_durable(std::string_view address, ClockRef clock) {
  AnyStorage durable = open_storage(address, clock);
  if (durable.port().backup() == nullptr)
    throw InvalidArgument("storage", durable.describe() + " cannot keep the jobs of another storage");
  return durable;
}

/// With the storage behind it.
struct OwningWriteBehind : private OwnDurable, public WriteBehindStorage<MemoryStorage, AnyStorage> {
  OwningWriteBehind(std::string_view address, ClockRef clock)
      : OwnDurable{open_durable(address, clock)}, WriteBehindStorage(OwnDurable::durable) {}
};

std::unique_ptr<StoragePort> open_write_behind(std::string_view rest, ClockRef clock) {
  return std::make_unique<StorageAdapter<OwningWriteBehind>>(rest, clock);
}

struct Schemes {
  std::mutex mutex;
  std::map<std::string, StorageOpener, std::less<>> openers{{"memory", open_memory},
                                                            {"write-behind", open_write_behind}};
};

/// Made at the first use, since other files register theirs while static objects are initialized.
Schemes& schemes() {
  static Schemes all;
  return all;
}

[[noreturn]] void refuse(std::string_view scheme, const std::string& known) {
  const auto shown = clean_message(scheme, 32);  // what follows the colon may hold a password
  const char* hint = "";
  if (scheme == "sqlite") hint = "; include <quern/sqlite.hpp> and link quern::sqlite";
  if (scheme == "postgres" || scheme == "postgresql")
    hint = "; include <quern/postgres.hpp> and link quern::postgres";
  throw InvalidArgument(
      "storage", fmt::format("the scheme \"{}:\" is not known, linked in are {}{}", shown, known, hint));
}

}  // namespace

BackupPort& AnyStorage::backup() const {
  if (BackupPort* const port = port_->backup()) return *port;
  throw StorageError(describe() + " cannot keep the jobs of another storage", false);
}

AnyStorage open_storage(std::string_view address, ClockRef clock) {
  const auto colon = address.find(':');
  if (colon == std::string_view::npos) {
    throw InvalidArgument("storage",
                          "the address has no scheme; it looks like \"memory:\" or \"sqlite:jobs.db\"");
  }
  const auto scheme = address.substr(0, colon);
  StorageOpener open = nullptr;
  std::string known;
  {
    const std::lock_guard lock(schemes().mutex);
    for (const auto& [name, opener] : schemes().openers) {
      if (name == scheme) open = opener;
      known += (known.empty() ? "" : ", ") + name + ':';
    }
  }
  if (open == nullptr) refuse(scheme, known);
  return AnyStorage(open(address.substr(colon + 1), clock));
}

bool register_storage_scheme(std::string_view scheme, StorageOpener open) {
  const std::lock_guard lock(schemes().mutex);
  schemes().openers.insert_or_assign(std::string(scheme), open);
  return true;
}

}  // namespace quern::inline v1
