#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/http/message.hpp"
#include "quern/http/router.hpp"

namespace quern::inline v1::http {

/// Something that somebody has done, or was not let do. Never a payload, a header's value or a secret.
///
/// Texts are made fit when the entry is added: what is not UTF-8 becomes U+FFFD, as do characters that break lines or turn their direction;
/// other control characters become spaces; the secret part of an API key, or a token, becomes "***"; each is cut at 256 bytes, and of `details` 16 are kept.
struct AuditEntry {
  TimePoint at{};            ///< The log's clock, where it is not set.
  std::string who{};         ///< The caller's name; empty: not known.
  std::string via{};         ///< See Caller.
  std::string id{};          ///< Of the key or the token's subject.
  std::string peer{};        ///< The address it came from.
  std::string action{};      ///< The permission that it needs: "jobs.manage".
  std::string type{};        ///< Of what it was done to: "jobs".
  std::string object{};      ///< Which one: "17".
  std::string queue{};       ///< Of that, where it is known.
  std::string tenant{};      ///< Of that, where it is known.
  int status = 0;            ///< The answer's; 0: it has begun (see AuditOptions::changes_wait).
  std::string reason{};      ///< Why it was refused.
  std::string request_id{};  ///< X-Request-Id, where it is one: to 64 letters, digits, '-', '_', '.'.
  std::map<std::string, std::string> details{};
};

/// An entry as it stands in the log.
struct AuditRecord {
  std::uint64_t number = 0;  ///< From 1, without gaps.
  AuditEntry entry{};
  std::string hash{};    ///< SHA-256 in hexadecimal digits.
  std::string writer{};  ///< Which log object wrote it, and how many it had written then.
  std::string fault{};   ///< Not empty: the record can't be read, since ...; then there is only its number.
};

/// The state of a log at an entry. Kept somewhere else, it proves that nothing up to there was changed or cut off since.
struct AuditCheckpoint {
  std::uint64_t number = 0;
  std::string hash{};
  friend bool operator==(const AuditCheckpoint&, const AuditCheckpoint&) = default;
};

/// The first entry that is not as it was written.
struct AuditFault {
  std::uint64_t number = 0;
  std::string what{};
};

/// The entry about a request, as far as it and the answer tell: who, from where, what, to which object (the path's variable parts, or the
/// answer's Location), with which outcome.
[[nodiscard]] AuditEntry audit_entry(const Request& request, const Route* route, const Response* response);

}  // namespace quern::inline v1::http
