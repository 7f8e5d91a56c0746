#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// A file in an artifact store.
struct ArtifactInfo {
  std::string name{};
  std::uint64_t bytes = 0;
  TimePoint modified{};
};

/// Keeps the files that jobs make, by the owner (a job's or a digest's id) and a name.
///
/// Names    an owner and a name are data and never a path: letters, digits, '.', '_' and '-', 1 to 100 of
///          them, no dot in front, no name that Windows reserves. Anything else is an InvalidArgument.
/// Writing  `put` is atomic and durable: afterwards the file is there as a whole, also after a crash, and at
///          any moment a reader finds the old content, the new one, or nothing. Putting the same again
///          changes nothing.
/// Threads  any thread, and any number of processes at once.
/// Errors   StorageError from the disk; InvalidArgument as above and for what exceeds a quota.
template <class S>
concept ArtifactStore = requires(S& store, const S& const_store, std::string_view owner,
                                 std::string_view name, std::string_view bytes) {
  // Writes or replaces; says where the file is, for people.
  { store.put(owner, name, bytes) } -> std::same_as<std::string>;
  // Nothing when there is no such file.
  { const_store.get(owner, name) } -> std::same_as<std::optional<std::string>>;
  // By name; empty for an unknown owner.
  { const_store.list(owner) } -> std::same_as<std::vector<ArtifactInfo>>;
  // Whether there was such a file.
  { store.remove(owner, name) } -> std::same_as<bool>;
  // How many files the owner had.
  { store.remove_all(owner) } -> std::same_as<std::size_t>;
};

/// What one owner may keep.
struct ArtifactQuota {
  std::uint64_t max_file_bytes = 32u << 20;
  std::uint64_t max_owner_bytes = 128u << 20;
  std::size_t max_owner_files = 64;
};

/// An ArtifactStore in a folder: ROOT/OWNER/NAME, readable by this user only.
///
/// No symbolic link below the root is ever followed, so that whoever can write there can't lead a read or a
/// write elsewhere. The root itself may be one: it is the operator's.
class FileArtifactStore {
 public:
  /// Makes the folder where it is missing. Throws StorageError where that fails.
  explicit FileArtifactStore(const std::filesystem::path& root, ArtifactQuota quota = {});
  ~FileArtifactStore();
  FileArtifactStore(FileArtifactStore&& other) noexcept;
  FileArtifactStore& operator=(FileArtifactStore&& other) noexcept;

  std::string put(std::string_view owner, std::string_view name, std::string_view bytes);
  [[nodiscard]] std::optional<std::string> get(std::string_view owner, std::string_view name) const;
  [[nodiscard]] std::vector<ArtifactInfo> list(std::string_view owner) const;
  bool remove(std::string_view owner, std::string_view name);
  std::size_t remove_all(std::string_view owner);

 private:
  std::filesystem::path root_;
  ArtifactQuota quota_;
  int root_fd_ = -1;
};

static_assert(ArtifactStore<FileArtifactStore>);

}  // namespace quern::inline v1
