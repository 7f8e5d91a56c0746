#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <string>
#include <utility>

namespace quern_test {

/// What SQLite asks of the operating system.
enum class Io { open, read, write, truncate, sync, size, lock, map, remove };

/// A VFS that asks a hook before each call to the real one, so that a test can make any of them fail.
/// One object per process at a time; connections must be closed before it goes.
class FaultVfs {
 public:
  /// Returns SQLITE_OK to let the call through, or the code with which it fails. `path` may be null.
  using Hook = std::function<int(Io call, const char* path)>;

  FaultVfs() {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.zName = "quern-fault";
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = &open;
    vfs_.xDelete = &remove;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  [[nodiscard]] std::string name() const { return vfs_.zName; }
  /// What the next calls meet; an empty one lets all through. What `read_only` opens is read-only.
  void set(Hook hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }
  bool read_only = false;
  std::atomic<int> write_size = 0;  ///< Bytes of the write that the hook is asked about.

 private:
  struct File {
    sqlite3_file base;  // what SQLite sees; must come first
    FaultVfs* vfs;
    const char* path;  // SQLite keeps it as long as the file is open
    [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  int ask(Io call, const char* path) {
    const std::lock_guard lock(mutex_);
    return hook_ ? hook_(call, path) : SQLITE_OK;
  }
  static FaultVfs& of(sqlite3_vfs* vfs) { return *static_cast<FaultVfs*>(vfs->pAppData); }

  /// Asks, then calls the real file's method.
  template <class Method, class... Arguments>
  static int pass(Io call, sqlite3_file* file, Method method, Arguments... arguments) {
    auto* const own = reinterpret_cast<File*>(file);
    if (const int code = own->vfs->ask(call, own->path); code != SQLITE_OK) return code;
    return (own->real()->pMethods->*method)(own->real(), arguments...);
  }
  template <class Method, class... Arguments>
  static auto forward(sqlite3_file* file, Method method, Arguments... arguments) {
    auto* const real = reinterpret_cast<File*>(file)->real();
    return (real->pMethods->*method)(real, arguments...);
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    FaultVfs& self = of(vfs);
    auto* const own = new (file) File{};
    own->base.pMethods = nullptr;
    own->vfs = &self;
    own->path = path;
    if (const int code = self.ask(Io::open, path); code != SQLITE_OK) return code;
    if (self.read_only && (flags & SQLITE_OPEN_MAIN_DB) != 0)
      flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    const int code = self.base_->xOpen(self.base_, path, own->real(), flags, out_flags);
    if (own->real()->pMethods != nullptr) own->base.pMethods = &methods;
    return code;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync) {
    FaultVfs& self = of(vfs);
    if (const int code = self.ask(Io::remove, path); code != SQLITE_OK) return code;
    return self.base_->xDelete(self.base_, path, sync);
  }

  using M = sqlite3_io_methods;
  static int close(sqlite3_file* f) { return forward(f, &M::xClose); }
  static int read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
    return pass(Io::read, f, &M::xRead, data, size, at);
  }
  static int write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
    reinterpret_cast<File*>(f)->vfs->write_size = size;
    return pass(Io::write, f, &M::xWrite, data, size, at);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    return pass(Io::truncate, f, &M::xTruncate, size);
  }
  static int sync(sqlite3_file* f, int flags) { return pass(Io::sync, f, &M::xSync, flags); }
  static int size(sqlite3_file* f, sqlite3_int64* size) { return pass(Io::size, f, &M::xFileSize, size); }
  static int lock(sqlite3_file* f, int level) { return pass(Io::lock, f, &M::xLock, level); }
  static int unlock(sqlite3_file* f, int level) { return forward(f, &M::xUnlock, level); }
  static int reserved(sqlite3_file* f, int* out) { return forward(f, &M::xCheckReservedLock, out); }
  static int control(sqlite3_file* f, int op, void* data) { return forward(f, &M::xFileControl, op, data); }
  static int sector(sqlite3_file* f) { return forward(f, &M::xSectorSize); }
  static int traits(sqlite3_file* f) { return forward(f, &M::xDeviceCharacteristics); }
  static int map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
    return pass(Io::map, f, &M::xShmMap, page, size, extend, out);
  }
  static int shm_lock(sqlite3_file* f, int at, int n, int flags) {
    return forward(f, &M::xShmLock, at, n, flags);
  }
  static void barrier(sqlite3_file* f) { forward(f, &M::xShmBarrier); }
  static int unmap(sqlite3_file* f, int remove) { return forward(f, &M::xShmUnmap, remove); }

  // Version 2: no memory-mapped reads, so that all of them pass here.
  static inline const sqlite3_io_methods methods{2,        close,   read,     write,   truncate, sync,   size,
                                                 lock,     unlock,  reserved, control, sector,   traits, map,
                                                 shm_lock, barrier, unmap,    nullptr, nullptr};

  std::mutex mutex_;
  Hook hook_;
  sqlite3_vfs* base_ = nullptr;
  sqlite3_vfs vfs_{};
};

/// Fails every call of a kind with a code, until it is told to stop.
inline FaultVfs::Hook failing(Io call, int code) {
  return [=](Io now, const char*) { return now == call ? code : SQLITE_OK; };
}

}  // namespace quern_test
