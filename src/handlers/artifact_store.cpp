#include "quern/handlers/artifact_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "durable_file.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1 {
namespace {

constexpr detail::WritePoints points{"artifact.write", "artifact.rename", "artifact.done"};
constexpr std::size_t max_name = 100;

// CON, NUL.txt and COM1.tar.gz name devices on Windows, whatever the case and the extension. The files may be
// downloaded there, or the folder be on a share.
bool reserved_on_windows(std::string_view name) {
  const std::string stem = detail::lower(name.substr(0, name.find('.')));
  constexpr std::array<std::string_view, 6> devices{"con", "prn", "aux", "nul", "conin$", "conout$"};
  if (std::ranges::find(devices, stem) != devices.end()) return true;
  return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) && stem[3] >= '0' &&
         stem[3] <= '9';
}

std::string checked(const char* field, std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-';
  });
  if (name.empty() || name.size() > max_name || !plain || name.front() == '.' || name.back() == '.')
    throw InvalidArgument(
        field, fmt::format("'{}' is not allowed: 1 to {} letters, digits, '.', '_' and '-', with no dot "
                           "at either end",
                           detail::clean_line(name, 60), max_name));
  if (reserved_on_windows(name))
    throw InvalidArgument(field, fmt::format("'{}' is a device's name on Windows", name));
  return std::string(name);
}

// A handle that borrows the store's descriptor of the root.
struct Root {
  explicit Root(int fd) : handle(fd) {}
  ~Root() { static_cast<void>(handle.release()); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  detail::FileHandle handle;
};

}  // namespace

FileArtifactStore::FileArtifactStore(const std::filesystem::path& root, ArtifactQuota quota)
    : root_(std::filesystem::absolute(root)),
      quota_(quota),
      root_fd_(detail::open_folder(root_.string(), true).release()) {}

FileArtifactStore::~FileArtifactStore() {
  if (root_fd_ >= 0) close(root_fd_);
}

FileArtifactStore::FileArtifactStore(FileArtifactStore&& other) noexcept
    : root_(std::move(other.root_)), quota_(other.quota_), root_fd_(std::exchange(other.root_fd_, -1)) {}

FileArtifactStore& FileArtifactStore::operator=(FileArtifactStore&& other) noexcept {
  std::swap(root_, other.root_);
  std::swap(quota_, other.quota_);
  std::swap(root_fd_, other.root_fd_);
  return *this;
}

std::string FileArtifactStore::put(std::string_view owner_name, std::string_view file_name,
                                   std::string_view bytes) {
  const std::string owner = checked("owner", owner_name);
  const std::string name = checked("name", file_name);
  if (bytes.size() > quota_.max_file_bytes)
    throw InvalidArgument(
        "bytes", fmt::format("'{}' has {} bytes, {} are allowed", name, bytes.size(), quota_.max_file_bytes));
  const Root root(root_fd_);
  // Once more when the folder was removed between its opening and its locking; that many times in a row
  // nobody removes it.
  for (int attempt = 0; attempt < 100; ++attempt) {
    const auto folder = detail::open_subfolder(root.handle, owner, true);
    const auto lock = detail::lock_folder(folder);
    if (!lock) continue;
    std::uint64_t total = bytes.size();
    std::size_t count = 1;
    for (const auto& file : detail::list_files(folder)) {
      if (file.name == name) continue;
      total += file.bytes;
      ++count;
    }
    if (total > quota_.max_owner_bytes || count > quota_.max_owner_files)
      throw InvalidArgument(
          "bytes", fmt::format("with '{}', '{}' would have {} files and {} bytes; {} and {} are allowed",
                               name, owner, count, total, quota_.max_owner_files, quota_.max_owner_bytes));
    detail::write_file(folder, name, bytes, points);
    // With the first file the folder is new, perhaps made by an attempt that crashed before it was durable
    // itself.
    if (count == 1) detail::sync_folder(root.handle);
    return (root_ / owner / name).string();
  }
  throw StorageError(fmt::format("folder '{}' keeps being removed", owner), true);
}

std::optional<std::string> FileArtifactStore::get(std::string_view owner_name,
                                                  std::string_view file_name) const {
  const std::string owner = checked("owner", owner_name);
  const std::string name = checked("name", file_name);
  const Root root(root_fd_);
  const auto folder = detail::open_subfolder(root.handle, owner, false);
  if (!folder) return std::nullopt;
  return detail::read_file(folder, name, quota_.max_file_bytes);
}

std::vector<ArtifactInfo> FileArtifactStore::list(std::string_view owner_name) const {
  const std::string owner = checked("owner", owner_name);
  const Root root(root_fd_);
  const auto folder = detail::open_subfolder(root.handle, owner, false);
  return folder ? detail::list_files(folder) : std::vector<ArtifactInfo>();
}

bool FileArtifactStore::remove(std::string_view owner_name, std::string_view file_name) {
  const std::string owner = checked("owner", owner_name);
  const std::string name = checked("name", file_name);
  const Root root(root_fd_);
  const auto folder = detail::open_subfolder(root.handle, owner, false);
  if (!folder) return false;
  const auto lock = detail::lock_folder(folder);
  return lock && detail::remove_file(folder, name);
}

std::size_t FileArtifactStore::remove_all(std::string_view owner_name) {
  const std::string owner = checked("owner", owner_name);
  const Root root(root_fd_);
  const auto folder = detail::open_subfolder(root.handle, owner, false);
  if (!folder) return 0;
  const auto lock = detail::lock_folder(folder);
  if (!lock) return 0;
  std::size_t removed = 0;
  for (const auto& file : detail::list_files(folder))
    removed += detail::remove_file(folder, file.name) ? 1 : 0;
  detail::discard_temporary(folder);
  // Something else in the folder is not ours to remove; the folder then stays.
  if (unlinkat(root_fd_, owner.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY && errno != EEXIST &&
      errno != ENOENT)
    detail::throw_file_error(errno, fmt::format("folder '{}' can't be removed", owner));
  detail::sync_folder(root.handle);
  return removed;
}

}  // namespace quern::inline v1
