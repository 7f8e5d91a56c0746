#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quern::inline v1 {

/// What an error says without what differs from one time to the next, so that failures for the same reason are alike:
///
///   numbers, also within words        "attempt 3 of worker-17 after 2.5 s"  ->  "attempt <n> of worker-<n> after <n> s"
///   UUIDs, hashes and other long ids  "no user 6f1c9a2be04d"                ->  "no user <id>"
///   addresses in memory               "at 0x7ffd5e8a"                       ->  "at <address>"
///   IP addresses with their ports     "10.0.0.7:5432 refused"               ->  "<host> refused"
///   mail addresses                    "ada@example.org is unknown"          ->  "<mail> is unknown"
///
/// White space becomes single blanks. Of a longer result the first `most` bytes, or a few less so that no character is cut, and
/// "...". Any bytes are taken. Linear in the text's length; thread-safe.
[[nodiscard]] std::string normalized_error(std::string_view error, std::size_t most = 500);

/// Names a group of failures: those of one kind whose normalized errors are the same. 64 bits of FNV-1a (Fowler, Noll and
/// Vo) over kind, a zero byte and the normalized error, so the same on every machine, and it may be stored; not for
/// secrets. 0 is never given.
[[nodiscard]] std::uint64_t failure_fingerprint(std::string_view kind, std::string_view error);

}  // namespace quern::inline v1
