#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/handlers/artifact_store.hpp"

// Files in a folder that others may write to as well: opened without following links, written so that a crash
// leaves the old state or the new one. POSIX.
namespace quern::inline v1::detail {

/// An open file or folder.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  ~FileHandle();
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Throws StorageError for an errno; transient when waiting or making room can help. `what` says what failed.
[[noreturn]] void throw_file_error(int error, const std::string& what);

/// A folder by its path, which is trusted; made, with the folders above it, where it is missing and `create`
/// is set.
[[nodiscard]] FileHandle open_folder(const std::string& path, bool create);

/// A folder inside `parent`, by a single name. Nothing when there is none; StorageError when a link or a file
/// is in its place. With `create` it is made, and durable once `parent` is synced.
[[nodiscard]] FileHandle open_subfolder(const FileHandle& parent, const std::string& name, bool create);

/// Waits until no other process or thread holds the folder, and holds it until the handle given back is
/// closed. Nothing when the folder has been removed meanwhile.
[[nodiscard]] FileHandle lock_folder(const FileHandle& folder);

/// The names of the folder's regular files, with size and time; those that begin with a dot are left out.
[[nodiscard]] std::vector<ArtifactInfo> list_files(const FileHandle& folder);

/// The content of a regular file. Nothing when there is none of this name; StorageError for a link or a
/// device, and for one larger than `max_bytes`.
[[nodiscard]] std::optional<std::string> read_file(const FileHandle& folder, const std::string& name,
                                                   std::uint64_t max_bytes);

/// Removes a file; whether there was one.
bool remove_file(const FileHandle& folder, const std::string& name);

/// Names of the crash points that a write passes: before the data is written, before the file appears, and
/// after.
struct WritePoints {
  const char* write;
  const char* rename;
  const char* done;
};

/// Writes a file durably in a folder that is locked by the caller: to a temporary file first, which then
/// takes the name, replacing what has it.
void write_file(const FileHandle& folder, const std::string& name, std::string_view bytes,
                const WritePoints& points);

/// Removes what a write that crashed left behind, in a folder that is locked by the caller.
void discard_temporary(const FileHandle& folder);

/// Makes the entries of a folder durable.
void sync_folder(const FileHandle& folder);

/// Whether the folder has an entry of that name, of whatever kind.
[[nodiscard]] bool has_entry(const FileHandle& folder, const std::string& name);

}  // namespace quern::inline v1::detail
