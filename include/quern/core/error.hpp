#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace quern::inline v1 {

/// The caller can't go on with what it asked for. The message says what was wrong, with
/// which value, and what is allowed; it never contains a payload or a password.
/// Every exception that quern throws on its own account derives from this one.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value handed in is outside what is allowed: a field too long, text that is not UTF-8,
/// a policy with a negative delay. Nothing was changed; the same call fails again.
class InvalidArgument : public Error {
 public:
  /// `field` is the path of what was wrong ("tags[2]", "retry.base"); `problem` says the rest.
  InvalidArgument(std::string field, const std::string& problem)
      : Error(field + ": " + problem), field_(std::move(field)) {}

  /// The path of the faulty field.
  [[nodiscard]] const std::string& field() const noexcept { return field_; }

 private:
  std::string field_;
};

/// A configuration is faulty. Carries every fault found, not only the first.
class ConfigError : public Error {
 public:
  /// `faults` holds one line per fault, each beginning with the path of its value.
  explicit ConfigError(std::vector<std::string> faults);

  /// All faults, one line each.
  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }

 private:
  std::vector<std::string> faults_;
};

/// The storage did not answer, or answered with a failure of its own.
class StorageError : public Error {
 public:
  StorageError(const std::string& message, bool transient) : Error(message), transient_(transient) {}

  /// True when the same call may work later (a locked file, a full disk). It does not say that
  /// this call had no effect: a broken connection can hide a commit, so repeat only what is safe.
  [[nodiscard]] bool transient() const noexcept { return transient_; }

 private:
  bool transient_;
};

/// A handler's run no longer holds its job: its node was declared dead, its job was taken over, or the
/// processor gave the run up. Thrown from `JobContext` calls to end the handler early; nothing was written.
class RunLost : public Error {
 public:
  using Error::Error;
};

}  // namespace quern::inline v1
