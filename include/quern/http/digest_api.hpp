#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "quern/http/router.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http {

/// A file of a digest, by the digest's id and the file's name; none: there is none. May throw.
using DigestFile = std::function<std::optional<std::string>(std::string_view id, std::string_view name)>;

/// Adds the routes by which the digests that quern's handler has made are seen, and their files downloaded, [digests.read]: docs/http-api.md.
/// `file` is asked only for names that the digest's record has. A digest is within a caller's reach as its job is; where that is gone, of who
/// is limited to nothing. The storage must outlive the router.
///
///     mount_digests(server.router(), service.queue().core().storage(),
///                   [&](auto id, auto name) { return artifacts.get(id, name); });
void mount_digests(Router& router, StoragePort& storage, DigestFile file);

}  // namespace quern::inline v1::http
