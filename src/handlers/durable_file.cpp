#include "durable_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "quern/core/detail/crash_point.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

// In a locked folder there is one writer, so that one name serves all of them, and what a crash left behind
// is overwritten by the next. No artifact's name begins with a dot.
constexpr const char* temporary_name = ".quern-tmp";

// Opens one component below `parent`. The kernel is asked to refuse every way out of it; where it can't
// (before Linux 5.6, or forbidden by a sandbox), not following a link at the end does the same for a single
// name.
int open_beneath(int parent, const char* name, int flags, mode_t mode = 0) {
  flags |= O_CLOEXEC | O_NOFOLLOW;
#if defined(__linux__) && defined(SYS_openat2)
  open_how how{};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags));
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = 0;
  do {
    fd = syscall(SYS_openat2, parent, name, &how, sizeof how);
  } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
  if (fd >= 0) return static_cast<int>(fd);
  if (errno != ENOSYS && errno != EPERM && errno != EINVAL && errno != E2BIG) return -1;
#endif
  int plain = 0;
  do {
    plain = openat(parent, name, flags, mode);
  } while (plain < 0 && errno == EINTR);
  return plain;
}

void sync(int fd, const std::string& what) {
  int result = 0;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw_file_error(errno, what);
}

struct stat status_of(int fd, const std::string& what) {
  struct stat status{};
  if (fstat(fd, &status) != 0) throw_file_error(errno, what);
  return status;
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) close(fd_);
}

void throw_file_error(int error, const std::string& what) {
  constexpr std::array passing{ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EAGAIN,
                               EINTR,  EBUSY,  EIO,    ESTALE, ENOLCK};
  const bool transient = std::ranges::find(passing, error) != passing.end();
  throw StorageError(fmt::format("{}: {}", what, std::generic_category().message(error)), transient);
}

FileHandle open_folder(const std::string& path, bool create) {
  if (create) {
    std::error_code error;
    const bool made = std::filesystem::create_directories(path, error);
    if (error) throw_file_error(error.value(), fmt::format("folder '{}' can't be made", path));
    if (made) sync_folder(open_folder((std::filesystem::path(path) / "..").string(), false));
  }
  FileHandle folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) throw_file_error(errno, fmt::format("folder '{}' can't be opened", path));
  return folder;
}

FileHandle open_subfolder(const FileHandle& parent, const std::string& name, bool create) {
  if (create && mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
    throw_file_error(errno, fmt::format("folder '{}' can't be made", name));
  FileHandle folder(open_beneath(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
  if (!folder && (create || errno != ENOENT))
    throw_file_error(errno, fmt::format("folder '{}' can't be opened", name));
  return folder;
}

FileHandle lock_folder(const FileHandle& folder) {
  // A lock belongs to an open file description, and so threads exclude each other too.
  FileHandle own(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own && errno == ENOENT) return {};
  if (!own) throw_file_error(errno, "a folder can't be opened");
  int result = 0;
  do {
    result = flock(own.get(), LOCK_EX);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw_file_error(errno, "a folder can't be locked");
  if (status_of(own.get(), "a folder can't be read").st_nlink == 0) return {};
  return own;
}

std::vector<ArtifactInfo> list_files(const FileHandle& folder) {
  FileHandle copy(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy && errno == ENOENT) return {};
  if (!copy) throw_file_error(errno, "a folder can't be opened");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy.get()), &closedir);
  if (!stream) throw_file_error(errno, "a folder can't be read");
  const int fd = copy.release();  // The stream closes it.
  std::vector<ArtifactInfo> files;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) throw_file_error(errno, "a folder can't be read");
      break;
    }
    if (entry->d_name[0] == '.') continue;
    struct stat status{};
    if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // Removed meanwhile.
      throw_file_error(errno, "a folder can't be read");
    }
    if (!S_ISREG(status.st_mode)) continue;
    const std::int64_t modified_us =
        std::int64_t{status.st_mtim.tv_sec} * 1'000'000 + status.st_mtim.tv_nsec / 1000;
    files.push_back({entry->d_name, static_cast<std::uint64_t>(status.st_size), from_us(modified_us)});
  }
  std::ranges::sort(files, {}, &ArtifactInfo::name);
  return files;
}

std::optional<std::string> read_file(const FileHandle& folder, const std::string& name,
                                     std::uint64_t max_bytes) {
  const std::string what = fmt::format("file '{}' can't be read", name);
  // Not blocking, in case somebody has put a pipe there.
  const FileHandle file(open_beneath(folder.get(), name.c_str(), O_RDONLY | O_NONBLOCK));
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) throw_file_error(errno, what);
  const auto status = status_of(file.get(), what);
  if (!S_ISREG(status.st_mode)) throw StorageError(what + ": it is not a regular file", false);
  if (static_cast<std::uint64_t>(status.st_size) > max_bytes)
    throw StorageError(what + ": it is too large", false);
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = read(file.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error(errno, what);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

bool remove_file(const FileHandle& folder, const std::string& name) {
  if (unlinkat(folder.get(), name.c_str(), 0) == 0) {
    sync_folder(folder);
    return true;
  }
  if (errno == ENOENT) return false;
  throw_file_error(errno, fmt::format("file '{}' can't be removed", name));
}

void sync_folder(const FileHandle& folder) { sync(folder.get(), "a folder's entries can't be written"); }

bool has_entry(const FileHandle& folder, const std::string& name) {
  struct stat status{};
  if (fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  throw_file_error(errno, fmt::format("file '{}' can't be looked up", name));
}

void discard_temporary(const FileHandle& folder) {
  if (unlinkat(folder.get(), temporary_name, 0) != 0 && errno != ENOENT)
    throw_file_error(errno, "a temporary file can't be removed");
}

void write_file(const FileHandle& folder, const std::string& name, std::string_view bytes,
                const WritePoints& points) {
  const std::string what = fmt::format("file '{}' can't be written", name);
  discard_temporary(folder);
  crash_point(points.write);
  FileHandle file(open_beneath(folder.get(), temporary_name, O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!file) throw_file_error(errno, what);
  try {
    while (!bytes.empty()) {
      const ssize_t written = write(file.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_file_error(errno, what);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    sync(file.get(), what);
    crash_point(points.rename);
    if (renameat(folder.get(), temporary_name, folder.get(), name.c_str()) != 0)
      throw_file_error(errno, what);
  } catch (...) {
    unlinkat(folder.get(), temporary_name, 0);
    throw;
  }
  sync_folder(folder);
  crash_point(points.done);
}

}  // namespace quern::inline v1::detail
