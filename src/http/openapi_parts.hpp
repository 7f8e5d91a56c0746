#pragma once

#include <span>
#include <string_view>

namespace quern::inline v1::http::detail {

/// A file of src/http/openapi: paths and schemas of one matter; base.json has what is common to all.
struct OpenApiPart {
  std::string_view name;
  std::string_view etag;
  std::string_view body;
};

/// All of them, in a source that cmake/QuernEmbed.cmake makes.
[[nodiscard]] std::span<const OpenApiPart> openapi_parts() noexcept;

}  // namespace quern::inline v1::http::detail
